"""The AXI4-Lite register map: control, status, faults, capability words and counters."""

import enum

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import ISA_VERSION, Engine
from tilewright.support.records import record

MAGIC = 0x544C5752
"""'TLWR': what register `magic` reads."""

MAX_INSTRUCTIONS = (1 << 24) - 1
"""Instructions of a program, END aside, that an index counts."""


class Fault(enum.IntEnum):
    """Sticky fault causes; the first one stays until the next start or clear."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    FUTURE_WAIT = 2
    SRAM_RANGE = 3
    BUS_ERROR = 4
    WATCHDOG = 5
    ABORTED = 6
    INSTRUCTION_LIMIT = 7


class Bucket(enum.IntEnum):
    """Where a cycle of an engine goes; every cycle goes to exactly one bucket."""

    IDLE = 0
    """No instruction at the engine."""
    WAIT_LOAD = 1
    WAIT_MATRIX = 2
    WAIT_DEPTHWISE = 3
    WAIT_VECTOR = 4
    WAIT_STORE = 5
    """The head instruction waits for a retirement of that engine (first unmet slot)."""
    MEMORY = 6
    """Instructions under way, none issuing: waiting for DRAM."""
    BANK = 7
    """Lost an SRAM port to another engine."""
    BUSY = 8


@record(frozen=True, kw_only=True)
class Register:
    """One 32-bit register at a byte offset."""

    name: str
    offset: int
    access: str
    """'ro', 'rw' or 'wo'."""
    meaning: str


CONTROL_START, CONTROL_CLEAR, CONTROL_STEP, CONTROL_ABORT = 1, 2, 4, 8
STATUS_BUSY, STATUS_DONE, STATUS_FAULT, STATUS_STOPPED = 1, 2, 4, 8

_COUNTER_BASE = 0x200
_ENGINE_STRIDE = 0x40

REGISTERS: tuple[Register, ...] = (
    Register(name="magic", offset=0x00, access="ro", meaning="0x544C5752"),
    Register(name="version", offset=0x04, access="ro", meaning="ISA version"),
    Register(name="digest_low", offset=0x08, access="ro", meaning="config digest, bits 31:0"),
    Register(name="digest_high", offset=0x0C, access="ro", meaning="config digest, bits 63:32"),
    Register(name="array", offset=0x10, access="ro", meaning="rows | cols << 16"),
    Register(name="vector", offset=0x14, access="ro", meaning="lanes | operand_lanes << 16"),
    Register(name="activation_words", offset=0x18, access="ro", meaning="activation SRAM words"),
    Register(name="weight_words", offset=0x1C, access="ro", meaning="weight SRAM words"),
    Register(name="accumulator_words", offset=0x20, access="ro", meaning="accumulator words"),
    Register(name="parameter_words", offset=0x24, access="ro", meaning="parameter SRAM words"),
    Register(name="bus", offset=0x28, access="ro", meaning="axi_data_bits | axi_outstanding << 16"),
    Register(name="control", offset=0x40, access="wo",
             meaning="bit 0 start, bit 1 clear done and fault, bit 2 step one instruction, bit 3 "
                     "abort: end the program that runs with the fault ABORTED"),
    Register(name="status", offset=0x44, access="ro",
             meaning="bit 0 busy, bit 1 done, bit 2 fault, bit 3 stopped before an instruction "
                     "(single-step)"),
    Register(name="interrupt_enable", offset=0x48, access="rw",
             meaning="bit 0: interrupt while done or fault is set"),
    Register(name="single_step", offset=0x4C, access="rw",
             meaning="bit 0: dispatch one instruction at each step and only when all engines "
                     "have retired"),
    Register(name="program_address", offset=0x50, access="rw",
             meaning="first instruction, bytes from the DRAM base, a multiple of 64"),
    Register(name="dram_base_low", offset=0x54, access="rw",
             meaning="bus address of DRAM byte 0, bits 31:0, a multiple of 4096"),
    Register(name="dram_base_high", offset=0x58, access="rw", meaning="bits 63:32"),
    Register(name="watchdog", offset=0x5C, access="rw",
             meaning="cycles without a retirement or a bus beat before the fault WATCHDOG; "
                     "0 never; 1000000 after reset"),
    Register(name="fault_cause", offset=0x60, access="ro", meaning="a Fault value"),
    Register(name="fault_instruction", offset=0x64, access="ro",
             meaning="index of the faulting instruction in the program; of WATCHDOG and ABORTED "
                     "the number of instructions dispatched"),
    Register(name="dispatched", offset=0x68, access="ro", meaning="instructions dispatched"),
    Register(name="instruction_limit", offset=0x6C, access="rw",
             meaning="instructions that may be dispatched, END aside, before the fault "
                     f"INSTRUCTION_LIMIT; {MAX_INSTRUCTIONS} after reset, the most"),
    Register(name="cycles_low", offset=0x70, access="ro",
             meaning="cycles from the start write to done or fault, bits 31:0"),
    Register(name="cycles_high", offset=0x74, access="ro", meaning="bits 63:32"),
    *(
        Register(name=f"{engine.name.lower()}_{bucket.name.lower()}",
                 offset=_COUNTER_BASE + _ENGINE_STRIDE * engine + 4 * bucket, access="ro",
                 meaning=f"{engine.name.lower()} engine: cycles in bucket {bucket.name}")
        for engine in Engine
        for bucket in Bucket
    ),
    *(
        Register(name=f"{engine.name.lower()}_retired",
                 offset=_COUNTER_BASE + _ENGINE_STRIDE * engine + 0x3C, access="ro",
                 meaning=f"instructions the {engine.name.lower()} engine has retired")
        for engine in Engine
    ),
)  # fmt: skip

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}


def capabilities(config: Config) -> dict[str, int]:
    """Return what the capability registers read: which accelerator this is."""
    return {
        "magic": MAGIC,
        "version": ISA_VERSION,
        "digest_low": config.digest_word & 0xFFFFFFFF,
        "digest_high": config.digest_word >> 32,
        "array": config.rows | config.cols << 16,
        "vector": config.lanes | config.operand_lanes << 16,
        "activation_words": config.activation_words,
        "weight_words": config.weight_words,
        "accumulator_words": config.accumulator_words,
        "parameter_words": config.parameter_words,
        "bus": config.axi_data_bits | config.axi_outstanding << 16,
    }
