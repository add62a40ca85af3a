"""The banks of a VECTOR's turns, against loops over its positions."""

import random

import numpy as np
import pytest

from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.loops import SRAM_MODULUS, span
from tilewright.hw.spec.operations.vector import Vector
from tilewright.sim.timing.ports import FREE_BANK, bank_range, cycles_of
from tilewright.sim.timing.vector_ports import WorkCache

CONFIG = PRESETS["edge"]


def random_fields(rng):
    """A copy of pixels or a window, often within a bank, now and then behind the modulus."""
    is_copy = rng.random() < 0.5
    small = 1 if is_copy else rng.randrange(1, 4)
    fields = {
        "groups": rng.randrange(1, 6),
        **{f"out_{axis}": rng.randrange(1, 6) for axis in ("height", "width")},
        **{f"kernel_{axis}": small for axis in ("height", "width")},
        **{f"stride_{axis}": 1 if is_copy else rng.randrange(3) for axis in "yx"},
        **{f"dilation_{axis}": rng.randrange(3) for axis in "yx"},
        **{f"origin_{axis}": 0 if is_copy else rng.randrange(-2, 2) for axis in "yx"},
        **{axis: rng.randrange(1, 7) for axis in ("height", "width")},
        "source_kind": rng.randrange(2),
        "combine": rng.randrange(2),
        "negative_scales": rng.randrange(2),
        "uniform": rng.randrange(2),
    }
    for buffer in ("source", "operand", "destination"):
        bank = rng.randrange(5) * CONFIG.activation_bank_words
        fields[buffer] = rng.choice((bank + 3, bank - 3, SRAM_MODULUS - 5)) % SRAM_MODULUS
        fields[f"{buffer}_pitch"] = rng.randrange(9)
        fields[f"{buffer}_stride"] = rng.choice((0, 25, CONFIG.activation_bank_words))
        fields[f"{buffer}_group"] = rng.randrange(4)
    return fields


def bank_of(word, words, bank_words):
    """No port is asked for behind the memory's end."""
    word %= SRAM_MODULUS
    return word // bank_words if word < words else FREE_BANK


def expected_banks(f):
    """Source and operand bank of every turn; the banks that are written."""
    sums = f["source_kind"] == 1
    groups = CONFIG.col_groups if sums else CONFIG.row_groups
    words = CONFIG.accumulator_words if sums else CONFIG.activation_words
    bank_words = CONFIG.accumulator_bank_words if sums else CONFIG.activation_bank_words
    turns, written = [], set()
    for group in range(f["groups"]):
        if f["negative_scales"] and not (group and f["uniform"]):
            turns += 3 * [(FREE_BANK, FREE_BANK)]
        for oy in range(f["out_height"]):
            for ox in range(f["out_width"]):
                operand, destination = (
                    bank_of(
                        f[b]
                        + (f[f"{b}_group"] + group) // CONFIG.row_groups * f[f"{b}_stride"]
                        + oy * f[f"{b}_pitch"]
                        + ox,
                        CONFIG.activation_words,
                        CONFIG.activation_bank_words,
                    )
                    for b in ("operand", "destination")
                )
                written.add(destination)
                for ky in range(f["kernel_height"]):
                    for kx in range(f["kernel_width"]):
                        y = f["origin_y"] + oy * f["stride_y"] + ky * f["dilation_y"]
                        x = f["origin_x"] + ox * f["stride_x"] + kx * f["dilation_x"]
                        block = (f["source_group"] + group) // groups * f["source_stride"]
                        word = f["source"] + block + y * f["source_pitch"] + x
                        inside = 0 <= y < f["height"] and 0 <= x < f["width"]
                        source = bank_of(word, words, bank_words) if inside else FREE_BANK
                        turns.append((source, operand if f["combine"] else FREE_BANK))
    return turns, written


@pytest.mark.parametrize("seed", range(20))
def test_turns_need_the_banks_of_their_words(seed):
    rng = random.Random(seed)
    cache = WorkCache(CONFIG)
    for _ in range(20):
        fields = random_fields(rng)
        vector = Vector.of(fields)
        work = cache.work(vector)
        turns, written = expected_banks(fields)
        found = [s[:2] for s in work.segments for _ in range(s.turns)]
        assert found == turns, fields
        assert work.turns == len(turns)
        assert {s.source_bank for s in work.segments} == set(work.source_banks)
        assert {s.operand_bank for s in work.segments} == set(work.operand_banks)
        walk = vector.destination_walk(CONFIG)
        between = bank_range(walk, CONFIG)
        assert written - {FREE_BANK} <= set(between), fields
        if span(walk)[1] < CONFIG.activation_words:
            assert (between[0], between[-1]) == (min(written), max(written)), fields


@pytest.mark.parametrize("seed", range(20))
def test_work_of_one_shape_follows_the_bases(seed):
    rng, cache = random.Random(seed), WorkCache(CONFIG)
    fields = random_fields(rng) | {"origin_x": 0, "origin_y": 0}
    for _ in range(30):
        others = random_fields(rng)
        fields |= {base: others[base] for base in ("source", "operand", "destination")}
        work = cache.work(Vector.of(fields))
        turns, _ = expected_banks(fields)
        assert [s[:2] for s in work.segments for _ in range(s.turns)] == turns, fields
        assert work == WorkCache(CONFIG).work(Vector.of(fields))


@pytest.mark.parametrize("seed", range(5))
def test_cycles_of_turns_are_those_of_their_runs(seed):
    rng = random.Random(seed)
    spacing, cycle, runs, cycles = rng.randint(1, 4), 0, [], []
    for _ in range(rng.randint(1, 5)):
        cycle += rng.randint(1, 20)
        runs.append((cycle, rng.randint(1, 9)))
        cycles += [cycle + spacing * turn for turn in range(runs[-1][1])]
        cycle = cycles[-1]
    turns = sorted(rng.sample(range(len(cycles)), rng.randint(1, len(cycles))))
    found = cycles_of(np.array(turns), runs, spacing)
    assert found.tolist() == [cycles[turn] for turn in turns]
