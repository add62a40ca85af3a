"""DEPTHWISE as a direct convolution of each channel, and random instructions for it."""

import itertools

import numpy as np

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import instruction

COUNTS = ("blocks", "kernel_height", "kernel_width", "out_height", "out_width")
SMALL = {"activation_kib": 4, "activation_banks": 4, "accumulator_kib": 4, "weight_kib": 1,
         "accumulator_banks": 2, "parameter_kib": 2, "operand_lanes": 1}  # fmt: skip
CONFIGS = {
    "1x1 of 1": Config(rows=1, cols=1, lanes=1, depthwise_taps=1, **SMALL),
    "1x1": Config(rows=1, cols=1, lanes=1, depthwise_taps=3, **SMALL),
    "2x3": Config(rows=2, cols=3, lanes=1, depthwise_taps=3, **SMALL),
    "3x5 of 1": Config(rows=3, cols=5, lanes=1, depthwise_taps=1, **SMALL),
    "4x4": Config(rows=4, cols=4, lanes=2, depthwise_taps=3, **SMALL),
    "4x12": Config(rows=4, cols=12, lanes=4, depthwise_taps=3, **SMALL),
    "2x3 for an FPGA": Config(rows=2, cols=3, lanes=1, depthwise_taps=3, path_registers=1, **SMALL),
    "4x4 of 1 for an FPGA": Config(
        rows=4, cols=4, lanes=2, depthwise_taps=1, path_registers=1, **SMALL
    ),
    "2x3 for a large FPGA": Config(
        rows=2, cols=3, lanes=1, depthwise_taps=3, path_registers=1, wire_registers=1, **SMALL
    ),
    "2x3 of digits": Config(rows=2, cols=3, lanes=1, depthwise_taps=3, multiplier_bits=2, **SMALL),
    "4x4 of 1 of digits": Config(
        rows=4, cols=4, lanes=2, depthwise_taps=1, multiplier_bits=2, **SMALL
    ),
}


class DepthwiseModel:
    """The memories, as first filled at random, and what a DEPTHWISE instruction does to them.

    activations (words, rows), parameters (words, word_bytes), accumulators (words, cols), int64.
    """

    def __init__(self, config, rng):
        self.config = config
        extremes = rng.random() < 0.3
        size = (config.activation_words, config.rows)
        self.activations = rng.integers(-128, -126 if extremes else 128, size)
        size = (config.parameter_words, config.parameter_word_bytes)
        self.parameters = rng.integers(-128, -126 if extremes else 128, size)
        size = (config.accumulator_words, config.cols)
        self.accumulators = rng.integers(-(2**31), 2**31, size)

    def weights(self, f, block):
        """Return [kernel row, kernel column, channel], or None where a word does not exist."""
        config = self.config
        first = f["weights"] + block * config.depthwise_words
        words = self.parameters[first : first + config.depthwise_words]
        if len(words) < config.depthwise_words:
            return None
        shape = (3, config.depthwise_taps, config.rows)
        return words.reshape(-1)[: 3 * config.depthwise_taps * config.rows].reshape(shape)

    def source(self, f, block, y, x):
        """Return (word, out of range) at source coordinates."""
        padding = np.full(self.config.rows, f["padding"])
        if not (0 <= y < f["height"] and 0 <= x < f["width"]):
            return padding, False
        address = f["source"] + block * f["source_stride"] + y * f["source_pitch"] + x
        address %= 2**20
        if address >= self.config.activation_words:
            return padding, True
        return self.activations[address], False

    def destinations(self, f):
        """Return the accumulator words in the order in which they are written."""
        if any(f[name] == 0 for name in COUNTS):
            return []
        pixels = range(f["out_height"] * f["out_width"])
        blocks = range(f["blocks"])
        first = f["destination"]
        return [(first + b * f["destination_stride"] + p) % 2**20 for b in blocks for p in pixels]

    def run(self, f):
        """Execute; return True if an address was out of range."""
        destinations = iter(self.destinations(f))
        faulted = False
        if any(f[name] == 0 for name in COUNTS):
            return False
        step = max(f["stride_x"], 1)
        kernel = list(itertools.product(range(f["kernel_height"]), range(f["kernel_width"])))
        for b, y in itertools.product(range(f["blocks"]), range(f["out_height"])):
            weights = self.weights(f, b)
            faulted |= weights is None
            top = f["origin_y"] + y * f["stride_y"]
            visited = (f["out_width"] - 1) * step + f["kernel_width"]
            for ky, p in itertools.product(range(f["kernel_height"]), range(visited)):
                word = self.source(f, b, top + ky * f["dilation_y"], f["origin_x"] + p)
                faulted |= word[1]
            for x, d in zip(range(f["out_width"]), destinations, strict=False):
                total = np.zeros(self.config.cols, np.int64)
                for ky, kx in kernel:
                    column = f["origin_x"] + x * step + kx
                    word, _ = self.source(f, b, top + ky * f["dilation_y"], column)
                    if weights is not None:
                        total[: self.config.rows] += word * weights[ky, kx]
                if d >= self.config.accumulator_words:
                    faulted = True
                    continue
                total += self.accumulators[d] * f["accumulate"]
                self.accumulators[d] = (total + 2**31) % 2**32 - 2**31
        return faulted


def random_fields(config, rng):
    """Draw the fields of a legal DEPTHWISE instruction without an address out of range."""

    def draw(high):
        return int(rng.integers(1, high + 1))

    f = {"blocks": draw(3), "kernel_height": draw(3), "kernel_width": draw(config.depthwise_taps),
         "out_height": draw(4), "out_width": draw(6)}  # fmt: skip
    if rng.random() < 0.3:
        f |= {"out_height": 1, "out_width": draw(2)}
    f |= {name: int(rng.integers(0, 5)) for name in ("stride_y", "stride_x", "dilation_y")}
    f |= {"origin_y": int(rng.integers(-5, 4)), "origin_x": int(rng.integers(-5, 4))}
    f |= {"height": int(rng.integers(0, 9)), "width": int(rng.integers(0, 9))}
    f |= {"padding": int(rng.integers(-128, 128)), "accumulate": int(rng.integers(0, 2))}
    f["source_pitch"] = max(f["width"], 1) + int(rng.integers(0, 3))
    plane = f["height"] * f["source_pitch"]
    f["source_stride"] = plane + int(rng.integers(0, 3))
    used = f["blocks"] * f["source_stride"]
    f["source"] = int(rng.integers(0, config.activation_words - used + 1))
    words = f["blocks"] * config.depthwise_words
    f["weights"] = int(rng.integers(0, config.parameter_words - words + 1))
    pixels = f["out_height"] * f["out_width"]
    f["destination_stride"] = pixels + int(rng.integers(0, 3))
    span = f["blocks"] * f["destination_stride"]
    f["destination"] = int(rng.integers(0, config.accumulator_words - span + 1))
    return dict(instruction("DEPTHWISE", **f).values())
