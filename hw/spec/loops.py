"""What an instruction does with memory, as data: walks over a memory's words, in order.

Accesses, hazards, the simulator's gathers and the banks that the timing model counts derive from
them. Units: SRAM words; DRAM bytes.
"""

import enum
from dataclasses import field
from math import prod

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import SRAM_ADDRESS_BITS, Config
from tilewright.support.records import record, replace

SRAM_MODULUS = 1 << SRAM_ADDRESS_BITS
DRAM_MODULUS = 1 << 32

Addresses = NDArray[np.int64]


class Space(enum.IntEnum):
    """The memories an instruction can touch."""

    ACTIVATION = 0
    WEIGHT = 1
    ACCUMULATOR = 2
    PARAMETER = 3
    DRAM = 4


_NUM_WORDS = {
    Space.ACTIVATION: "activation_words",
    Space.WEIGHT: "weight_words",
    Space.ACCUMULATOR: "accumulator_words",
    Space.PARAMETER: "parameter_words",
}

_PITCHES = {
    Space.ACTIVATION: "activation_pitch",
    Space.WEIGHT: "weight_pitch",
    Space.PARAMETER: "parameter_pitch",
}


def num_words(space: Space, config: Config) -> int:
    """Return the words of an SRAM."""
    words: int = getattr(config, _NUM_WORDS[space])
    return words


def word_bytes(space: Space, config: Config) -> int:
    """Return the bytes of a word of an SRAM."""
    size: int = getattr(config, f"{space.name.lower()}_word_bytes")
    return size


def bank_words(space: Space, config: Config) -> int:
    """Return the words of a bank; WEIGHT and PARAMETER are one bank each."""
    banked = {
        Space.ACTIVATION: config.activation_bank_words,
        Space.ACCUMULATOR: config.accumulator_bank_words,
    }
    return banked[space] if space in banked else num_words(space, config)


def word_pitch(space: Space, config: Config) -> int:
    """Return the DRAM bytes between two words of an SRAM."""
    pitch: int = getattr(config, _PITCHES[space])
    return pitch


@record(frozen=True, kw_only=True)
class Loop:
    """`count` steps, each of which moves the address by `stride`.

    along: the axis of the walk's window whose coordinate moves instead of the address.
    first, every: step n has moved (first + n) // every strides: lane groups that share words.
    """

    count: int
    stride: int = 0
    along: str | None = None
    first: int = 0
    every: int = 1

    @property
    def moves(self) -> int:
        """Different multiples of the stride that the steps have; the first is 0."""
        return -(-(self.first + self.count) // self.every)


@record(frozen=True, kw_only=True)
class Axis:
    """One axis of a window's source: coordinates [0, size) exist, one is `pitch` words apart.

    origin: the coordinate at which the loops along it start; outside, padding is read.
    """

    name: str
    origin: int
    size: int
    pitch: int


@record(frozen=True, kw_only=True)
class Start:
    """Where a walk begins.

    base: the instruction's field that gives the address; its bits below `alignment` do not count.
    """

    address: int
    base: str = field(compare=False)
    alignment: int = field(default=1, compare=False)


@record(frozen=True, kw_only=True)
class Walk:
    """One pass over words of a memory: nested loops, outermost first, `run` words a step.

    window: the axes that loops move along; a step whose coordinates lie outside touches nothing.
    inner: the innermost loops that belong to one step of the instruction (a window's reduction).
    is_ring: a run wraps at the end of the memory; one that begins behind it touches nothing.
    is_forwarded: a write is seen by every later read of the same walk.
    is_exclusive: a write of the same word twice has no defined result.
    """

    space: Space
    start: Start
    loops: tuple[Loop, ...] = ()
    run: int = 1
    window: tuple[Axis, ...] = ()
    inner: int = 0
    is_ring: bool = False
    is_forwarded: bool = False
    is_exclusive: bool = False

    @property
    def base(self) -> int:
        """The address where it begins."""
        return self.start.address

    @property
    def num_words(self) -> int:
        """The words of all steps, those that are met again counted again."""
        return prod(loop.count for loop in self.loops) * self.run

    @property
    def whole_words(self) -> "Walk":
        """The same words, with every word that lane groups share taken once."""
        if all(loop.count == loop.moves for loop in self.loops):
            return self
        loops = tuple(Loop(count=o.moves, stride=o.stride, along=o.along) for o in self.loops)
        return replace(self, loops=loops)


@record(frozen=True, kw_only=True)
class Walks:
    """Everything an instruction does with memory.

    Accumulators count as read only where an instruction adds to what they held before it.
    has_bad_group: it starts at a lane group that its words do not have, which is SRAM_RANGE.
    """

    reads: tuple[Walk, ...] = ()
    writes: tuple[Walk, ...] = ()
    has_bad_group: bool = False


def addresses(walk: Walk) -> tuple[Addresses, NDArray[np.bool_]]:
    """Return (address, inside) of the first word of every step, an array axis a loop.

    Addresses wrap at the memory's modulus; `inside` is False where padding is read.
    """
    total = np.array(walk.base, np.int64)
    coordinates = {axis.name: np.array(axis.origin, np.int64) for axis in walk.window}
    for number, loop in enumerate(walk.loops):
        steps = (loop.first + np.arange(loop.count, dtype=np.int64)) // loop.every * loop.stride
        steps = steps.reshape(-1, *([1] * (len(walk.loops) - number - 1)))
        if loop.along is None:
            total = total + steps
        else:
            coordinates[loop.along] = coordinates[loop.along] + steps
    inside = np.ones((), np.bool_)
    for axis in walk.window:
        position = coordinates[axis.name]
        inside = inside & (position >= 0) & (position < axis.size)
        total = total + position * axis.pitch
    modulus = DRAM_MODULUS if walk.space == Space.DRAM else SRAM_MODULUS
    shape = tuple(loop.count for loop in walk.loops)
    return np.broadcast_to(total % modulus, shape), np.broadcast_to(inside, shape)


def span(walk: Walk) -> tuple[int, int] | None:
    """Return the lowest and the highest word of all steps before they wrap.

    None where a step lies outside of the window.
    """
    low = high = walk.base
    coordinates = {axis.name: [axis.origin, axis.origin] for axis in walk.window}
    for loop in walk.loops:
        first, last = (
            position // loop.every * loop.stride
            for position in (loop.first, loop.first + loop.count - 1)
        )
        if loop.along is not None:
            coordinates[loop.along][0] += min(first, last)
            coordinates[loop.along][1] += max(first, last)
        else:
            low, high = low + min(first, last), high + max(first, last)
    for axis in walk.window:
        start, end = coordinates[axis.name]
        if start < 0 or end >= axis.size:
            return None
        low, high = low + start * axis.pitch, high + end * axis.pitch
    return low, high + walk.run - 1
