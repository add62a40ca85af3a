"""Limits of a sweep's figures: what a point must keep to be among the best."""

import math
from collections.abc import Mapping
from typing import Any

from tilewright.flows.sweep.space import FIELDS
from tilewright.flows.synthesis.devices import Device
from tilewright.support.errors import InputError
from tilewright.support.records import record

CELLS = ("flip_flops", "mult18", "block_ram")
OF_SYNTHESIS = ("area", "sram_area", "total_area", *CELLS)
OF_TIME = ("clock_mhz", "seconds", "frames_per_second")
FIGURES = ("cycles", "utilization", "coverage", "energy_joules", "multipliers", "sram_kib",
           "bytes_loaded", "bytes_stored", *OF_SYNTHESIS, *OF_TIME, *FIELDS)  # fmt: skip
"""The columns that can have a limit."""


@record(frozen=True, kw_only=True)
class Limit:
    """The most, or the least, that a figure may be."""

    figure: str
    bound: float
    is_upper: bool

    def excess(self, row: Mapping[str, Any]) -> float:
        """How far a row is beyond it, as a part of the bound; infinite where nobody knows."""
        value = row[self.figure]
        if value is None:
            return math.inf
        beyond = value - self.bound if self.is_upper else self.bound - value
        return float(beyond) / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        return f"{self.figure} {'<=' if self.is_upper else '>='} {self.bound:g}"


def limits_of_device(device: Device) -> tuple[Limit, ...]:
    """Return what a design can take of an FPGA at most."""
    most = {"area": device.lut4, "flip_flops": device.flip_flops, "mult18": device.mult18,
            "block_ram": device.block_ram}  # fmt: skip
    return tuple(Limit(figure=name, bound=value, is_upper=True) for name, value in most.items())


def parse_limit(text: str, *, is_upper: bool) -> Limit:
    """Return the limit of 'FIGURE=VALUE'. Raises InputError."""
    option = "--at-most" if is_upper else "--at-least"
    name, _, value = text.partition("=")
    if name not in FIGURES:
        raise InputError(f"{option}: no figure {name!r}; the figures are {', '.join(FIGURES)}")
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise InputError(f"{option}: FIGURE=VALUE with a number, got {text!r}")
    return Limit(figure=name, bound=bound, is_upper=is_upper)
