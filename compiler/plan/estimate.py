"""What a task takes, from the cycle formulas: issue cycles and the latency behind them."""

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import matrix_pipeline
from tilewright.hw.spec.isa import Instruction
from tilewright.hw.spec.operations.matrix import Matrix


def issue_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles until the engine can issue its next instruction."""
    return instruction.cycles(config)


def latency_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles from the last issue to retirement.

    The first weight tile of a MATRIX loads beside the instruction before it.
    """
    if isinstance(instruction, Matrix):
        return matrix_pipeline(config)
    return max(instruction.latency(config) - instruction.cycles(config), 1)
