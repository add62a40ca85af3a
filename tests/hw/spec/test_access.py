"""Accesses and hazards against loops over every pixel, from docs/architecture.md."""

import random

import numpy as np
import pytest

from tilewright.hw.spec.access import Access, accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.hazard import overwrites_own_source, writes_twice
from tilewright.hw.spec.instruction_set import BY_NAME, OPERATIONS, instruction
from tilewright.hw.spec.intervals import merge
from tilewright.hw.spec.isa import Instruction, Target
from tilewright.hw.spec.loops import Space

CONFIGS = {
    "nano": Config.load("nano"),
    "1x1": Config(rows=1, cols=1, lanes=1, operand_lanes=1, activation_kib=1, weight_kib=1,
                  accumulator_kib=1, parameter_kib=1),
    "3x5": Config(rows=3, cols=5, lanes=1, operand_lanes=1, activation_kib=1, weight_kib=1,
                  accumulator_kib=1, parameter_kib=1),
    "12x20": Config(rows=12, cols=20, lanes=4, operand_lanes=2, activation_kib=4, weight_kib=4,
                    accumulator_kib=4, parameter_kib=2),
}  # fmt: skip


class Loops:
    """Walks an instruction pixel by pixel; collects what it touches and in which step."""

    def __init__(self, i: Instruction, config: Config) -> None:
        self.i, self.config = i, config
        self.reads = {space: set() for space in Space}
        self.writes = {space: set() for space in Space}
        self.num_writes = 0
        self.out_of_range = False
        self.step = 0
        self.first_write, self.last_read = {}, {}
        getattr(self, i.name.lower())()

    def touch(self, kind: str, space: Space, address: int, modulus: int = 2**20, lane=None) -> None:
        """`lane`: lane group that is read or written, of an operand where the result goes."""
        address %= modulus
        limit = {
            Space.ACTIVATION: self.config.activation_words,
            Space.WEIGHT: self.config.weight_words,
            Space.ACCUMULATOR: self.config.accumulator_words,
            Space.PARAMETER: self.config.parameter_words,
        }[space]
        if address >= limit:
            self.out_of_range = True
            return
        getattr(self, kind)[space].add(address)
        self.num_writes += kind == "writes"
        ordered = Space.ACCUMULATOR if self.i.name == "DEPTHWISE" else Space.ACTIVATION
        if space == ordered:
            if kind == "reads":
                self.last_read[address if lane is None else (address, lane)] = self.step
            else:
                self.first_write.setdefault(address, self.step)
                self.first_write.setdefault((address, lane), self.step)

    def window(self, space, base, y, x, ky, kx) -> None:
        i = self.i
        iy = i.origin_y + y * i.stride_y + ky * i.dilation_y
        ix = i.origin_x + x * i.stride_x + kx * i.dilation_x
        if 0 <= iy < i.height and 0 <= ix < i.width:
            self.touch("reads", space, base + iy * i.source_pitch + ix)

    def matrix(self) -> None:
        i, c = self.i, self.config
        kernel = range(i.kernel_height), range(i.kernel_width)
        pixels = [(y, x) for y in range(i.out_height) for x in range(i.out_width)]
        w = i.weights
        for ob in range(i.out_blocks):
            for ib in range(i.in_blocks):
                for ky in kernel[0]:
                    for kx in kernel[1]:
                        if pixels and i.weights >= c.weight_words:
                            self.out_of_range = True
                        elif pixels:
                            for r in range(c.rows):
                                self.touch("reads", Space.WEIGHT, w + r, c.weight_words)
                            w += c.rows
                        for y, x in pixels:
                            base = (i.source + ob * i.source_out_stride
                                    + ib * i.source_in_stride)  # fmt: skip
                            self.window(Space.ACTIVATION, base, y, x, ky, kx)
                            d = i.destination + ob * i.destination_stride
                            d += y * i.out_width + x
                            self.touch("writes", Space.ACCUMULATOR, d)
                            if i.accumulate:
                                self.touch("reads", Space.ACCUMULATOR, d)

    def depthwise(self) -> None:
        i, c = self.i, self.config
        if 0 in [getattr(i, n) for n in ("blocks", "kernel_height", "kernel_width", "out_height",
                                "out_width")]:  # fmt: skip
            return
        step = max(i.stride_x, 1)
        words = -(-3 * c.depthwise_taps * c.rows // (8 * c.lanes))
        for b in range(i.blocks):
            for word in range(words):
                self.touch("reads", Space.PARAMETER, i.weights + b * words + word)
            for y in range(i.out_height):
                for p in range((i.out_width - 1) * step + i.kernel_width):
                    for ky in range(i.kernel_height):
                        iy = i.origin_y + y * i.stride_y + ky * i.dilation_y
                        ix = i.origin_x + p
                        if 0 <= iy < i.height and 0 <= ix < i.width:
                            base = i.source + b * i.source_stride
                            self.touch("reads", Space.ACTIVATION, base + iy * i.source_pitch + ix)
                for x in range(i.out_width):
                    d = i.destination + b * i.destination_stride + y * i.out_width + x
                    if i.accumulate:
                        self.touch("reads", Space.ACCUMULATOR, d)
                    self.touch("writes", Space.ACCUMULATOR, d)
                    self.step += 1

    def vector(self) -> None:
        i, c = self.i, self.config
        if 0 in [getattr(i, n) for n in ("groups", "kernel_height", "kernel_width", "out_height",
                                "out_width")]:  # fmt: skip
            return
        rows, cols = c.rows // c.lanes, c.cols // c.lanes
        source_groups = cols if i.source_kind else rows
        if (i.source_group >= source_groups or i.destination_group >= rows
                or (i.combine and i.operand_group >= rows)):  # fmt: skip
            self.out_of_range = True
            return
        header = -(-32 // (8 * c.lanes))
        words = 2 if i.negative_scales else 1
        for word in range(header + words * (1 if i.uniform else i.groups)):
            self.touch("reads", Space.PARAMETER, i.parameters + word)
        for word in range(-(-256 // (8 * c.lanes)) if i.use_table else 0):
            self.touch("reads", Space.PARAMETER, i.table + word)
        for g in range(i.groups):
            for y in range(i.out_height):
                for x in range(i.out_width):
                    self.vector_pixel(g, y, x, source_groups, rows)
                    self.step += 1

    def vector_pixel(self, g, y, x, source_groups, rows) -> None:
        i = self.i
        space = Space.ACCUMULATOR if i.source_kind else Space.ACTIVATION
        base = i.source + (i.source_group + g) // source_groups * i.source_stride
        for ky in range(i.kernel_height):
            for kx in range(i.kernel_width):
                self.window(space, base, y, x, ky, kx)
        ends = ("", "_stride", "_pitch", "_group")
        is_in_place = all(getattr(i, f"operand{e}") == getattr(i, f"destination{e}") for e in ends)
        lane = (i.destination_group + g) % rows if is_in_place else None
        for name, kind in (("operand", "reads"), ("destination", "writes")):
            if name == "destination" or i.combine:
                block = (getattr(i, f"{name}_group") + g) // rows
                address = getattr(i, name) + block * getattr(i, f"{name}_stride")
                address += y * getattr(i, f"{name}_pitch") + x
                self.touch(kind, Space.ACTIVATION, address, lane=lane)

    def runs(self):
        i = self.i
        for i2 in range(i.count2):
            for i1 in range(i.count1):
                for i0 in range(i.count0):
                    steps = ((i2, 2), (i1, 1), (i0, 0))
                    d = i.dram_address + sum(n * getattr(i, f"dram_stride{a}") for n, a in steps)
                    yield (
                        d,
                        i.sram_address + sum(n * getattr(i, f"sram_stride{a}") for n, a in steps),
                    )

    def transfer(self, space, pitch, near, far) -> None:
        for d, s in self.runs():
            for k in range(self.i.run):
                first = (d // pitch * pitch + k * pitch) % 2**32
                getattr(self, far)[Space.DRAM].update(range(first, first + pitch))
                self.num_writes += pitch * (far == "writes")
                if space == Space.WEIGHT and s % 2**20 >= self.config.weight_words:
                    self.out_of_range = True
                elif space == Space.WEIGHT:
                    self.touch(near, space, s % 2**20 + k, self.config.weight_words)
                else:
                    self.touch(near, space, s + k)

    def load(self) -> None:
        c = self.config
        space, pitch = (
            (Space.ACTIVATION, c.activation_pitch),
            (Space.WEIGHT, c.weight_pitch),
            (Space.PARAMETER, c.parameter_pitch),
        )[self.i.target]
        self.transfer(space, pitch, "writes", "reads")

    def store(self) -> None:
        self.transfer(Space.ACTIVATION, self.config.activation_pitch, "reads", "writes")

    @property
    def has_groups_in_place(self) -> bool:
        """Lane groups of one word are read and written in place, one behind the other."""
        return any(isinstance(place, tuple) and place[1] > 0 for place in self.last_read)

    def writes_twice(self) -> bool:
        distinct = sum(map(len, self.writes.values()))
        return self.i.name in ("LOAD", "STORE") and self.num_writes > distinct

    def overwrites(self) -> bool:
        return any(step < self.last_read.get(word, -1) for word, step in self.first_write.items())


def small_value(name: str, config: Config, rng: random.Random) -> int:
    """Return a value for a field: small loops, addresses anywhere and often near an end."""
    if name.startswith(("kernel", "count", "out_", "in_blocks", "groups")):
        return rng.choice((1, 1, 2, 3, rng.randint(0, 4)))
    if name.startswith(("stride_", "dilation_")):
        return rng.choice((0, 1, 1, 2, 3))
    if name.startswith("origin"):
        return rng.randint(-4, 3)
    if name in ("height", "width", "run"):
        return rng.randint(0, 7)
    if name.endswith("_group"):
        return rng.choice((0, 0, 1, 2, 5))
    if name in ("source_kind", "combine", "use_table", "uniform", "accumulate", "reduction",
                "negative_scales"):  # fmt: skip
        return rng.randint(0, 1)
    if name == "target":
        return rng.randint(0, 2)
    if name.startswith("dram"):
        pitch = 256
        word = rng.choice((rng.randint(0, 40), 2**32 // pitch - rng.randint(0, 5)))
        return word * pitch % 2**32 + (rng.randrange(pitch) if name == "dram_address" else 0)
    if name.endswith(("stride", "pitch")) or name.startswith("sram_stride"):
        return rng.choice((0, 1, rng.randint(0, 9), rng.randint(0, 60)))
    near = rng.choice((config.activation_words, config.weight_words, config.accumulator_words,
                       config.parameter_words))  # fmt: skip
    return max(0, rng.choice((rng.randint(0, 90), near - rng.randint(-2, 40))))


def random_instruction(config: Config, rng: random.Random) -> Instruction:
    operation = rng.choice([o.name for o in OPERATIONS if o.engine is not None])
    fields = {}
    for field in BY_NAME[operation].fields:
        limit = (1 << field.bits(config)) - 1
        fields[field.name] = min(limit, small_value(field.name, config, rng))
    if operation == "VECTOR" and rng.random() < 0.6:  # in place, or nearly
        for name in ("source", "operand", "destination"):
            fields[name] = rng.randint(0, 9)
        fields |= {"parameters": 0, "table": 0, "source_group": 0, "source_kind": 0}
        fields |= {"operand_group": 0, "destination_group": 0}
        if rng.random() < 0.5:
            for name in ("", "_stride", "_pitch"):
                fields[f"destination{name}"] = fields[f"source{name}"]
            fields |= {"kernel_height": 1, "kernel_width": 1, "stride_x": 1, "stride_y": 1}
            fields |= {"origin_y": 0, "origin_x": 0, "combine": 0}
        elif rng.random() < 0.5:
            for name in ("", "_stride", "_pitch"):
                fields[f"operand{name}"] = fields[f"destination{name}"]
            fields |= {"source": 60, "combine": 1, "groups": rng.choice((1, 2, 4))}
    return instruction(operation, (), **fields)


@pytest.mark.parametrize("name", CONFIGS)
def test_accesses_equal_loops(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    in_range = overwriting = in_order = by_group = 0
    for number in range(600):
        i = random_instruction(config, rng)
        loops, actual = Loops(i, config), accesses(i, config)
        for kind in ("reads", "writes"):
            found = {a.space: set(a.addresses.tolist()) for a in getattr(actual, kind)}
            expected = {space: words for space, words in getattr(loops, kind).items() if words}
            assert found == expected, (number, kind, i)
        assert actual.out_of_range == loops.out_of_range, (number, i)
        if not loops.out_of_range:
            assert overwrites_own_source(actual, i, config) == loops.overwrites(), (number, i)
            in_range += 1
            overwriting += loops.overwrites()
            in_order += bool(loops.first_write.keys() & loops.last_read.keys())
            by_group += not loops.overwrites() and loops.has_groups_in_place
    assert in_range > 100
    assert overwriting > 5
    assert in_order - overwriting > 3
    assert by_group > 3 or config.rows == config.lanes


@pytest.mark.parametrize("name", CONFIGS)
def test_accesses_of_a_shape_that_is_known_equal_loops_at_other_bases(name: str) -> None:
    config = CONFIGS[name]
    rng = random.Random(f"{name} moved")
    in_range = overwriting = twice = 0
    for number in range(60):
        given = random_instruction(config, rng)
        for _ in range(8):
            bases = {base: small_value(base, config, rng) for base in given.bases}
            if rng.random() < 0.5:  # in place, or nearly
                bases |= {base: rng.randint(0, 9) for base in bases}
            i = given.of({**given.values(), **bases})
            loops, actual = Loops(i, config), accesses(i, config)
            for kind in ("reads", "writes"):
                found = {a.space: set(a.addresses.tolist()) for a in getattr(actual, kind)}
                expected = {space: words for space, words in getattr(loops, kind).items() if words}
                assert found == expected, (number, kind, i)
                for a in getattr(actual, kind):
                    assert a.num_words == a.addresses.size == sum(e - s for s, e in a.pairs)
            assert actual.out_of_range == loops.out_of_range, (number, i)
            if not loops.out_of_range:
                assert overwrites_own_source(actual, i, config) == loops.overwrites(), (number, i)
                assert writes_twice(actual) == loops.writes_twice(), (number, i)
                in_range += 1
                overwriting += loops.overwrites()
                twice += loops.writes_twice()
    assert in_range > 60
    assert overwriting
    assert twice


def test_overlap_equals_sets() -> None:
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(300):
        pair = []
        for _ in range(2):
            starts = rng.integers(0, 40, rng.integers(0, 4))
            merged = merge(starts, starts + rng.integers(1, 5, starts.size))
            pair.append(Access.of(Space.WEIGHT, *merged))
        one, two = pair
        expected = bool(set(one.addresses.tolist()) & set(two.addresses.tolist()))
        assert one.overlaps(two) == two.overlaps(one) == expected
        outcomes.add(expected)
    assert outcomes == {True, False}


def test_dense_regions_are_one_interval() -> None:
    config = Config.load("base")
    i = instruction("LOAD", run=14, count0=14, count1=3, count2=1, dram_stride0=14 * 16,
                    sram_stride0=14, dram_stride1=14 * 14 * 16, sram_stride1=196)  # fmt: skip
    found = accesses(i, config)
    assert [(a.starts.tolist(), a.ends.tolist()) for a in (*found.reads, *found.writes)] == [
        ([0], [14 * 14 * 3 * 16]),
        ([0], [14 * 14 * 3]),
    ]


@pytest.mark.parametrize(("run", "count", "stride"), [(1, 3, 1), (2, 2, 2), (4, 2, 2), (4, 1, 2)])
@pytest.mark.parametrize("before_end", range(1, 8))
def test_every_run_of_a_load_begins_within_the_ring(
    run: int, count: int, stride: int, before_end: int
) -> None:
    config = CONFIGS["nano"]
    i = instruction(
        "LOAD", target=Target.WEIGHT, sram_address=config.weight_words - before_end, run=run,
        count0=count, count1=1, count2=1, sram_stride0=stride,
    )  # fmt: skip
    begins_behind = (count - 1) * stride >= before_end
    found = accesses(i, config)
    assert found.out_of_range == begins_behind
    if not begins_behind:
        words = {(config.weight_words - before_end + (k % count) * stride + j) % config.weight_words
                 for k in range(count) for j in range(run)}  # fmt: skip
        (write,) = found.writes
        assert set(write.addresses.tolist()) == words
