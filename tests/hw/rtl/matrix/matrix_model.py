"""MATRIX in plain NumPy, as docs/architecture.md words it, and random instructions for it."""

import itertools

import numpy as np

from tilewright.hw.spec.instruction_set import instruction

COUNTS = ("out_blocks", "in_blocks", "kernel_height", "kernel_width", "out_height", "out_width")


class MatrixModel:
    """The memories and what a MATRIX instruction does to them.

    activations (words, rows), weights (words, width), accumulators (words, cols), all int64.
    """

    def __init__(self, config, rng):
        self.config = config
        shape = {"activations": config.rows, "weights": config.weight_word_bytes}
        words = {"activations": config.activation_words, "weights": config.weight_words}
        for name, width in shape.items():
            setattr(self, name, rng.integers(-128, 128, (words[name], width)))
        size = (config.accumulator_words, config.cols)
        self.accumulators = rng.integers(-(2**31), 2**31, size)

    def run(self, f):
        """Execute; return True if an address was out of range."""
        config, faulted = self.config, False
        if any(f[name] == 0 for name in COUNTS):
            return False
        w = f["weights"]
        faulted = w >= config.weight_words
        loops = itertools.product(*(range(f[name]) for name in COUNTS[:4]))
        for ob, ib, ky, kx in loops:
            rows = [(w + r) % config.weight_words for r in range(config.rows)]
            w += config.rows
            tile = self.weights[rows, : config.cols]
            for y, x in itertools.product(range(f["out_height"]), range(f["out_width"])):
                iy = f["origin_y"] + y * f["stride_y"] + ky * f["dilation_y"]
                ix = f["origin_x"] + x * f["stride_x"] + kx * f["dilation_x"]
                a = np.full(config.rows, f["padding"])
                if 0 <= iy < f["height"] and 0 <= ix < f["width"]:
                    s = f["source"] + ob * f["source_out_stride"] + ib * f["source_in_stride"]
                    s = (s + iy * f["source_pitch"] + ix) % 2**20
                    if s < config.activation_words:
                        a = self.activations[s]
                    else:
                        faulted = True
                d = f["destination"] + ob * f["destination_stride"] + y * f["out_width"] + x
                d %= 2**20
                if d >= config.accumulator_words:
                    faulted = True
                    continue
                first = ib == ky == kx == 0 and not f["accumulate"]
                old = 0 if first else self.accumulators[d]
                total = old + a @ tile
                self.accumulators[d] = (total + 2**31) % 2**32 - 2**31
        return faulted


def random_fields(config, rng, destination=None):
    """Draw the fields of a legal MATRIX instruction without an address out of range."""

    def draw(high):
        return int(rng.integers(1, high + 1))

    f = {"out_blocks": draw(2), "in_blocks": draw(2), "kernel_height": draw(3),
         "kernel_width": draw(3), "out_height": draw(4), "out_width": draw(5)}  # fmt: skip
    if rng.random() < 0.3:
        f |= {"out_height": 1, "out_width": draw(2)}
    f |= {name: int(rng.integers(0, 4)) for name in ("stride_y", "stride_x")}
    f |= {name: int(rng.integers(0, 4)) for name in ("dilation_y", "dilation_x")}
    f |= {"origin_y": int(rng.integers(-5, 4)), "origin_x": int(rng.integers(-5, 4))}
    f |= {"height": int(rng.integers(0, 9)), "width": int(rng.integers(0, 9))}
    f |= {"padding": int(rng.integers(-128, 128)), "accumulate": int(rng.integers(0, 2))}
    f["source_pitch"] = max(f["width"], 1) + int(rng.integers(0, 3))
    plane = f["height"] * f["source_pitch"]
    f["source_in_stride"] = plane + int(rng.integers(0, 3))
    f["source_out_stride"] = int(rng.choice([0, plane]))
    used = f["in_blocks"] * f["source_in_stride"] + f["out_blocks"] * plane + 1
    assert used <= config.activation_words
    f["source"] = int(rng.integers(0, config.activation_words - used + 1))
    f["weights"] = int(rng.integers(0, config.weight_words))
    pixels = f["out_height"] * f["out_width"]
    f["destination_stride"] = max(0, pixels + int(rng.choice([-2, -1, 0, 3])))
    span = f["out_blocks"] * max(f["destination_stride"], pixels)
    if destination is None:
        destination = int(rng.integers(0, 40))
    f["destination"] = max(0, min(destination, config.accumulator_words - span - 1))
    return instruction("MATRIX", **f).values()


def last_destination(f):
    """Return the accumulator word of the last pixel."""
    blocks = (f["out_blocks"] - 1) * f["destination_stride"]
    return f["destination"] + blocks + f["out_height"] * f["out_width"] - 1
