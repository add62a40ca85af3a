"""Random legal instructions over a pool of initialised words, biased to the edges of the ISA.

Fields are drawn and then kept only when every word that is read holds defined data (access.py), so
the simulator and the hardware must agree on every byte that comes out.
"""

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import Access, Accesses, accesses
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config
from tilewright.hw.spec.encoding import field_range, layout
from tilewright.hw.spec.hazard import overwrites_own_source, writes_twice
from tilewright.hw.spec.instruction_set import BY_NAME, instruction
from tilewright.hw.spec.isa import Combine, Instruction, Operation, Reduction, Source, Target
from tilewright.hw.spec.loops import DRAM_MODULUS, Space, num_words, word_pitch
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.hw.spec.operations.transfer import Load, Store
from tilewright.hw.spec.operations.vector import Vector

_ATTEMPTS = 60


def _lies_in(access: Access, area: tuple[int, int]) -> bool:
    """Tell whether all of an access lies in [start, end)."""
    start, end = access.bounds
    return area[0] <= start and end <= area[1]


class Pool:
    """What random instructions may use: initialised SRAM words and DRAM areas.

    defined: per SRAM, which words hold defined data; `data`, `scratch`: DRAM (first byte, end) of
    readable bytes and of bytes that stores may overwrite; `parameter_address`: DRAM byte of
    parameter word 0, of which only the defined words exist; `blocks`: (parameter word, lane
    groups, whether the scales suit accumulators) of parameter blocks; `unit_blocks`: those that
    make stage 1's result one step, as for unrounded sums; `tables`: parameter words.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.defined: dict[Space, NDArray[np.bool_]] = {
            space: np.zeros(num_words(space, config), np.bool_)
            for space in Space
            if space != Space.DRAM
        }
        self.data = (0, 0)
        self.scratch = (0, 0)
        self.parameter_address = 0
        self.blocks: list[tuple[int, int, bool]] = []
        self.unit_blocks: list[tuple[int, int, bool]] = []
        self.tables: list[int] = []

    def allows(self, i: Instruction) -> bool:
        """Tell whether the instruction is legal, reads defined words and writes where it may."""
        touched = accesses(i, self.config)
        if touched.out_of_range or overwrites_own_source(touched, i, self.config):
            return False
        for access in touched.reads:
            if access.space == Space.DRAM:
                if not _lies_in(access, self.data):
                    return False
            elif not self.defined[access.space][access.addresses].all():
                return False
        for access in touched.writes:
            if access.space == Space.DRAM:
                if not _lies_in(access, self.scratch):
                    return False
                if writes_twice(touched):
                    return False
            elif isinstance(i, Vector) and not self.defined[access.space][access.addresses].all():
                return False
        return True

    def note(self, touched: Accesses) -> None:
        """Mark what an instruction wrote as defined."""
        for access in touched.writes:
            if access.space != Space.DRAM:
                self.defined[access.space][access.addresses] = True

    def segment(self, space: Space, rng: random.Random) -> tuple[int, int]:
        """Return a random maximal run [start, end) of defined words; (0, 0) when none is."""
        padded = np.concatenate(([False], self.defined[space], [False])).astype(np.int8)
        edges = np.flatnonzero(np.diff(padded))
        if not edges.size:
            return 0, 0
        choice = rng.randrange(edges.size // 2)
        return int(edges[2 * choice]), int(edges[2 * choice + 1])


def random_instruction(operation: str, pool: Pool, rng: random.Random) -> Instruction:
    """Return a random legal instruction of that operation without waits.

    One in twelve does nothing (a count is 0 and everything else arbitrary); so does one for which
    no legal fields were found.
    """
    if rng.randrange(12):
        for _ in range(_ATTEMPTS):
            candidate = SAMPLE[BY_NAME[operation]](pool, rng)
            if pool.allows(candidate):
                return candidate
    return zero_instruction(operation, pool.config, rng)


def zero_instruction(operation: str, config: Config, rng: random.Random) -> Instruction:
    """Return an instruction with arbitrary legal field values and at least one count of 0."""
    fields = {}
    for field, _, _ in layout(BY_NAME[operation], config)[-len(BY_NAME[operation].fields) :]:
        fields[field.name] = rng.randint(*field_range(field, config))
    for name in rng.sample(BY_NAME[operation].counts, rng.choice((1, 1, 2))):
        fields[name] = 0
    return BY_NAME[operation].of(fields)


def _small(rng: random.Random, high: int) -> int:
    """Return 1 to high, mostly 1 or small."""
    return rng.choice((1, 1, min(2, high), rng.randint(1, high)))


def _address(segment: tuple[int, int], rng: random.Random) -> int:
    """Return an address of the segment, often its first, sometimes near its end."""
    start, end = segment
    if end <= start:
        return start
    return rng.choice((start, rng.randrange(start, end), rng.randrange(start, end), end - 1))


def _window(rng: random.Random, kernel: int, out: int) -> dict[str, int]:
    fields = {
        "padding": rng.choice((0, -128, 127, rng.randint(-128, 127))),
        "kernel_height": _small(rng, kernel),
        "kernel_width": _small(rng, kernel),
        "out_height": _small(rng, out),
        "out_width": rng.randint(1, out + 2),
    }
    for axis, size in (("y", "height"), ("x", "width")):
        fields[f"stride_{axis}"] = rng.choice((1, 1, 1, 0, 2, 3))
        fields[f"dilation_{axis}"] = rng.choice((1, 1, 1, 0, 2, 3))
        fields[f"origin_{axis}"] = rng.choice((0, 0, -1, rng.randint(-3, 3)))
        fields[size] = rng.choice((rng.randint(1, 4), rng.randint(1, 9), rng.randint(4, 9)))
        if rng.random() < 0.05:
            fields[size] = 0
        if rng.random() < 0.03:
            fields[f"origin_{axis}"] = rng.choice((-8192, 8191, -200))
        if rng.random() < 0.03:
            fields[size] = 16383
            fields[f"origin_{axis}"] = rng.randint(0, 3)
    return fields


def _wrapped_rows(config: Config, fields: dict[str, int], rng: random.Random) -> dict[str, int]:
    """Sometimes place the only row so that its address passes 2^20 once."""
    bits = min(config.activation_words, config.accumulator_words).bit_length() - 1
    if rng.random() > 0.04 or bits < 8:
        return fields
    row = 1 << (20 - bits)
    return fields | {
        "source_pitch": 1 << bits,
        "origin_y": row - rng.choice((0, row)),
        "height": row + 1,
        "kernel_height": 1,
        "out_height": 1,
    }


def _sample_matrix(pool: Pool, rng: random.Random) -> Instruction:
    config = pool.config
    fields = _window(rng, 3, 5)
    segment = pool.segment(Space.ACTIVATION, rng)
    length = segment[1] - segment[0]
    fields |= {
        "out_blocks": _small(rng, 3),
        "in_blocks": _small(rng, 3),
        "source": _address(segment, rng),
        "source_pitch": max(0, fields["width"] + rng.choice((0, 0, 1, -1))) % 64,
        "source_out_stride": rng.choice((0, 0, 1, rng.randint(0, length // 3 + 1))),
        "source_in_stride": rng.choice((1, rng.randint(0, length // 3 + 1))),
        "weights": _address(pool.segment(Space.WEIGHT, rng), rng),
        "accumulate": rng.randrange(2),
    }
    fields = _wrapped_rows(config, fields, rng)
    fields |= _accumulator_words(pool, fields, fields["out_blocks"], rng)
    return instruction("MATRIX", (), **fields)


def _sample_depthwise(pool: Pool, rng: random.Random) -> Instruction:
    config = pool.config
    window = _window(rng, DEPTHWISE_KERNEL_ROWS, 5)
    names = {field.name for field in BY_NAME["DEPTHWISE"].fields}
    fields = {name: value for name, value in window.items() if name in names}
    start, end = pool.segment(Space.ACTIVATION, rng)
    fields |= {
        "kernel_width": _small(rng, config.depthwise_taps),
        "blocks": _small(rng, 3),
        "source": _address((start, end), rng),
        "source_pitch": max(0, fields["width"] + rng.choice((0, 0, 1, -1))) % 64,
        "source_stride": rng.choice((1, rng.randint(0, (end - start) // 3 + 1))),
        "weights": _address(pool.segment(Space.PARAMETER, rng), rng),
        "accumulate": rng.randrange(2),
    }
    fields = _wrapped_rows(config, fields, rng)
    fields |= _accumulator_words(pool, fields, fields["blocks"], rng)
    return instruction("DEPTHWISE", (), **fields)


def _accumulator_words(
    pool: Pool, fields: dict[str, int], blocks: int, rng: random.Random
) -> dict[str, int]:
    """Return a destination of `blocks` blocks in the accumulators, and its stride."""
    pixels = fields["out_height"] * fields["out_width"]
    words = pool.config.accumulator_words
    choices = (0, words // 2 - pixels // 2, words - pixels * blocks, rng.randrange(words))
    first = rng.choice(choices)
    if fields["accumulate"]:
        first = _address(pool.segment(Space.ACCUMULATOR, rng), rng)
    return {
        "destination": min(max(0, first), words),
        "destination_stride": pixels + rng.choice((0, 0, 1, 3)),
    }


def _sample_vector(pool: Pool, rng: random.Random) -> Instruction:
    config = pool.config
    source_kind = rng.choice(tuple(Source))
    accumulator = source_kind == Source.ACCUMULATOR
    space = Space.ACCUMULATOR if accumulator else Space.ACTIVATION
    source = pool.segment(space, rng)
    groups = config.col_groups if accumulator else config.row_groups
    fields = _window(rng, 3, 5)
    if rng.random() < 0.4:
        fields |= {"kernel_height": 1, "kernel_width": 1}
    combine = rng.choice((Combine.NONE, *Combine))
    unrounded = int(rng.random() < (0.4 if combine else 0.1))
    blocks = pool.unit_blocks if unrounded and rng.random() < 0.8 else pool.blocks
    fitting = [b for b in blocks if b[2] == accumulator or rng.random() < 0.1] or pool.blocks
    block, num_groups, _ = rng.choice(fitting)
    negative_scales = int(num_groups > 1 and rng.random() < 0.25)
    fields |= {
        "source_kind": source_kind,
        "reduction": rng.choice(tuple(Reduction)),
        "combine": combine,
        "use_table": int(rng.random() < 0.3),
        "uniform": int(rng.random() < 0.25),
        "negative_scales": negative_scales,
        "unrounded": unrounded,
        "groups": min(
            num_groups // (1 + negative_scales), _small(rng, 3) * rng.choice((1, groups))
        ),
        "source": _address(source, rng),
        "source_stride": rng.choice((1, rng.randint(0, (source[1] - source[0]) // 2 + 1))),
        "source_pitch": max(0, fields["width"] + rng.choice((0, 0, 1, -1))) % 64,
        "source_group": rng.choice((0, rng.randrange(groups))),
        "parameters": block,
        "table": rng.choice(pool.tables),
    }
    fields = _wrapped_rows(config, fields, rng)
    for name in ("operand", "destination"):
        start, end = pool.segment(Space.ACTIVATION, rng)
        pitch = fields["out_width"] + rng.choice((0, 0, 1, 2))
        stride = fields["out_height"] * pitch + rng.choice((0, 0, 1))
        fields[name] = _address((start, end), rng)
        fields[f"{name}_pitch"] = pitch if rng.random() < 0.95 else rng.randint(0, 3)
        fields[f"{name}_stride"] = stride if rng.random() < 0.95 else rng.randint(0, 9)
        fields[f"{name}_group"] = rng.choice((0, rng.randrange(config.row_groups)))
    if rng.random() < 0.15 and fields["combine"]:
        names = ("", "_pitch", "_stride", "_group")
        fields |= {f"operand{name}": fields[f"destination{name}"] for name in names}
    return instruction("VECTOR", (), **fields)


def _steps(rng: random.Random, length: int) -> dict[str, int]:
    """Return counts and SRAM strides of a transfer of at most about `length` words."""
    run = rng.choice((1, _small(rng, 8), rng.randint(1, 24), rng.randint(1, max(1, length))))
    fields = {"run": run}
    for axis in range(3):
        count = rng.choice((1, 1, 2, 3)) if run < 24 else 1
        fields[f"count{axis}"] = count
        fields[f"sram_stride{axis}"] = rng.choice((run, run + 1, rng.randint(0, length // 2 + 1)))
    return fields


def _far_steps(fields: dict[str, int], pitch: int, area: tuple[int, int], rng: random.Random
               ) -> None:  # fmt: skip
    """Add DRAM address and strides: dense, spread over the area, or backwards."""
    words = (area[1] - area[0]) // pitch
    first = (area[0] + pitch - 1) // pitch + rng.randrange(max(1, words))
    extent = fields["run"]
    for axis in range(3):
        far = rng.choice((extent, extent + 1, rng.randint(0, max(1, words // 2))))
        far = rng.choice((far, far, -far))
        fields[f"dram_stride{axis}"] = far * pitch % DRAM_MODULUS
        extent += abs(far) * (fields[f"count{axis}"] - 1)
        if far < 0:
            first += -far * (fields[f"count{axis}"] - 1)
    fields["dram_address"] = first * pitch % DRAM_MODULUS


def _sample_load(pool: Pool, rng: random.Random) -> Instruction:
    target = rng.choice((Target.ACTIVATION, Target.ACTIVATION, Target.WEIGHT, Target.PARAMETER))
    if target == Target.PARAMETER:
        return _sample_parameter_load(pool, rng)
    space = Space[target.name]
    pitch = word_pitch(space, pool.config)
    segment = pool.segment(space, rng)
    fields = _steps(rng, min(64, segment[1] - segment[0]))
    _far_steps(fields, pitch, pool.data, rng)
    anywhere = rng.randrange(num_words(space, pool.config))
    address = rng.choice((_address(segment, rng), _address(segment, rng), anywhere))
    return instruction("LOAD", (), target=target, sram_address=address, **fields)


def _sample_parameter_load(pool: Pool, rng: random.Random) -> Instruction:
    """Load some words of the parameter image again, to where they belong."""
    defined = np.flatnonzero(pool.defined[Space.PARAMETER])
    first = int(rng.choice(defined))
    run = rng.randint(1, min(16, int(defined[-1]) + 1 - first))
    return instruction(
        "LOAD", target=Target.PARAMETER, run=run, count0=1, count1=1, count2=1,
        sram_address=first,
        dram_address=pool.parameter_address + first * pool.config.parameter_pitch,
    )  # fmt: skip


def _sample_store(pool: Pool, rng: random.Random) -> Instruction:
    segment = pool.segment(Space.ACTIVATION, rng)
    fields = _steps(rng, min(64, segment[1] - segment[0]))
    _far_steps(fields, pool.config.activation_pitch, pool.scratch, rng)
    return instruction("STORE", (), sram_address=_address(segment, rng), **fields)


SAMPLE: dict[Operation, Callable[[Pool, random.Random], Instruction]] = {
    Load: _sample_load,
    Store: _sample_store,
    Matrix: _sample_matrix,
    Depthwise: _sample_depthwise,
    Vector: _sample_vector,
}
"""How fields of each operation are drawn; END has none."""
