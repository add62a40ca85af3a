"""What a run is given and what it returns."""

from collections.abc import Mapping
from dataclasses import field

import numpy as np
import numpy.typing as npt

from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.registers import Fault
from tilewright.support.errors import InputError
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class ErrorRange:
    """Bus addresses [first, last) that answer with an error response (2 SLVERR, 3 DECERR).

    reads, writes: which accesses it hits. A write that fails changes no memory.
    """

    first: int
    last: int
    reads: bool = True
    writes: bool = True
    response: int = 2


@record(frozen=True, kw_only=True)
class DramParameters:
    """The DRAM behind the accelerator's AXI4 master; see native/dram.h for the exact timing.

    latency_cycles: from a read's address handshake to its first data beat, and from a write's
        last data handshake to its response.
    beats_per_cycle: bandwidth of each direction, 0 < b <= 1; reads and writes are independent.
    max_outstanding: read bursts, and write bursts, under way before the address ready falls.
    stall_probability: if not 0, the chance with which a ready or valid is withheld each cycle;
        latencies are then random in 1 .. 2*latency_cycles+1 and IDs overtake each other.
    seed: of everything random, the contents of uninitialized registers included.
    allow_out_of_range: accesses outside the image answer DECERR without being a violation.
    errors: ranges that answer with an error.

    Raises InputError when a field breaks its rule.
    """

    latency_cycles: int = MEMORY_LATENCY
    beats_per_cycle: float = 1.0
    max_outstanding: int = 64
    stall_probability: float = 0.0
    seed: int = 0
    allow_out_of_range: bool = False
    errors: tuple[ErrorRange, ...] = ()

    def __post_init__(self) -> None:
        rules = (
            ("latency_cycles", "1 to 100000", 1 <= self.latency_cycles <= 100_000),
            ("beats_per_cycle", "above 0 and at most 1", 0 < self.beats_per_cycle <= 1),
            ("max_outstanding", "1 to 1024", 1 <= self.max_outstanding <= 1024),
            ("stall_probability", "0 to 0.95", 0 <= self.stall_probability <= 0.95),
            ("seed", "0 to 2^31-1", 0 <= self.seed < 1 << 31),
        )
        for name, rule, holds in rules:
            if not holds:
                raise InputError(f"DRAM parameter {name} must be {rule}, got {getattr(self, name)}")


@record(frozen=True, kw_only=True)
class AbortedRun:
    """A program that is started, and aborted `cycles` after its start unless it has ended.

    program_address, dram_base: as in `runner.run`; its DRAM lies inside the run's image.
    reset: the accelerator alone, not the memory, is reset as soon as it is no longer busy.
    """

    program_address: int
    dram_base: int
    cycles: int
    reset: bool = False


@record(frozen=True, kw_only=True)
class DramStatistics:
    """What crossed the AXI4 port, counted by the DRAM model over the whole run."""

    read_bursts: int
    read_beats: int
    read_bytes: int
    write_bursts: int
    write_beats: int
    write_bytes: int
    """Bytes whose strobe was set."""
    read_stall_cycles: int
    """Cycles in which the accelerator did not take an offered beat."""
    write_wait_cycles: int
    """Cycles in which the accelerator offered a beat that the DRAM did not take."""
    max_outstanding_reads: int
    max_outstanding_writes: int
    error_responses: int
    read_beats_by_id: tuple[int, ...]


@record(frozen=True, kw_only=True)
class Retirement:
    """The `count`-th retirement (from 1) of an engine, in cycles after the start write."""

    engine: str
    count: int
    cycle: int


@record(frozen=True, kw_only=True)
class Expectation:
    """Bytes that an SRAM must hold when an engine retires for the `count`-th time (from 1).

    word: address of the first word; data: whole words, the last one may be cut short.
    """

    engine: str
    count: int
    sram: str
    word: int
    data: bytes


@record(frozen=True, kw_only=True)
class Mismatch:
    """The first wrong byte of a word that broke an expectation."""

    engine: str
    count: int
    cycle: int
    sram: str
    word: int
    byte: int
    expected: int
    actual: int

    def __str__(self) -> str:
        return (
            f"{self.sram} word {self.word} byte {self.byte} is {self.actual}, "
            f"expected {self.expected}, at retirement {self.count} of {self.engine} "
            f"(cycle {self.cycle})"
        )


@record(frozen=True, kw_only=True)
class RunResult:
    """What one program did on the RTL.

    memory: uint8, the image after the run.
    cycles: from the start write's data handshake to the interrupt.
    registers: every readable register by name (hw/spec/registers.py).
    fault, fault_instruction: fault_cause NONE and None when there was none.
    retirements: in order of cycles; empty when the model has no retire probes.
    mismatches: broken expectations (the first 20; num_mismatches counts them all, in words).
    violations: broken AXI rules, in words (the first 20).
    seconds, cycles_per_second: wall time from the release of reset to the interrupt.
    cpu_seconds: processor time of the same span.
    """

    memory: npt.NDArray[np.uint8]
    cycles: int
    registers: Mapping[str, int]
    fault: Fault
    fault_instruction: int | None
    dram: DramStatistics
    retirements: tuple[Retirement, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    num_mismatches: int = 0
    num_checked_bytes: int = 0
    violations: tuple[str, ...] = field(default=())
    seconds: float
    cpu_seconds: float
    cycles_per_second: float
