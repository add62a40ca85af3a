"""What a task touches, as word ranges that contain every access (regions may be wider).

The checker proves the result on exact word sets from `hw.spec.access`, so a mistake here cannot
pass unseen.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tilewright.hw.spec.access import DEPTHWISE_COUNTS, depthwise_positions
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Combine, Instruction, Source, Target

DRAM_GRANULE = 64
"""DRAM regions are in units of 64 bytes, rounded outward."""

Range = tuple[str, int, int]
"""(memory, first word, word behind the last)."""


@dataclass(frozen=True, kw_only=True)
class Regions:
    """The ranges an instruction reads and writes."""

    reads: tuple[Range, ...]
    writes: tuple[Range, ...]


def regions(instruction: Instruction, config: Config) -> Regions:
    """Return the regions of an instruction (END touches none)."""
    match instruction.operation:
        case "MATRIX":
            return _matrix(instruction, config)
        case "DEPTHWISE":
            return _depthwise(instruction, config)
        case "VECTOR":
            return _vector(instruction, config)
        case "LOAD" | "STORE":
            return _transfer(instruction, config)
        case "END":
            return Regions(reads=(), writes=())
    raise AssertionError(f"{instruction.operation} has no regions")


def merged(ranges: Iterator[Range]) -> tuple[Range, ...]:
    """Sort ranges and merge those that touch."""
    result: list[Range] = []
    for memory, start, stop in sorted(set(ranges)):
        if result and result[-1][0] == memory and start <= result[-1][2]:
            result[-1] = (memory, result[-1][1], max(stop, result[-1][2]))
        else:
            result.append((memory, start, stop))
    return tuple(result)


def _window_span(i: Instruction, pitch: int) -> tuple[int, int] | None:
    """First word and word behind the last that a window instruction reads in one block."""
    spans = []
    for axis, out, kernel in (("y", "height", "height"), ("x", "width", "width")):
        origin = i[f"origin_{axis}"]
        reach = (i[f"out_{out}"] - 1) * i[f"stride_{axis}"]
        reach += (i[f"kernel_{kernel}"] - 1) * i[f"dilation_{axis}"]
        low, high = max(origin, 0), min(origin + reach, i[out] - 1)
        if low > high:
            return None
        spans.append((low, high))
    (top, bottom), (left, right) = spans
    return top * pitch + left, bottom * pitch + right + 1


def _matrix(i: Instruction, config: Config) -> Regions:
    loops = ("out_blocks", "in_blocks", "kernel_height", "kernel_width", "out_height", "out_width")
    if any(i[name] == 0 for name in loops):
        return Regions(reads=(), writes=())
    pixels = i["out_height"] * i["out_width"]
    tiles = i["out_blocks"] * i["in_blocks"] * i["kernel_height"] * i["kernel_width"]
    span = _window_span(i, i["source_pitch"])
    reads: list[Range] = list(_ring(i["weights"], tiles * config.rows, config.weight_words))
    if span is not None:
        steps = {0} if i["source_out_stride"] == 0 else range(i["out_blocks"])
        for ob in steps:
            for ib in range(i["in_blocks"]):
                at = i["source"] + ob * i["source_out_stride"] + ib * i["source_in_stride"]
                reads.append(("activation", at + span[0], at + span[1]))
    writes = []
    for ob in range(i["out_blocks"]):
        at = i["destination"] + ob * i["destination_stride"]
        writes.append(("accumulator", at, at + pixels))
    if i["accumulate"]:
        reads += writes
    return Regions(reads=merged(iter(reads)), writes=merged(iter(writes)))


def _depthwise(i: Instruction, config: Config) -> Regions:
    if any(i[name] == 0 for name in DEPTHWISE_COUNTS):
        return Regions(reads=(), writes=())
    visited = {"out_width": depthwise_positions(i.fields), "stride_x": 1}
    visited |= {"kernel_width": 1, "dilation_x": 1}
    window = Instruction(operation=i.operation, fields={**i.fields, **visited})
    span = _window_span(window, i["source_pitch"])
    weights = i["weights"]
    reads: list[Range] = [("parameter", weights, weights + i["blocks"] * config.depthwise_words)]
    writes: list[Range] = []
    pixels = i["out_height"] * i["out_width"]
    for block in range(i["blocks"]):
        if span is not None:
            at = i["source"] + block * i["source_stride"]
            reads.append(("activation", at + span[0], at + span[1]))
        at = i["destination"] + block * i["destination_stride"]
        writes.append(("accumulator", at, at + pixels))
    if i["accumulate"]:
        reads += writes
    return Regions(reads=merged(iter(reads)), writes=merged(iter(writes)))


def _ring(start: int, words: int, size: int) -> Iterator[Range]:
    if words >= size:
        yield ("weight", 0, size)
    elif start + words <= size:
        yield ("weight", start, start + words)
    else:
        yield ("weight", start, size)
        yield ("weight", 0, start + words - size)


def _vector(i: Instruction, config: Config) -> Regions:
    loops = ("groups", "kernel_height", "kernel_width", "out_height", "out_width")
    if any(i[name] == 0 for name in loops):
        return Regions(reads=(), writes=())
    from_accumulator = i["source_kind"] == Source.ACCUMULATOR
    memory = "accumulator" if from_accumulator else "activation"
    per_word = config.col_groups if from_accumulator else config.row_groups
    blocks = (i["source_group"] + i["groups"] - 1) // per_word + 1
    parameters = config.header_words + (1 if i["uniform"] else i["groups"])
    reads: list[Range] = [("parameter", i["parameters"], i["parameters"] + parameters)]
    if i["use_table"]:
        reads.append(("parameter", i["table"], i["table"] + config.table_words))
    span = _window_span(i, i["source_pitch"])
    if span is not None:
        for block in range(blocks):
            at = i["source"] + block * i["source_stride"]
            reads.append((memory, at + span[0], at + span[1]))
    if i["combine"] != Combine.NONE:
        reads += _plain_blocks(i, "operand", config)
    return Regions(
        reads=merged(iter(reads)),
        writes=merged(iter(_plain_blocks(i, "destination", config))),
    )


def _plain_blocks(i: Instruction, name: str, config: Config) -> list[Range]:
    blocks = (i[f"{name}_group"] + i["groups"] - 1) // config.row_groups + 1
    last = (i["out_height"] - 1) * i[f"{name}_pitch"] + i["out_width"]
    starts = (i[name] + block * i[f"{name}_stride"] for block in range(blocks))
    return [("activation", start, start + last) for start in starts]


def _transfer(i: Instruction, config: Config) -> Regions:
    if any(i[name] == 0 for name in ("run", "count0", "count1", "count2")):
        return Regions(reads=(), writes=())
    is_load = i.operation == "LOAD"
    memory = Target(i["target"]).name.lower() if is_load else "activation"
    pitch = {
        "activation": config.activation_pitch,
        "weight": config.weight_pitch,
        "parameter": config.parameter_pitch,
    }[memory]
    sram: list[Range] = []
    dram: list[Range] = []
    for i2 in range(i["count2"]):
        for i1 in range(i["count1"]):
            for i0 in range(i["count0"]):
                at = i["sram_address"] + i2 * i["sram_stride2"] + i1 * i["sram_stride1"]
                at += i0 * i["sram_stride0"]
                address = i["dram_address"] + i2 * i["dram_stride2"] + i1 * i["dram_stride1"]
                address += i0 * i["dram_stride0"]
                end = address + i["run"] * pitch
                dram.append(("dram", address // DRAM_GRANULE, -(-end // DRAM_GRANULE)))
                if memory == "weight":
                    sram += _ring(at, i["run"], config.weight_words)
                else:
                    sram.append((memory, at, at + i["run"]))
    on_chip, off_chip = merged(iter(sram)), merged(iter(dram))
    if is_load:
        return Regions(reads=off_chip, writes=on_chip)
    return Regions(reads=on_chip, writes=off_chip)
