"""The order of reads and writes inside one instruction."""

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.access import (
    DEPTHWISE_COUNTS,
    SRAM_MODULUS,
    Accesses,
    Addresses,
    Space,
    transfer_space,
    word_pitch,
)
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Combine, Instruction, Source


def overwrites_own_source(instruction: Instruction, touched: Accesses, config: Config) -> bool:
    """Tell whether an instruction, which touches `touched`, may write a word that it reads in a
    later step.

    DEPTHWISE does when its blocks accumulate into the same words. Else only VECTOR reads and
    writes the same SRAM. Reading and writing a word in the same step is in
    order; that is what makes element-wise work in place legal. Lane groups of a word count as one.
    """
    i = instruction
    if i.operation == "DEPTHWISE":
        pixels = i["out_height"] * i["out_width"]
        empty = any(i[name] == 0 for name in DEPTHWISE_COUNTS)
        overlap = i["blocks"] > 1 and i["destination_stride"] < pixels
        return bool(i["accumulate"]) and overlap and not empty
    if i.operation != "VECTOR" or not touched.conflicts(Accesses(reads=touched.reads)):
        return False
    steps = np.arange(i["groups"] * i["out_height"] * i["out_width"], dtype=np.int64)
    written = np.full(config.activation_words, len(steps), np.int64)
    addresses = _grid_words(i, "destination", config)
    np.minimum.at(written, addresses, steps)
    if i["source_kind"] == Source.ACTIVATION:
        words, inside = _source_words(i, config)
        if ((written[words] < steps[:, None]) & inside).any():
            return True
    if i["combine"] == Combine.NONE:
        return False
    return bool((written[_grid_words(i, "operand", config)] < steps).any())


def writes_twice(instruction: Instruction, touched: Accesses, config: Config) -> bool:
    """Tell whether a LOAD writes an SRAM word, or a STORE a DRAM byte, more than once.

    What such a transfer leaves behind is what came last, which the memory's order decides.
    """
    if instruction.operation not in ("LOAD", "STORE") or not touched.writes:
        return False
    i, (write,) = instruction, touched.writes
    words = i["run"] * i["count0"] * i["count1"] * i["count2"]
    pitch = word_pitch(transfer_space(i), config) if write.space == Space.DRAM else 1
    return int((write.ends - write.starts).sum()) != words * pitch


def _grid_words(i: Instruction, name: str, config: Config) -> Addresses:
    """Return the operand or destination word of every step; out of range ones are the last."""
    block = (i[f"{name}_group"] + np.arange(i["groups"], dtype=np.int64)) // config.row_groups
    rows = np.arange(i["out_height"], dtype=np.int64) * i[f"{name}_pitch"]
    words = i[name] + (block * i[f"{name}_stride"])[:, None, None] + rows[:, None]
    words = (words + np.arange(i["out_width"])) % SRAM_MODULUS
    clipped: Addresses = np.minimum(words.reshape(-1), config.activation_words - 1)
    return clipped


def _source_words(i: Instruction, config: Config) -> tuple[Addresses, NDArray[np.bool_]]:
    """Return (words, inside), each (steps, window): what every step reads from activation SRAM."""
    block = (i["source_group"] + np.arange(i["groups"], dtype=np.int64)) // config.row_groups
    y, x = (
        i[f"origin_{axis}"]
        + np.arange(i[out], dtype=np.int64)[:, None] * i[f"stride_{axis}"]
        + np.arange(i[kernel], dtype=np.int64) * i[f"dilation_{axis}"]
        for axis, out, kernel in (
            ("y", "out_height", "kernel_height"),
            ("x", "out_width", "kernel_width"),
        )
    )
    rows, cols = y[:, None, :, None], x[None, :, None, :]
    inside = (rows >= 0) & (rows < i["height"]) & (cols >= 0) & (cols < i["width"])
    words = i["source"] + (block * i["source_stride"])[:, None, None, None, None]
    words = (words + rows * i["source_pitch"] + cols) % SRAM_MODULUS
    inside = np.broadcast_to(inside, words.shape) & (words < config.activation_words)
    window = i["kernel_height"] * i["kernel_width"]
    clipped = np.minimum(words, config.activation_words - 1)
    return clipped.reshape(-1, window), inside.reshape(-1, window)
