"""Small pieces of gateware that every engine uses."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value, ValueLike


def index_bits(count: int) -> int:
    """Return the bits of an index below `count`, an SRAM port's address say, at least 1."""
    return max(1, (count - 1).bit_length())


def register(shape: ShapeLike, name: str) -> Signal:
    """A register of a data path: it needs no reset, a valid bit says what it is worth."""
    return Signal(shape, name=name, reset_less=True)


def delayed(m: Module, value: Value, name: str) -> Signal:
    """Return a register with what the value was a cycle before."""
    before = Signal(value.shape(), name=name)
    m.d.sync += before.eq(value)
    return before


def loaded(m: Module, **values: Value) -> list[Signal]:
    """Return registers of a data path that load the values, named as these are given."""
    places = [register(value.shape(), name) for name, value in values.items()]
    m.d.sync += [place.eq(value) for place, value in zip(places, values.values(), strict=True)]
    return places


def within(coordinate: Value, size: Value) -> Value:
    """0 <= coordinate < size, for a signed coordinate."""
    return ~coordinate[-1] & (coordinate[:-1] < size)


def count_in_flight(m: Module, most: int, *, accepted: ValueLike, retired: ValueLike) -> Signal:
    """Return a register with how many instructions are accepted and not retired, up to `most`.

    Whether one is accepted comes late: it chooses between two sums.
    """
    in_flight = Signal(range(most + 1), name="in_flight")
    m.d.sync += in_flight.eq(Mux(accepted, in_flight + ~Value.cast(retired), in_flight - retired))
    return in_flight


def count_down(
    m: Module,
    count: Value,
    *,
    name: str,
    start: ValueLike,
    step: ValueLike,
    again: ValueLike | None = None,
) -> tuple[Signal, Signal]:
    """Return registers with the turns that a loop has left and whether it is in its last turn.

    It has `count` turns, 1 and more, from `start` on, and at `step` a turn ends: behind the last
    one it begins anew with `again` turns, where that is given.
    """
    left = Signal.like(count, name=f"{name}_left", reset_less=True)
    is_last = register(1, f"{name}_is_last")
    with m.If(start):
        m.d.sync += [left.eq(count), is_last.eq(count == 1)]
    with m.Elif(step):
        m.d.sync += [left.eq(left - 1), is_last.eq(left == 2)]
        if again is not None:
            with m.If(is_last):
                m.d.sync += [left.eq(again), is_last.eq(Value.cast(again) == 1)]
    return left, is_last
