"""What to build: the smallest config that is fast enough and fits, and how to make it."""

import dataclasses
import json
import re
import shlex

import pytest

from tilewright.flows.sweep.job import Result
from tilewright.flows.sweep.recommending import default_space
from tilewright.flows.synthesis.devices import devices
from tilewright.flows.synthesis.synthesis import PartFigures, Synthesis
from tilewright.hw.spec.config import PRESETS

LUTS = 700
"""A multiplier's, in the synthesis that these tests have in place of a real one."""


@pytest.fixture
def synthesized(monkeypatch, tmp_path):
    """The configs that were synthesized, by a formula; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    found = []

    def with_area(points, target, jobs):
        assert target == "ecp5-45k"
        found.append(points[0].candidate.config)
        size = found[-1].rows * found[-1].cols
        figures = {"lut4": LUTS * size, "flip_flops": 9.0, "mult18": size + 19, "block_ram": 40}
        part = PartFigures(name="all", count=1, figures=figures)
        synthesis = Synthesis(config=found[-1], target=target, is_flat=False, tools=("none",),
                              parts=(part,), timing=None)  # fmt: skip
        return [dataclasses.replace(point, synthesis=synthesis) for point in points]

    monkeypatch.setattr("tilewright.flows.sweep.recommending.with_area", with_area)
    monkeypatch.setattr("tilewright.flows.synthesis.synthesis.check_target", lambda target: None)
    return found


def recommended(tilewright, digits, fps, *words):
    space = 'bases = ["nano"]\n[ranges]\nrows = [2, 4, 8]\ncols = [4, 8, 16]\n'
    with open("space.toml", "w") as file:
        file.write(space)
    options = ("--space", "space.toml", "--min-fps", fps, "--jobs", 1, *words)
    return tilewright("recommend", digits, "--target", "ecp5-45k", *options)


def test_the_smallest_fast_enough_config_that_fits_is_named_with_its_figures(
    tilewright, digits, synthesized
):
    result = recommended(tilewright, digits, 4000, "--json", "--clock", 50)
    assert result.status == 0, result
    answer = json.loads(result.out)
    figures = answer["figures"]
    assert figures["frames_per_second"]["value"] >= 4000
    assert figures["area"] == {
        "value": LUTS * synthesized[-1].rows * synthesized[-1].cols,
        "obtained": "composed of synthesized parts",
    }
    assert figures["cycles"]["obtained"] == "timing replay"
    assert figures["clock_mhz"] == {"value": 50, "obtained": "given"}
    options = shlex.split(answer["command"])[2:]
    measured = json.loads(tilewright("sweep", digits, *options, "--json").out)["points"][0]
    assert measured["cycles"] == figures["cycles"]["value"]
    assert measured["config_digest"] == synthesized[-1].digest
    sizes = [config.rows * config.cols for config in synthesized]
    assert sizes == sorted(sizes)


def test_an_assumed_clock_is_said_to_be_one(tilewright, digits, synthesized):
    result = recommended(tilewright, digits, 500)
    assert result.status == 0, result
    clock = devices()["ecp5-45k"].clock_mhz
    assert re.search(rf"clock mhz +{clock:g} +assumed for ecp5-45k", result.out)
    assert "\ntilewright generate --preset nano" in result.out
    assert re.search(r"its clock: tilewright synth --preset nano.* --place 45k\n", result.out)


@pytest.mark.parametrize(
    ("fps", "words", "message"),
    [
        (1e6, (), "0 configs are not excluded by their size and their closed form"),
        (500, ("--at-most", "area=100"), "too large"),
        (500, ("--at-most", "speed=1"), "no figure 'speed'"),
    ],
)
def test_what_nothing_reaches_is_refused(tilewright, digits, synthesized, fps, words, message):
    result = recommended(tilewright, digits, fps, *words)
    assert (result.status, result.out) == (2, "")
    assert message in " ".join(result.err.split())


def test_configs_that_fail_are_told(tilewright, digits, synthesized, monkeypatch):
    def failing(job, readings):
        return Result(error="broken")

    monkeypatch.setattr("tilewright.flows.sweep.running.run_job", failing)
    monkeypatch.setattr("tilewright.flows.sweep.running.Pool", InProcess)
    result = recommended(tilewright, digits, 4000)
    assert result.status == 2
    assert re.search(r"[1-9] failed, the first, nano-\d+x\d+: broken", " ".join(result.err.split()))


class InProcess:
    """A pool that runs jobs right here."""

    def __init__(self, run, jobs, crashed, preloaded, build):
        self.run = run

    def results(self, jobs):
        return ((job, self.run(job)) for job in jobs)


def test_gates_need_a_clock(tilewright, digits, synthesized):
    words = ("recommend", digits, "--target", "osu018", "--min-fps", 1)
    assert "--clock MHZ, or one of ecp5-25k, ecp5-45k, ecp5-85k" in tilewright(*words).err


def test_what_a_device_cannot_hold_is_known_without_synthesis():
    large = devices()["ecp5-85k"]
    assert large.may_hold(PRESETS["edge"])
    assert not large.may_hold(PRESETS["base"])
    assert not devices()["ecp5-25k"].may_hold(PRESETS["edge"])


def test_an_fpga_gets_the_registers_and_gates_the_products_that_are_made_for_them():
    for device, registers in (
        (devices()["ecp5-25k"], (1, 0)),
        (devices()["ecp5-85k"], (1, 1)),
        (None, (0, 0)),
    ):
        bases = default_space(device).bases
        assert {(base.path_registers, base.wire_registers) for base in bases} == {registers}
        assert {base.recodes for base in bases} == {device is None}
        assert [base.activation_kib for base in bases] == [
            PRESETS[name].activation_kib for name in ("nano", "edge", "base")
        ]
