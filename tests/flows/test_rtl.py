"""The flows on the RTL of `nano`, which is built once and cached."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

import tilewright as package
from tilewright.flows import verify
from tilewright.flows.compare import first_difference


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def assembled(tilewright):
    """Return a function that assembles a text for `nano`."""

    def make(text):
        with open("program.s", "w") as file:
            file.write(text)
        assert tilewright("asm", "program.s", "--preset", "nano").status == 0
        return "program.tw"

    return make


def test_cosim_finds_rtl_simulator_reference_and_onnx_runtime_equal(
    tilewright, digits, digits_inputs
):
    result = tilewright(
        "cosim", digits, "--preset", "nano", "--input", digits_inputs, "--samples", 5,
        "--rtl-samples", 2, "--ort", "--report", "r.json", "-o", "out.npz",
    )  # fmt: skip
    assert result.status == 0, result
    assert "RTL = simulator: all" in result.out
    assert "simulator = reference" in result.out
    assert "simulator = ONNX Runtime" in result.out
    with open("r.json") as file:
        report = json.load(file)
    assert report["memory_differences"] == []
    assert (report["samples_rtl"], report["samples_iss"]) == (2, 5)
    assert report["cycles"][0] == report["cycles"][1]
    layer_cycles = sum(layer["cycles"] or 0 for layer in report["layers"])
    assert 0 <= report["cycles"][0] - layer_cycles < 200
    assert np.load("out.npz")["scores"].shape == (2, 1, 10)


def test_cosim_on_a_slow_and_on_a_stalling_dram(tilewright, digits):
    def report(*options):
        options = ("--preset", "nano", "--samples", 1, "--report", "r.json", *options)
        assert tilewright("cosim", digits, *options).status == 0
        with open("r.json") as file:
            return json.load(file)

    fast, slow = report(), report("--bandwidth", 0.1)
    assert fast["estimated_cycles"] == fast["cycles"][0] < slow["cycles"][0]
    assert slow["estimated_cycles"] is None
    assert slow["dram_beats_per_cycle"] == 0.1
    stalling = report("--stalls", 0.5)
    assert stalling["cycles"][0] > fast["cycles"][0]
    assert stalling["memory_differences"] == []


def test_run_on_rtl_gives_the_simulators_outputs(tilewright, digits):
    tilewright("compile", digits, "--preset", "nano", "-o", "d.tw")
    for on in ("iss", "rtl"):
        assert tilewright("run", "d.tw", "--on", on, "-o", f"{on}.npz").status == 0
    assert np.array_equal(np.load("iss.npz")["scores"], np.load("rtl.npz")["scores"])


def test_waveforms_are_those_of_the_first_sample(tilewright, digits):
    words = ("run", digits, "--preset", "nano", "--samples", 2, "--vcd", "w.vcd")
    result = tilewright(*words, "--json")
    assert result.status == 0, result
    first, second = json.loads(result.out)["samples"]
    text = Path("w.vcd").read_text()
    assert "interrupt_line" in text
    clock = re.search(r"\$var wire +1 (\S+) clk ", text)[1]
    edges = len(re.findall(rf"^1{re.escape(clock)}$", text, re.MULTILINE))
    assert first["cycles"] < edges < first["cycles"] + second["cycles"]
    assert tilewright(*words, "--on", "iss").err == (
        "error: --vcd is of --on rtl; --on iss has no waveforms\n"
    )
    assert "ends in .vcd or .fst, got 'w.txt'" in tilewright("cosim", digits, "--vcd", "w.txt").err


def test_each_section_has_waveforms_of_its_own(tilewright, interrupted):
    result = tilewright(
        "cosim", interrupted, "--preset", "nano", "--keep-sections", "--vcd", "w.vcd"
    )
    assert result.status == 0, result
    assert sorted(path.name for path in Path().glob("*.vcd")) == ["w-section1.vcd", "w.vcd"]
    assert "waveforms in w.vcd" in result.out


def test_session_on_rtl_tells_cycles(digits, digits_inputs):
    image = np.load(digits_inputs)["image"][0]
    session = package.Session(digits, "nano", on="rtl")
    (scores,) = session.run(None, {"image": image})
    (expected,) = package.Session(digits, "nano").run(None, {"image": image})
    assert np.array_equal(scores, expected)
    assert session.last.cycles > 84224 / 16
    assert max(cycle for _, _, cycle in session.last.retirements) < session.last.cycles


def test_sweep_on_rtl_states_the_error_of_the_formulas(tilewright, digits):
    result = tilewright("sweep", digits, "--preset", "nano", "--fidelity", "rtl")
    assert result.status == 0, result
    assert "the timing model: off the RTL by 0.0%" in result.out


def test_points_of_a_sweep_are_verified_on_rtl(tilewright, digits):
    words = ("sweep", digits, "--preset", "nano", "--verify", "3")
    result = tilewright(*words, "--fidelity", "closed", "-o", "found")
    assert result.status == 0, result
    assert "closed form, for ranking only: off the RTL by" in result.out
    replayed = tilewright(*words, "--csv", "s.csv", "-o", "found")
    assert "timing replay: off the RTL by 0.0% on average, 0.0% at most (1 points)" in replayed.out
    with open("s.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["rtl_cycles"], row["rtl_error"]) == (row["cycles"], "0.0")
    assert "off the RTL by 0.0%" in Path("found/index.html").read_text()


def test_cosim_reports_a_difference_and_fails(tilewright, digits, monkeypatch):
    def broken(program, given, expected):
        given = given.copy()
        given[program.of_kind("output")[0].address] ^= 1
        return first_difference(program, given, expected)

    monkeypatch.setattr(verify, "first_difference", broken)
    result = tilewright("cosim", digits, "--preset", "nano")
    assert result.status == 1
    assert "RTL and simulator DIFFER" in result.out
    assert "sample 0: 1 bytes differ" in result.out


@pytest.mark.parametrize(
    ("text", "fault", "index"),
    [
        (".memory 8192\n.word " + "ff" * 64 + "\nEND\n", "ILLEGAL_INSTRUCTION", 0),
        (".memory 8192\nSTORE after LOAD:1 run=1\nEND\n", "FUTURE_WAIT", 0),
        (
            ".memory 8192\nLOAD run=1 count0=1 count1=1 count2=1 sram_address=8192\nEND\n",
            "SRAM_RANGE",
            0,
        ),
        (
            ".memory 8192\nLOAD run=1 count0=1 count1=1 count2=1\n"
            "LOAD run=1 count0=1 count1=1 count2=1 dram_address=0x100000\nEND\n",
            "BUS_ERROR",
            1,
        ),
    ],
)
@pytest.mark.parametrize("on", ["iss", "rtl"])
def test_faults_end_in_a_clear_message(tilewright, assembled, text, fault, index, on):
    result = tilewright("run", assembled(text), "--on", on)
    assert result.status == 2
    assert f"error: the accelerator stopped with fault {fault} at instruction {index}" in result.err
    assert result.err.count("\n") == 1


def test_every_sample_of_a_batch_runs_on_the_rtl(tilewright, make_model):
    x = np.random.default_rng(0).uniform(-6, 6, (2, 2, 6, 6)).astype(np.float32)
    np.savez("x.npz", x=x)
    result = tilewright(
        "cosim", make_model(batch=2), "--preset", "nano", "--input", "x.npz", "--ort",
        "--report", "r.json", "-o", "y.npz",
    )  # fmt: skip
    assert result.status == 0, result
    assert "simulator = ONNX Runtime" in result.out
    with open("r.json") as file:
        report = json.load(file)
    assert report["samples_rtl"] == 2
    assert next(iter(report)) == "coverage"
    assert np.load("y.npz")["y"].shape == (2, 4, 4, 4)
