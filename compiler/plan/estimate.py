"""What a task takes, from the cycle formulas: issue cycles and the latency behind them."""

from collections.abc import Hashable
from functools import lru_cache

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import burst_limit, matrix_pipeline
from tilewright.hw.spec.isa import Instruction
from tilewright.hw.spec.operations.matrix import Matrix

MAX_ESTIMATES = 1 << 14
"""Paces that are remembered for a config."""


def issue_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles until the engine can issue its next instruction."""
    return task_cycles(instruction, config)[0]


def latency_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles from the last issue to retirement.

    The first weight tile of a MATRIX loads beside the instruction before it.
    """
    return task_cycles(instruction, config)[1]


def task_cycles(instruction: Instruction, config: Config) -> tuple[int, int]:
    """Return the issue and the latency cycles."""
    return estimates_of(config).cycles(instruction)


class Estimates:
    """Issue and latency cycles of a config's instructions, by what they depend on."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._limit = burst_limit(config)
        self._known: dict[Hashable, tuple[int, int]] = {}

    def cycles(self, instruction: Instruction) -> tuple[int, int]:
        """Return the issue and the latency cycles."""
        key = instruction.cycles_key(self._limit)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MAX_ESTIMATES:
                self._known.clear()
            found = self._known[key] = self._estimate(instruction)
        return found

    def _estimate(self, instruction: Instruction) -> tuple[int, int]:
        issue = instruction.cycles(self._config)
        if isinstance(instruction, Matrix):
            return issue, matrix_pipeline(self._config)
        return issue, max(instruction.latency(self._config) - issue, 1)


estimates_of = lru_cache(maxsize=8)(Estimates)
