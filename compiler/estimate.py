"""What a task takes, from the cycle formulas: issue cycles and the latency behind them."""

from tilewright.hw.spec import cycles
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Combine, Instruction, Target

DRAM_LATENCY = 64
"""Cycles from a read's address to its first beat that the schedule assumes."""
VECTOR_LATENCY = 16
OVERHEAD_CYCLES = 8
"""Cycles of a transfer or vector instruction that do not depend on its size."""


def issue_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles until the engine can issue its next instruction."""
    match instruction.operation:
        case "MATRIX":
            return cycles.matrix_cycles(instruction.fields, config)
        case "VECTOR":
            return _vector_cycles(instruction, config)
        case "LOAD" | "STORE":
            return _transfer_words(instruction) * _beats_a_word(instruction, config)
    return 1


def latency_cycles(instruction: Instruction, config: Config) -> int:
    """Return the cycles from the last issue to retirement."""
    match instruction.operation:
        case "MATRIX":
            return cycles.MATRIX_ISSUE_CYCLES + cycles.array_latency(config)
        case "VECTOR":
            return VECTOR_LATENCY
    return DRAM_LATENCY + OVERHEAD_CYCLES


def _vector_cycles(i: Instruction, config: Config) -> int:
    results = i["groups"] * i["out_height"] * i["out_width"]
    a_result = i["kernel_height"] * i["kernel_width"]
    if i["combine"] != Combine.NONE:
        a_result = max(a_result, config.lanes // config.operand_lanes)
    table = 32 if i["use_table"] else 0
    return results * a_result + table + OVERHEAD_CYCLES


def _transfer_words(i: Instruction) -> int:
    return i["run"] * i["count0"] * i["count1"] * i["count2"]


def _beats_a_word(i: Instruction, config: Config) -> int:
    pitch = config.activation_pitch
    if i.operation == "LOAD":
        pitch = {
            Target.ACTIVATION: config.activation_pitch,
            Target.WEIGHT: config.weight_pitch,
            Target.PARAMETER: config.parameter_pitch,
        }[Target(i["target"])]
    return max(1, pitch // config.axi_bytes)
