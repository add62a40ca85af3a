"""What a task takes, from the cycle formulas: issue cycles and the latency behind them."""

from functools import lru_cache

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import matrix_pipeline
from tilewright.hw.spec.isa import Instruction, Work
from tilewright.hw.spec.operations.matrix import Matrix


def issue_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles until the engine can issue its next instruction."""
    return _cycles(instruction.work, config)[0]


def latency_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles from the last issue to retirement.

    The first weight tile of a MATRIX loads beside the instruction before it.
    """
    return _cycles(instruction.work, config)[1]


@lru_cache(maxsize=1 << 15)
def _cycles(work: Work, config: Config) -> tuple[int, int]:
    instruction = work.instruction
    issue = instruction.cycles(config)
    if isinstance(instruction, Matrix):
        return issue, matrix_pipeline(config)
    return issue, max(instruction.latency(config) - issue, 1)
