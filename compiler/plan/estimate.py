"""What a task takes, from the cycle formulas: issue cycles and the latency behind them."""

from tilewright.hw.spec import cycles
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction

DEPTHWISE_PIPELINE = 12


def issue_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles until the engine can issue its next instruction."""
    fields = instruction.fields
    match instruction.operation:
        case "MATRIX":
            return cycles.matrix_cycles(fields, config)
        case "DEPTHWISE":
            return cycles.depthwise_cycles(fields, config)
        case "VECTOR":
            return cycles.vector_cycles(fields, config)
        case "LOAD":
            return cycles.load_cycles(fields, config)
        case "STORE":
            return cycles.store_cycles(fields, config)
        case "END":
            return 1
    raise AssertionError(f"{instruction.operation} has no issue cycles")


def latency_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles from the last issue to retirement."""
    fields = instruction.fields
    match instruction.operation:
        case "MATRIX":
            return cycles.MATRIX_ISSUE_CYCLES + cycles.array_latency(config)
        case "DEPTHWISE":
            return DEPTHWISE_PIPELINE
        case "VECTOR":
            whole = cycles.vector_latency(fields, config)
        case "LOAD":
            whole = cycles.load_latency(fields, config)
        case "STORE":
            whole = cycles.store_latency(fields, config)
        case "END":
            whole = 1
        case _:
            raise AssertionError(f"{instruction.operation} has no latency")
    return max(whole - issue_cycles(instruction, config), 1)
