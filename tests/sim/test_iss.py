"""The simulator against a slow interpreter written line by line from docs/architecture.md."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Engine, Wait
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.random_program import InjectedFault, random_program
from tilewright.hw.spec.registers import Fault
from tilewright.sim.iss import Iss

CONFIGS = {
    "nano": Config.load("nano"),
    "edge": Config.load("edge"),
    "base": Config.load("base"),
    "1x1": Config(
        rows=1, cols=1, lanes=1, operand_lanes=1, activation_kib=1, weight_kib=1,
        accumulator_kib=1, parameter_kib=1, axi_data_bits=64,
    ),
    "3x5": Config(
        rows=3, cols=5, lanes=1, operand_lanes=1, activation_kib=8, weight_kib=2,
        accumulator_kib=4, parameter_kib=2,
    ),
    "12x20": Config(
        rows=12, cols=20, lanes=4, operand_lanes=2, activation_kib=48, weight_kib=20,
        accumulator_kib=40, parameter_kib=4,
    ),
}  # fmt: skip


COUNTS = {
    "LOAD": ("run", "count0", "count1", "count2"),
    "STORE": ("run", "count0", "count1", "count2"),
    "MATRIX": (
        "out_blocks", "in_blocks", "kernel_height", "kernel_width", "out_height", "out_width"
    ),
    "DEPTHWISE": ("blocks", "kernel_height", "kernel_width", "out_height", "out_width"),
    "VECTOR": ("groups", "kernel_height", "kernel_width", "out_height", "out_width"),
}  # fmt: skip


def binary32(value: Fraction) -> Fraction:
    """Round a rational to binary32, to nearest and ties to even (normal and subnormal numbers)."""
    if value == 0:
        return value
    exponent = max(-149, math.floor(_log2(abs(value))) - 23)
    return Fraction(round(value / Fraction(2) ** exponent)) * Fraction(2) ** exponent


def _log2(value: Fraction) -> int:
    """Return floor(log2(value)) exactly."""
    power = value.numerator.bit_length() - value.denominator.bit_length()
    return power if Fraction(2) ** power <= value else power - 1


def scale_of(bits: float) -> Fraction:
    """Return the scale that the hardware uses for a binary32 value."""
    if math.isnan(bits) or not 2.0**-64 <= abs(bits) < 2.0**64:
        return Fraction(0)
    return Fraction(bits)


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class SlowAccelerator:
    """Executes one word, pixel and lane after the other; memories are lists of byte lists."""

    def __init__(self, config: Config, memory: bytes) -> None:
        self.config = c = config
        self.memory = bytearray(memory)
        self.activation = [[0] * c.rows for _ in range(c.activation_words)]
        self.weight = [[0] * c.weight_word_bytes for _ in range(c.weight_words)]
        self.accumulator = [[0] * c.cols for _ in range(c.accumulator_words)]
        self.parameter = [[0] * c.parameter_word_bytes for _ in range(c.parameter_words)]

    def execute(self, i: isa.Instruction) -> None:
        counts = [getattr(i, name) for name in COUNTS[i.name]]
        if 0 in counts:
            return
        getattr(self, i.name.lower())(i)

    def transfer(self, i: isa.Instruction, pitch: int):
        for i2 in range(i.count2):
            for i1 in range(i.count1):
                for i0 in range(i.count0):
                    d = (i.dram_address + i2 * i.dram_stride2 + i1 * i.dram_stride1
                         + i0 * i.dram_stride0)  # fmt: skip
                    s = (i.sram_address + i2 * i.sram_stride2 + i1 * i.sram_stride1
                         + i0 * i.sram_stride0)  # fmt: skip
                    for k in range(i.run):
                        yield (d + k * pitch) % 2**32, s % 2**20, k

    def load(self, i: isa.Instruction) -> None:
        c = self.config
        sram, word_bytes = {
            0: (self.activation, c.rows),
            1: (self.weight, max(c.rows, c.cols)),
            2: (self.parameter, 8 * c.lanes),
        }[i.target]
        pitch = 1
        while pitch < word_bytes:
            pitch *= 2
        for d, s, k in self.transfer(i, pitch):
            if i.target == 1:
                assert s < c.weight_words
                address = (s + k) % c.weight_words
            else:
                address = (s + k) % 2**20
            data = list(self.memory[d : d + word_bytes])
            if i.target != 2:
                data = [signed(byte, 8) for byte in data]
            sram[address] = data

    def store(self, i: isa.Instruction) -> None:
        pitch = self.config.activation_pitch
        for d, s, k in self.transfer(i, pitch):
            word = self.activation[(s + k) % 2**20]
            self.memory[d : d + len(word)] = bytes(byte & 0xFF for byte in word)

    def pixel(self, i, sram, base, y, x, ky, kx):
        """Return the source word of an output pixel and window position, or None outside."""
        iy = i.origin_y + y * i.stride_y + ky * i.dilation_y
        ix = i.origin_x + x * i.stride_x + kx * i.dilation_x
        if 0 <= iy < i.height and 0 <= ix < i.width:
            return sram[(base + iy * i.source_pitch + ix) % 2**20]
        return None

    def matrix(self, i: isa.Instruction) -> None:
        c = self.config
        w = i.weights
        for ob in range(i.out_blocks):
            for ib in range(i.in_blocks):
                for ky in range(i.kernel_height):
                    for kx in range(i.kernel_width):
                        tile = [self.weight[(w + r) % c.weight_words] for r in range(c.rows)]
                        w += c.rows
                        base = (i.source + ob * i.source_out_stride
                                + ib * i.source_in_stride)  # fmt: skip
                        first = ib == ky == kx == 0 and not i.accumulate
                        self.matrix_tile(i, tile, base, ob, ky, kx, first)

    def matrix_tile(self, i, tile, base, ob, ky, kx, first) -> None:
        for y in range(i.out_height):
            for x in range(i.out_width):
                a = self.pixel(i, self.activation, base, y, x, ky, kx)
                if a is None:
                    a = [i.padding] * self.config.rows
                d = i.destination + ob * i.destination_stride + y * i.out_width + x
                word = self.accumulator[d % 2**20]
                for col in range(self.config.cols):
                    total = sum(a[r] * tile[r][col] for r in range(self.config.rows))
                    word[col] = signed((0 if first else word[col]) + total, 32)

    def depthwise(self, i: isa.Instruction) -> None:
        c, step = self.config, max(i.stride_x, 1)
        words = -(-3 * c.depthwise_taps * c.rows // (8 * c.lanes))
        for b in range(i.blocks):
            first = i.weights + b * words
            data = [signed(byte, 8) for w in self.parameter[first : first + words] for byte in w]
            for y in range(i.out_height):
                sums = {}
                for p in range((i.out_width - 1) * step + i.kernel_width):
                    self.depthwise_position(i, data, b, y, p, sums)
                    x, rest = divmod(p - (i.kernel_width - 1), step)
                    if rest == 0 and 0 <= x < i.out_width:
                        d = i.destination + b * i.destination_stride + y * i.out_width + x
                        word, done = self.accumulator[d % 2**20], sums[p - (i.kernel_width - 1)]
                        for col in range(c.cols):
                            old = word[col] if i.accumulate else 0
                            word[col] = signed(old + (done[col] if col < c.rows else 0), 32)

    def depthwise_position(self, i, data, b, y, p, sums) -> None:
        c = self.config
        base = i.source + b * i.source_stride
        for ky in range(i.kernel_height):
            iy, ix = i.origin_y + y * i.stride_y + ky * i.dilation_y, i.origin_x + p
            a = [i.padding] * c.rows
            if 0 <= iy < i.height and 0 <= ix < i.width:
                a = self.activation[(base + iy * i.source_pitch + ix) % 2**20]
            for kx in range(i.kernel_width):
                total = sums.setdefault(p - kx, [0] * c.rows)
                for r in range(c.rows):
                    total[r] += a[r] * data[(ky * c.depthwise_taps + kx) * c.rows + r]

    def vector(self, i: isa.Instruction) -> None:
        c = self.config
        source, source_groups = (
            (self.activation, c.rows // c.lanes),
            (self.accumulator, c.cols // c.lanes),
        )[i.source_kind]
        row_groups = c.rows // c.lanes
        results = []
        for g in range(i.groups):
            for y in range(i.out_height):
                for x in range(i.out_width):
                    for lane in range(c.lanes):
                        results.append(
                            self.vector_lane(i, source, source_groups, row_groups, g, y, x, lane)
                        )
        for word, byte, value in results:
            self.activation[word][byte] = value

    def vector_lane(self, i, source, source_groups, row_groups, g, y, x, lane):
        c = self.config
        sb, sg = divmod(i.source_group + g, source_groups)
        db, dg = divmod(i.destination_group + g, row_groups)
        ob, og = divmod(i.operand_group + g, row_groups)
        v = 0 if i.reduction == isa.Reduction.SUM else -(2**31)
        for ky in range(i.kernel_height):
            for kx in range(i.kernel_width):
                base = i.source + sb * i.source_stride
                word = self.pixel(i, source, base, y, x, ky, kx)
                s = i.padding if word is None else word[sg * c.lanes + lane]
                v = signed(v + s, 32) if i.reduction == isa.Reduction.SUM else max(v, s)
        q, product = self.requantize(i, g, lane, v)
        if i.use_table:
            entry = q & 0xFF
            words = 8 * c.lanes
            q = signed(self.parameter[i.table + entry // words][entry % words], 8)
        if i.combine:
            o = (i.operand + ob * i.operand_stride + y * i.operand_pitch + x) % 2**20
            q = self.combine(i, q, self.activation[o][og * c.lanes + lane], product)
        d = i.destination + db * i.destination_stride + y * i.destination_pitch + x
        return d % 2**20, dg * c.lanes + lane, q

    def header(self, i) -> bytes:
        first = i.parameters
        words = self.parameter[first : first + self.config.header_words]
        return bytes(byte for word in words for byte in word)[:32]

    def requantize(self, i, g, lane, v) -> tuple[int, Fraction]:
        zero_point, low, high = struct.unpack_from("<bbb", self.header(i), 0)
        words = 2 if i.negative_scales else 1
        p = i.parameters + self.config.header_words + words * (0 if i.uniform else g)
        bias, scale = struct.unpack_from("<if", bytes(self.parameter[p + words - 1]), 8 * lane)
        total = binary32(Fraction(signed(v + bias, 32)))
        if i.negative_scales and total < 0:
            _, scale = struct.unpack_from("<if", bytes(self.parameter[p]), 8 * lane)
        value = binary32(total * scale_of(scale))
        return min(max(round(value) + zero_point, low), high), value

    def combine(self, i, first, second, product) -> int:
        first_zero, second_zero, zero_point, low, high = struct.unpack_from(
            "<bbbbb", self.header(i), 4
        )
        one, two = (scale_of(s) for s in struct.unpack_from("<ff", self.header(i), 12))
        if i.unrounded:
            one = scale_of(float(product))
        if i.combine == isa.Combine.ADD:
            left, right = (
                binary32((first - first_zero) * one),
                binary32((second - second_zero) * two),
            )
            value = round(binary32(left + right)) + zero_point
        else:
            product = binary32((first - first_zero) * (second - second_zero) * one)
            value = round(binary32(product + zero_point * (not i.unrounded)))
            value += zero_point * i.unrounded
        return min(max(value, low), high)


def assert_equal_state(iss: Iss, slow: SlowAccelerator, where: str) -> None:
    state = iss.state
    for name in ("activation", "weight", "accumulator", "parameter"):
        np.testing.assert_array_equal(
            getattr(state, name), np.array(getattr(slow, name)), err_msg=f"{name} {where}"
        )
    assert iss.memory.tobytes() == bytes(slow.memory), f"memory {where}"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", CONFIGS)
def test_random_programs_equal_the_interpreter(name: str, seed: int) -> None:
    config = CONFIGS[name]
    program = random_program(config, 1000 + seed, num_instructions=16, pool_words=60)
    iss = Iss.of_program(program)
    slow = SlowAccelerator(config, program.image.ljust(program.memory_bytes, b"\0"))
    result = iss.run(program.program_address)
    assert result.fault is None
    for i in program.instructions[:-1]:
        slow.execute(i)
    assert_equal_state(iss, slow, f"of {name}, seed {seed}")
    assert result.dispatched == len(program.instructions) - 1 == sum(result.retired.values())


@pytest.mark.parametrize("kind", InjectedFault)
@pytest.mark.parametrize("name", ["nano", "3x5"])
def test_injected_faults_are_reported_with_their_index(name: str, kind: InjectedFault) -> None:
    cause = {
        InjectedFault.WAIT: Fault.FUTURE_WAIT,
        InjectedFault.RANGE: Fault.SRAM_RANGE,
        InjectedFault.BUS: Fault.BUS_ERROR,
    }.get(kind, Fault.ILLEGAL_INSTRUCTION)
    for seed in range(3):
        program = random_program(CONFIGS[name], seed, num_instructions=8, fault=kind)
        result = Iss.of_program(program).run(program.program_address)
        assert result.fault is not None, f"seed {seed}"
        assert result.fault.cause == cause, f"seed {seed}"
        assert result.fault.instruction == program.metadata["fault_instruction"], f"seed {seed}"


def test_observer_sees_every_write_in_order() -> None:
    config = CONFIGS["12x20"]
    program = random_program(config, 5, num_instructions=30)
    iss = Iss.of_program(program)
    shadow = {space: sram.copy() for space, sram in iss.state.sram.items()}
    memory = iss.memory.copy()
    numbers: dict[Engine, list[int]] = {engine: [] for engine in Engine}

    def observe(retirement) -> None:
        numbers[retirement.engine].append(retirement.number)
        for write in retirement.writes:
            if write.space == Space.DRAM:
                for address, word in zip(write.addresses, write.data, strict=True):
                    memory[address : address + len(word)] = word
            else:
                shadow[write.space][write.addresses] = write.data

    result = iss.run(program.program_address, observe)
    for space, sram in iss.state.sram.items():
        np.testing.assert_array_equal(shadow[space], sram)
    np.testing.assert_array_equal(memory, iss.memory)
    for engine, seen in numbers.items():
        assert seen == list(range(1, result.retired[engine] + 1))


def test_deep_products_are_exact() -> None:
    """The largest int8 products over a depth far beyond 2^24 / 2^14 keep every bit."""
    config = Config(rows=64, cols=16, lanes=16, activation_kib=8, weight_kib=512)
    iss = Iss(config, b"".join(encode(i, config) for i in (
        instruction("MATRIX", kernel_height=1, kernel_width=1, out_height=1, out_width=3,
                    stride_x=1, height=1, width=3, in_blocks=40, out_blocks=1, source=0,
                    source_in_stride=3, source_pitch=3),
        instruction("END"),
    )))  # fmt: skip
    rng = np.random.default_rng(1)
    iss.state.activation[...] = rng.choice([-128, 127, -127], iss.state.activation.shape)
    iss.state.weight[...] = rng.choice([-128, 127], iss.state.weight.shape)
    assert iss.run().fault is None
    left = iss.state.activation[:120].reshape(40, 3, 64).transpose(1, 0, 2).reshape(3, -1)
    right = iss.state.weight[: 40 * 64, :16]
    expected = left.astype(np.int64) @ right.astype(np.int64)
    np.testing.assert_array_equal(iss.state.accumulator[:3], expected)


def run_words(config: Config, *words: bytes, memory_bytes: int = 4096):
    return Iss(config, b"".join(words), memory_bytes=memory_bytes).run()


def test_fetch_behind_the_memory_is_a_bus_error() -> None:
    config = CONFIGS["nano"]
    word = encode(instruction("LOAD"), config)
    result = run_words(config, word, memory_bytes=64)
    assert result.fault is not None
    assert (result.fault.cause, result.fault.instruction) == (Fault.BUS_ERROR, 1)
    assert result.dispatched == 1


def test_waiting_for_itself_is_a_future_wait() -> None:
    config = CONFIGS["nano"]
    word = encode(instruction("LOAD", (Wait(engine=Engine.LOAD, count=1),)), config)
    result = run_words(config, word)
    assert result.fault is not None
    assert result.fault.cause == Fault.FUTURE_WAIT
    assert "LOAD waits for 1 retirements of LOAD, which was sent 0" in result.fault.message


def test_an_instruction_behind_the_limit_is_a_fault_and_end_is_none() -> None:
    config = Config.load("nano")
    words = [encode(instruction(name), config) for name in ("LOAD", "STORE", "END")]
    simulator = Iss(config, b"".join(words))
    assert simulator.run(instruction_limit=2).fault is None
    result = simulator.run(instruction_limit=1)
    assert result.fault is not None
    assert (result.fault.cause, result.fault.instruction) == (Fault.INSTRUCTION_LIMIT, 1)
    assert result.dispatched == 1
