"""Exact products in pieces: of multipliers that are narrow, or of recoded digits."""

from collections.abc import Iterable
from functools import reduce
from operator import add

from amaranth.hdl import Cat, Const, Module, Signal, Value

from tilewright.hw.rtl.signals import loaded, register
from tilewright.hw.spec.config import Config

FACTOR_BITS = 18
"""What an FPGA's multiplier takes of one factor; it takes multiplier_bits of the other."""
RECODED_BITS = 2
"""Bits of a factor that become a digit."""
DIGIT_BITS = 3
"""Of a digit: whether it is one, two and negative."""

NOTHING_BELOW = Const(0, 1)


def times(factor: Value, other: Value, multiplier_bits: int) -> Value:
    """Return the product as the sum of products with so many bits of `other` each."""
    parts = [
        factor * other[first : first + multiplier_bits] << first
        for first in range(0, len(other), multiplier_bits)
    ]
    return reduce(add, parts)


def partial_products(factor: Value, other: Value, multiplier_bits: int) -> list[tuple[Value, int]]:
    """Return products, each of one multiplier, and their positions: shifted, they sum up to all."""
    return [
        (factor[low : low + FACTOR_BITS] * other[first : first + multiplier_bits], low + first)
        for low in range(0, len(factor), FACTOR_BITS)
        for first in range(0, len(other), multiplier_bits)
    ]


def product_register(
    m: Module, factor: Value, other: Value, name: str, *, config: Config
) -> Signal:
    """Return a register with a product; with path registers one with each multiplier's before."""
    product = register(len(factor) + len(other), name)
    if config.path_registers:
        parts, positions = zip(
            *partial_products(factor, other, config.multiplier_bits), strict=True
        )
        names = [f"{name}_{number}" for number in range(len(parts))]
        parts = loaded(m, **dict(zip(names, parts, strict=True)))
        m.d.sync += product.eq(sum_shifted(zip(parts, positions, strict=True)))
    else:
        m.d.sync += product.eq(times(factor, other, config.multiplier_bits))
    return product


def sum_shifted(products: Iterable[tuple[Value, int]]) -> Value:
    """Return the sum of partial products."""
    return reduce(add, (product << position for product, position in products))


def recode(part: Value, below: Value = NOTHING_BELOW) -> Value:
    """Return an even number of bits as digits from -2 to 2, one for two bits (Booth, radix 4).

    `below` is the bit in front of the lowest: the digits have the value of the part as a signed
    number, plus `below`.
    """
    bits = Cat(below, part)
    digits = []
    for low in range(0, len(part), RECODED_BITS):
        before, first, second = bits[low], bits[low + 1], bits[low + 2]
        one = before ^ first
        digits += [one, (second ^ first) & ~one, second]
    return Cat(*digits)


class Addends:
    """Numbers that are to be added, modulo 2^width, in carry-save form: words, and single ones.

    Each is (position, bits) and counts 2^position, none is negative: a negative word is `excess`
    too large. A single one is what makes a complement a negative number; it goes where an adder's
    carries leave their lowest bit free.

    words, ones : what is to be added, as it is or behind registers
    excess : what all is too large by
    """

    def __init__(self, m: Module, name: str, width: int):
        self._m = m
        self._name = name
        self._width = width
        self._number = 0
        self.words: list[tuple[int, Value]] = []
        self.ones: list[tuple[int, Value]] = []
        self.excess = 0

    def multiply(self, factor: Value, digits: Value) -> None:
        """Add a signed factor times the digits, each with an inverted sign bit."""
        size = len(factor) + 1
        for place in range(len(digits) // DIGIT_BITS):
            one, two, negative = digits.word_select(place, DIGIT_BITS)
            kept = Cat(factor, factor[-1]) & one.replicate(size)
            doubled = Cat(Const(0, 1), factor) & two.replicate(size)
            chosen = (kept | doubled) ^ negative.replicate(size)
            position = RECODED_BITS * place
            self._keep("addend", position, Cat(chosen[:-1], ~chosen[-1]))
            self.ones.append((position, negative))
            self.excess += 1 << position + len(factor)

    def compress(self, levels: int) -> None:
        """Make two words of three, so many times one behind the other."""
        for _ in range(levels):
            if len(self.words) <= 2:
                return
            by_position = {}
            for position, word in sorted(self.words, key=lambda word: word[0]):
                by_position.setdefault(position, []).append((position, word))
            groups = list(by_position.values())
            if max(map(len, groups)) < 3:
                groups = [[word for group in groups for word in group]]
            self.words = []
            for group in groups:
                whole = len(group) // 3 * 3
                for first in range(0, whole, 3):
                    self._add(group[first : first + 3])
                self.words += group[whole:]

    def _add(self, words):
        """Full adders side by side: sums and carries of three words."""
        low = words[0][0]
        a, b, c = (Cat(Const(0, position - low), word) for position, word in words)
        self._keep("sums", low, a ^ b ^ c)
        place = next((i for i, (position, _) in enumerate(self.ones) if position == low), None)
        free = Const(0, 1) if place is None else self.ones.pop(place)[1]
        self._keep("carries", low, Cat(free, (a & b) | (c & (a ^ b))))

    def _keep(self, kind, position, value):
        """A word more, as a signal, so that the Verilog says it once."""
        signal = Signal(
            min(len(value), self._width - position), name=f"{self._name}_{kind}{self._number}"
        )
        self._number += 1
        self._m.d.comb += signal.eq(value)
        self.words.append((position, signal))

    def load(self, name: str) -> None:
        """Put registers behind all words and ones."""
        for kind in (self.words, self.ones):
            for place, (position, value) in enumerate(kind):
                behind = register(len(value), f"{name}_{self._number}")
                self._number += 1
                self._m.d.sync += behind.eq(value)
                kind[place] = position, behind

    def total(self, *others: Value) -> Value:
        """Return the sum of all, and of others."""
        return reduce(add, self._all(others))[: self._width]

    def split_total(self, place: int, *others: Value) -> tuple[Value, Value]:
        """Return the sum of all, and of others, as two words, low + (high << place).

        The low word is the sum of all bits below the place, with what it carries: it is longer than
        `place` bits, and no carry runs from one word into the other.
        """
        parts = [part[: self._width] for part in self._all(others)]
        lows = [part[:place] for part in parts]
        most = sum((1 << len(low)) - 1 for low in lows)
        highs = [part[place:] for part in parts if len(part) > place]
        return reduce(add, lows)[: most.bit_length()], reduce(add, highs)[: self._width - place]

    def _all(self, others):
        """What is to be added, at position 0."""
        return *(value << position for position, value in (*self.words, *self.ones)), *others
