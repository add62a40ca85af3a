"""The stages of the lanes, which depend on the config."""

from typing import NamedTuple

from tilewright.hw.spec.config import Config


class RequantizeStages(NamedTuple):
    """Which stages of a requantize lane do what; the last one is clamp."""

    bank: int
    scale: int
    multiply: int
    """The first of the products."""
    round: int
    integer: int
    place: int
    clamp: int

    @property
    def latency(self) -> int:
        return self.clamp + 1


def requantize_stages(config: Config) -> RequantizeStages:
    """Return the stages of a requantize lane.

    With path registers normalization takes two, the choice of the scale one, every product stands
    in a register before it is added, and exponent, zero point and clamp are apart.
    """
    if config.path_registers:
        return RequantizeStages(bank=1, scale=2, multiply=3, round=7, integer=9, place=10, clamp=11)
    return RequantizeStages(bank=1, scale=2, multiply=2, round=5, integer=6, place=7, clamp=7)


class OperandStages(NamedTuple):
    """Which stages of an operand lane do what; the last one is clamp."""

    scale: int
    add: int
    """Of the products."""
    place: int
    clamp: int

    @property
    def latency(self) -> int:
        return self.clamp + 1


def operand_stages(config: Config) -> OperandStages:
    """Return the stages of an operand lane.

    With path registers every product stands in a register, and so do its factors; rounding, the
    shift to an integer, zero point and clamp are apart. With wire registers a product's bits are
    chosen a cycle before they are rounded.
    """
    if config.path_registers:
        late = config.wire_registers
        return OperandStages(scale=3, add=6, place=13 + late, clamp=14 + late)
    return OperandStages(scale=1, add=3, place=9, clamp=9)
