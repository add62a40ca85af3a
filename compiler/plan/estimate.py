"""What a task takes, from the cycle formulas: issue cycles and the latency behind them."""

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction


def issue_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles until the engine can issue its next instruction."""
    return instruction.cycles(config)


def latency_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles from the last issue to retirement."""
    return max(instruction.latency(config) - instruction.cycles(config), 1)
