"""Refused ports in the timing model are meetings that the checker lists, and `explain` has both."""

import itertools
import json
import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from tilewright.compiler.program.checker import CheckError, check_program
from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.models import import_file
from tilewright.flows.report.explanation import explain
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.isa import Engine, Wait
from tilewright.hw.spec.random_program import random_program
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.timing import simulate

WORKLOADS = Path(__file__).resolve().parents[4] / "shared" / "workloads"
EVERYWHERE = [(0, 1 << 32)]


def model_of_kernel(kind, *sizes, config):
    """A single-layer model, imported."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.onnx"
        onnx.save(make_kernel(kind, sizes), path)
        return import_file(path, config)


def numbers_of(instructions):
    """The number of each instruction among its engine's, from 1."""
    counts, numbers = Counter(), []
    for item in instructions:
        counts[item.engine] += 1
        numbers.append(counts[item.engine])
    return numbers


def with_instructions(program, instructions):
    """The program with other instructions in the same places."""
    start = program.program_address
    words = b"".join(encode(item, program.config) for item in instructions)
    image = program.image[:start] + words + program.image[start + len(words) :]
    return replace(program, image=image)


def losers(instructions, config):
    return {m.loser.index for m in check_program(instructions, config, writable=EVERYWHERE)}


@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
def test_only_losers_of_listed_meetings_are_refused(preset):
    config, seed = PRESETS[preset], random.randrange(1 << 30)
    print("seed", seed)
    passed = refused = 0
    for number in itertools.count(seed):
        program = random_program(config, number, num_instructions=12)
        try:
            expected = losers(program.instructions, config)
        except CheckError:
            continue
        result = simulate(program, latency=(1, 64, 200)[number % 3])
        found = {index for index, cycles in enumerate(result.refused) if cycles}
        assert found <= expected, (number, sorted(found - expected))
        passed, refused = passed + 1, refused + len(found)
        if passed >= 20 and refused:
            break


@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
@pytest.mark.parametrize("kind", [("conv", 20, 20, 3, 12, 12), ("gemm", 24, 40, 40)])
def test_layers_without_meetings_have_no_refused_cycle(kind, preset):
    found = explain(
        model_of_kernel(*kind, config=PRESETS[preset]), PRESETS[preset], with_gains=False
    )
    assert not any(layer.meetings for layer in found.layers)
    buckets = simulate(found.program).buckets
    assert not any(buckets[engine][Bucket.BANK] for engine in Engine)
    assert found.refused_cycles == 0


@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
def test_explanation_lists_what_the_depthwise_unit_meets(preset):
    config = PRESETS[preset]
    found = explain(
        model_of_kernel("depthwise", 4 * config.rows, 3, 14, 14, config=config),
        config,
        with_gains=False,
    )
    (layer,) = found.layers
    data = json.loads(json.dumps(layer.as_dict()))
    scales = next(m for m in data["meetings"] if m["memory"] == "parameter")
    assert (scales["loser"], scales["winner"]) == ("depthwise", "vector")
    assert (scales["port"], scales["banks"]) == ("read", [0])
    assert scales["loser_buffers"] == scales["winner_buffers"] == ["parameters"]
    buckets = simulate(found.program).buckets
    refused = sum(buckets[engine][Bucket.BANK] for engine in Engine)
    assert data["refused_cycles"] == found.refused_cycles == refused
    assert all(m["refused_cycles_at_most"] <= refused for m in data["meetings"])


def test_a_loser_that_waits_for_the_winner_is_never_quicker():
    config = PRESETS["nano"]
    model = model_of_kernel("depthwise", 32, 3, 28, 28, config=config)
    program = explain(model, config, with_gains=False).program
    before, numbers = simulate(program), numbers_of(program.instructions)
    meetings = check_program(program.instructions, config, writable=EVERYWHERE)
    pairs = {(m.winner.index, m.loser.index) for m in meetings if m.winner.index < m.loser.index}
    assert pairs
    for winner, loser in sorted(pairs)[::10]:
        mutant = list(program.instructions)
        wait = Wait(engine=mutant[winner].engine, count=numbers[winner])
        kept = tuple(w for w in mutant[loser].waits if w.count and w.engine != wait.engine)
        mutant[loser] = mutant[loser].waiting((*kept, wait))
        assert simulate(with_instructions(program, mutant)).cycles >= before.cycles


@pytest.mark.skipif(not WORKLOADS.is_dir(), reason=f"{WORKLOADS} is missing")
@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
@pytest.mark.parametrize("name", ["mnist_cnn", "ad_autoencoder", "resnet8_cifar10"])
def test_workloads_without_meetings_have_no_refused_cycle(name, preset):
    config = PRESETS[preset]
    found = explain(import_file(WORKLOADS / name / "model.onnx", config), config, with_gains=False)
    assert not any(layer.meetings for layer in found.layers)
    assert not any(b[Bucket.BANK] for b in simulate(found.program).buckets.values())
