"""The timing model: a program's cycles without its data (docs/timing.md)."""

from tilewright.sim.timing.machine import simulate
from tilewright.sim.timing.result import TimingResult

__all__ = ["TimingResult", "simulate"]
