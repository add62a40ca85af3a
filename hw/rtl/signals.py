"""Small pieces of gateware that every engine uses."""

from amaranth.hdl import ShapeLike, Signal, Value


def index_bits(count: int) -> int:
    """Return the bits of an index below `count`, an SRAM port's address say, at least 1."""
    return max(1, (count - 1).bit_length())


def register(shape: ShapeLike, name: str) -> Signal:
    """A register of a data path: it needs no reset, a valid bit says what it is worth."""
    return Signal(shape, name=name, reset_less=True)


def within(coordinate: Value, size: Value) -> Value:
    """0 <= coordinate < size, for a signed coordinate."""
    return ~coordinate[-1] & (coordinate[:-1] < size)
