"""A plain model of the memories and of VECTOR, written from docs/architecture.md; random cases."""

import struct
from dataclasses import dataclass

import numpy as np

from tilewright.hw.spec import isa, numerics
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import BY_NAME

HEADER_FORMATS = {
    "zero_point": (0, "b"),
    "low": (1, "b"),
    "high": (2, "b"),
    "first_zero_point": (4, "b"),
    "second_zero_point": (5, "b"),
    "combine_zero_point": (6, "b"),
    "combine_low": (7, "b"),
    "combine_high": (8, "b"),
    "first_ratio": (12, "f"),
    "second_ratio": (16, "f"),
}


@dataclass(kw_only=True)
class Memories:
    """activation: int8 (words, rows), accumulator: int32 (words, cols), parameter: uint8."""

    activation: np.ndarray
    accumulator: np.ndarray
    parameter: np.ndarray

    @classmethod
    def random(cls, config: Config, random: np.random.Generator) -> "Memories":
        size = (config.accumulator_words, config.cols)
        return cls(
            activation=random.integers(
                -128, 128, (config.activation_words, config.rows), dtype=np.int8
            ),
            accumulator=random.integers(-(2**20), 2**20, size).astype(np.int32),
            parameter=random.integers(
                0, 256, (config.parameter_words, config.parameter_word_bytes), dtype=np.uint8
            ),
        )


def read_header(config, memories, address):
    words = [memories.parameter[address + i].tobytes() for i in range(config.header_words)]
    return {
        name: struct.unpack_from("<" + kind, b"".join(words), offset)[0]
        for name, (offset, kind) in HEADER_FORMATS.items()
    }


def source_values(config, memories, f, block, group, y, x):
    """Stage 1's reduced window of one pixel, int32 of every lane."""
    accumulators = f["source_kind"] == isa.Source.ACCUMULATOR
    memory = memories.accumulator if accumulators else memories.activation
    span = slice(group * config.lanes, (group + 1) * config.lanes)
    values = []
    for ky in range(f["kernel_height"]):
        for kx in range(f["kernel_width"]):
            iy = f["origin_y"] + y * f["stride_y"] + ky * f["dilation_y"]
            ix = f["origin_x"] + x * f["stride_x"] + kx * f["dilation_x"]
            if 0 <= iy < f["height"] and 0 <= ix < f["width"]:
                address = f["source"] + block * f["source_stride"] + iy * f["source_pitch"] + ix
                values.append(memory[address % 2**20][span].astype(np.int64))
            else:
                values.append(np.full(config.lanes, f["padding"], np.int64))
    if f["reduction"] == isa.Reduction.MAX:
        return np.max(values, axis=0).astype(np.int32)
    return numerics.wrap_int32(np.sum(values, axis=0))


def combine(f, header, first, second, product):
    first_ratio = product if f["unrounded"] else header["first_ratio"]
    common = {
        "first_zero_point": header["first_zero_point"],
        "second_zero_point": header["second_zero_point"],
        "zero_point": header["combine_zero_point"],
        "low": header["combine_low"],
        "high": header["combine_high"],
    }
    if f["combine"] == isa.Combine.ADD:
        ratios = {"first_ratio": first_ratio, "second_ratio": header["second_ratio"]}
        return numerics.add(first, second, **ratios, **common)
    return numerics.multiply(
        first, second, scale=first_ratio, unrounded=bool(f["unrounded"]), **common
    )


def execute(config: Config, memories: Memories, f) -> None:
    """Run one VECTOR instruction with fields `f` on the memories."""
    counts = ("groups", "kernel_height", "kernel_width", "out_height", "out_width")
    if any(f[name] == 0 for name in counts):
        return
    kind = f["source_kind"]
    source_groups = (config.cols if kind == isa.Source.ACCUMULATOR else config.rows) // config.lanes
    row_groups = config.rows // config.lanes
    header = read_header(config, memories, f["parameters"])
    table_words = memories.parameter[f["table"] : f["table"] + config.table_words]
    table = table_words.reshape(-1)[:256].view(np.int8) if f["use_table"] else None
    for g in range(f["groups"]):
        words = 1 + f["negative_scales"]
        address = f["parameters"] + config.header_words + words * (0 if f["uniform"] else g)
        negative = memories.parameter[address].reshape(config.lanes, 8)[:, 4:].copy().view("<f4")
        parameters = memories.parameter[address + words - 1].reshape(config.lanes, 8)
        bias = parameters[:, :4].copy().view("<i4").reshape(-1)
        scale = parameters[:, 4:].copy().view("<f4").reshape(-1)
        sb, sg = divmod(f["source_group"] + g, source_groups)
        db, dg = divmod(f["destination_group"] + g, row_groups)
        ob, og = divmod(f["operand_group"] + g, row_groups)
        for y in range(f["out_height"]):
            for x in range(f["out_width"]):
                v = source_values(config, memories, f, sb, sg, y, x)
                clamp = [header[name] for name in ("zero_point", "low", "high")]
                total = numerics.wrap_int32(v.astype(np.int64) + bias)
                below = (total < 0) & bool(f["negative_scales"])
                scales = numerics.effective_scale(np.where(below, negative.reshape(-1), scale))
                product = total.astype(np.float32) * scales
                q = numerics.requantize(v, bias, scales, *clamp)
                if table is not None:
                    q = table[q.view(np.uint8)]
                if f["combine"]:
                    a = f["operand"] + ob * f["operand_stride"] + y * f["operand_pitch"] + x
                    second = memories.activation[a % 2**20][og * config.lanes :][: config.lanes]
                    q = combine(f, header, q, second, product)
                a = f["destination"] + db * f["destination_stride"] + y * f["destination_pitch"] + x
                place = slice(dg * config.lanes, (dg + 1) * config.lanes)
                memories.activation[a % 2**20][place] = q


