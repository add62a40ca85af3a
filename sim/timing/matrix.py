"""The matrix engine: it never stalls, so that an instruction's times are known on acceptance."""

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import (
    acceptance_gap,
    accumulate_latency,
    matrix_first_tile_cycles,
    matrix_pipeline,
    matrix_tile_cycles,
)
from tilewright.hw.spec.isa import Engine, Shape
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.sim.timing.activity import ACCUMULATOR, ACTIVATION, Trace
from tilewright.sim.timing.matrix_ports import (
    accumulator_reads,
    accumulator_writes,
    activation_reads,
)
from tilewright.sim.timing.simulation import MatrixState, Simulation

READ_CYCLES = 2
"""From the cycle in which a weight tile is taken to its first pixel's activation read."""


class _Size:
    """What the times of instructions of a shape depend on."""

    __slots__ = (
        "accumulates",
        "earlier_cycles",
        "is_empty",
        "last_word",
        "pixels",
        "tile_cycles",
    )

    def __init__(self, i: Matrix, config: Config) -> None:
        self.is_empty = i.is_empty
        self.accumulates = bool(i.accumulate) and not self.is_empty
        self.pixels, tiles = (1, 1) if self.is_empty else (i.pixels, i.tiles)
        self.tile_cycles = matrix_tile_cycles(self.pixels, config)
        self.earlier_cycles = (tiles - 1) * self.tile_cycles
        """Of all tiles but the last."""
        self.last_word = (i.out_blocks - 1) * i.destination_stride + self.pixels - 1
        """Of its sums, from the first one on."""


class MatrixModel(MatrixState):
    """Weight tiles follow one another; the next instruction's first tile loads meanwhile."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self._config = config = machine.config
        self._first_load = matrix_first_tile_cycles(config)
        self._pipeline = matrix_pipeline(config)
        self._gap = acceptance_gap(config)
        self._free = 0
        """When the next instruction can be accepted."""
        self._pixels_end = 0
        """When the next tile can be taken."""
        self._last_word = -1
        self._sizes: dict[Shape, _Size] = {}
        self.version = 0
        """Of what is known of its reads."""
        self._pending = accumulate_latency(config) - 1
        """So many cycles behind a pixel its sum cannot be read."""
        writes = self._pipeline + 1
        self._activations = activation_reads(machine.activation_reads)
        self._sums = [(accumulator_reads(machine.accumulator_reads), writes - self._pending)]
        """And how long behind a tile's first cycle its first pixel's are."""
        if Engine.DEPTHWISE in machine.engines or machine.trace is not None:
            pattern = accumulator_writes(machine.accumulator_writes)
            self._sums.append((pattern, writes))

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: when the last tile before it is taken or, with the gap, behind that."""
        return max(offer, self._free)

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel: notes its retirement and its reads."""
        i = self._machine.instructions[number]
        assert isinstance(i, Matrix)
        size = self._sizes.get(i.shape)
        if size is None:
            size = self._sizes[i.shape] = _Size(i, self._config)
        first = max(cycle + self._first_load, self._pixels_end)
        if size.accumulates:
            first = self._after_pending_sum(first, i.destination)
        last = first + size.earlier_cycles
        self._free = last + self._gap
        self._pixels_end = last + size.pixels
        self._machine.retire(number, self._pixels_end + self._pipeline, cycle)
        if size.is_empty:
            self._last_word = -1
            return
        destination: int = i.destination
        self._last_word = destination + size.last_word
        self.version += 1
        self._activations.occupy(i, i.source, size.tile_cycles, first + READ_CYCLES)
        for pattern, delay in self._sums:
            pattern.occupy(i, destination, size.tile_cycles, first + delay)

    def _after_pending_sum(self, first: int, destination: int) -> int:
        """A block that accumulates waits until the last sums before it can be read."""
        words_before = self._last_word - destination
        if 0 <= words_before < self._pending:
            return max(first, self._pixels_end + self._pending - words_before)
        return first


def note_ports(machine: Simulation, trace: Trace) -> None:
    """Note in the trace when it reads activations, and reads and writes accumulators."""
    name = Engine.MATRIX.name
    trace.note_banks(ACTIVATION, "read", name, -1, machine.activation_reads)
    trace.note_banks(ACCUMULATOR, "read", name, -1, machine.accumulator_reads)
    trace.note_banks(ACCUMULATOR, "write", name, -1, machine.accumulator_writes)
