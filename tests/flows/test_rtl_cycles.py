"""The timing model against the RTL: the pinned programs, and the shared workloads.

Most of it is a campaign (`pytest -m campaign tests/flows/test_rtl_cycles.py -s`): it builds the RTL
of many configs. With `-s` it prints the table of docs/timing.md. Workloads are skipped where
`shared/workloads` is missing.
"""

import json
from pathlib import Path

import pytest

from tilewright.flows.execution import load_inputs
from tilewright.flows.models import compile_file
from tilewright.flows.report.report import layer_cycles
from tilewright.flows.runtime.targets import RtlTarget
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.flows.verify import timed_rtl
from tilewright.hw.spec.assembly import assemble
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.random_program import random_program
from tilewright.sim.timing import simulate

DATA = Path(__file__).resolve().parents[1] / "sim" / "timing" / "data"
WORKLOADS = Path(__file__).resolve().parents[3] / "shared" / "workloads"
NAMES = (
    "mnist_cnn",
    "ad_autoencoder",
    "kws_dscnn",
    "resnet8_cifar10",
    "vww_mobilenetv1_025",
    "mobilenetv2_035_128",
    "squeezenet_224",
)
SLOW = {("squeezenet_224", "nano")}
"""24 M cycles; minutes, where the others take seconds."""
TOTAL_BOUND, LAYER_BOUND = 0.005, 0.02


@pytest.mark.campaign
@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
def test_the_pinned_cycles_are_those_of_the_rtl(preset):
    config = PRESETS[preset].replace(queue_depth=2)  # what was pinned had that
    program = assemble((DATA / f"digits_{preset}.asm").read_text(), config)
    pinned = json.loads((DATA / f"digits_{preset}.json").read_text())
    outcome = RtlTarget(program).run({})
    assert outcome.cycles == pinned["cycles"]
    measured = {}
    for engine, _, cycle in outcome.retirements:
        measured.setdefault(engine.name.lower(), []).append(cycle)
    assert measured == pinned["retirements"]


@pytest.mark.campaign
@pytest.mark.parametrize("preset", ["nano", "edge", "base", "large"])
def test_random_programs_retire_in_the_cycles_of_the_rtl(preset, registers):
    check_retirements(PRESETS[preset].replace(**registers), 100)


@pytest.mark.campaign
@pytest.mark.parametrize("preset", ["nano", "base"])
def test_random_programs_retire_in_the_cycles_of_an_rtl_with_digits(preset):
    check_retirements(PRESETS[preset].replace(multiplier_bits=2), 100)


def test_a_few_programs_retire_in_the_cycles_of_the_rtl(registers):
    check_retirements(PRESETS["nano"].replace(**registers), 8)


def check_retirements(config: Config, num_programs: int) -> None:
    """Run random programs at three latencies; every retirement is in the timing model's cycle."""
    for seed in range(num_programs):
        latency = (64, 1, 200)[seed % 3]
        program = random_program(config, seed)
        target, _ = timed_rtl(program, latency)
        outcome, result = target.run({}), simulate(program, latency=latency)
        assert (result.cycles, sorted(result.retirements)) == (
            outcome.cycles,
            sorted(outcome.retirements),
        ), seed


@pytest.mark.campaign
@pytest.mark.parametrize("preset", ["base", "edge", "nano"])
@pytest.mark.parametrize("name", NAMES)
def test_workloads(name, preset):
    path = WORKLOADS / name / "model.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    if (name, preset) in SLOW:
        pytest.skip("takes minutes")
    program = compile_file(path, PRESETS[preset]).program
    outcome = RtlTarget(program).run(load_inputs(program, WantedInputs())[0])
    result = simulate(program)
    ours = layer_cycles(program, result.retirements)
    errors = {
        program.layers[layer].name: ours[layer] / cycles - 1
        for layer, cycles in layer_cycles(program, outcome.retirements).items()
        if cycles
    }
    worst = max(errors, key=lambda layer: abs(errors[layer]))
    total = result.cycles / outcome.cycles - 1
    print(
        f"| {name} | {preset} | {program.num_instructions} | {outcome.cycles:,} "
        f"| {result.cycles:,} | {total:+.3%} | {errors[worst]:+.2%} |"
    )
    assert abs(total) <= TOTAL_BOUND
    assert abs(errors[worst]) <= LAYER_BOUND, worst