def random_parameters(config, memories, random, f):
    """Write a header and the groups' parameters that give results all over the int8 range."""
    address = f["parameters"]
    values = {
        name: int(random.integers(-128, 128)) if kind == "b" else float(random.uniform(-2, 2))
        for name, (_, kind) in HEADER_FORMATS.items()
    }
    if random.random() < 0.7:
        values |= {"low": -128, "high": 127, "combine_low": -128, "combine_high": 127}
    if f["combine"] == isa.Combine.MULTIPLY:
        values["first_ratio"] = float(random.uniform(-0.02, 0.02))
    if f["unrounded"] and random.random() < 0.8:
        values |= {"low": 1, "high": 1, "first_zero_point": 0}
    header = bytearray(random.bytes(config.header_words * config.parameter_word_bytes))
    for name, (offset, kind) in HEADER_FORMATS.items():
        struct.pack_into("<" + kind, header, offset, values[name])
    words = np.frombuffer(bytes(header), np.uint8).reshape(config.header_words, -1)
    memories.parameter[address : address + config.header_words] = words
    groups = 1 if f["uniform"] else f["groups"]
    wide = f["source_kind"] == isa.Source.ACCUMULATOR
    for g in range(groups * (1 + f["negative_scales"])):
        bias = random.integers(-(2**18), 2**18, config.lanes) if wide else 0
        bias = np.full(config.lanes, bias, "<i4") + random.integers(-9, 9, config.lanes)
        spread = random.uniform(-2, 2, config.lanes) * (2.0**-14 if wide else 1)
        word = np.stack([bias.astype("<i4").view("<u4"), spread.astype("<f4").view("<u4")], axis=1)
        row = word.astype("<u4").tobytes()
        memories.parameter[address + config.header_words + g] = np.frombuffer(row, np.uint8)


def random_fields(config: Config, random: np.random.Generator, *, largest: int = 6):
    """Fields of an instruction that reads the lower and writes the upper half of the activations.

    Every parameter block is placed by the caller; addresses stay in range.
    """

    def small(*choices):
        return int(random.choice(choices))

    f = {field.name: 0 for field in BY_NAME["VECTOR"].fields}
    window = random.random() < 0.4
    f["kernel_height"] = small(1, 2, 3) if window else 1
    f["kernel_width"] = small(1, 2, 3) if window else 1
    f["out_height"] = int(random.integers(1, largest))
    f["out_width"] = int(random.integers(1, largest))
    f["groups"] = small(1, 1, 2, 3, 5)
    if random.random() < 0.08:
        f[small_name(random)] = 0
    f["stride_y"], f["stride_x"] = small(0, 1, 1, 2), small(0, 1, 1, 2)
    f["dilation_y"], f["dilation_x"] = small(0, 1, 2), small(0, 1, 2)
    f["origin_y"], f["origin_x"] = small(-2, -1, 0, 0, 3), small(-2, -1, 0, 0, 3)
    f["height"], f["width"] = small(0, 1, 4, 7, 9), small(1, 4, 7, 9)
    f["padding"] = int(random.integers(-128, 128))
    f["source_kind"] = small(*isa.Source)
    f["reduction"] = small(*isa.Reduction)
    f["combine"] = small(0, 0, 1, 2)
    f["use_table"], f["uniform"] = small(0, 0, 1), small(0, 1)
    f["negative_scales"] = small(0, 0, 1)
    f["unrounded"] = small(0, 1)
    accumulators = f["source_kind"] == isa.Source.ACCUMULATOR
    words = config.accumulator_words if accumulators else config.activation_words // 2
    groups = (config.cols if accumulators else config.rows) // config.lanes
    row_groups = config.rows // config.lanes
    f["source_group"] = int(random.integers(groups))
    f["source_pitch"], f["source_stride"] = small(9, 10), small(0, 81, 90)
    f["source"] = place(random, words, f, groups, f["source_group"], "source", 9 * 10 + 9)
    for name, base in (("operand", 0), ("destination", config.activation_words // 2)):
        f[f"{name}_group"] = int(random.integers(row_groups))
        f[f"{name}_pitch"], f[f"{name}_stride"] = small(6, 8), small(48, 50)
        half = config.activation_words // 2
        f[name] = base + place(random, half, f, row_groups, f[f"{name}_group"], name, 50)
    return f


def small_name(random):
    return str(
        random.choice(["groups", "kernel_height", "kernel_width", "out_height", "out_width"])
    )


def place(random, words, f, groups, first, name, extent):
    """A first address such that every block lies in the `words` words."""
    blocks = (first + max(f["groups"], 1) - 1) // groups
    room = words - blocks * f[f"{name}_stride"] - extent
    assert room > 0, (words, blocks, name)
    return int(random.integers(room))
