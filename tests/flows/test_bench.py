"""`tilewright bench`: the report, and runs on the RTL of `nano`, which is built once."""

import json
from pathlib import Path

import pytest

from tilewright.flows import bench_cases, bench_run
from tilewright.flows.bench_cases import KERNELS, Case, kernel, model_name
from tilewright.flows.bench_report import kernel_row, markdown, speed_row, table
from tilewright.flows.bench_run import Result, conditions, run_case
from tilewright.flows.compare import first_difference
from tilewright.flows.kernels import make_kernel
from tilewright.hw.spec.config import PRESETS

BASE, NANO = PRESETS["base"], PRESETS["nano"]
RESULT = Result(
    name="GEMM 256^3",
    is_kernel=True,
    latency=64,
    gemmini_library=70_361,
    gemmini_best=67_905,
    macs=256**3,
    cycles=66_000,
    utilization=256**3 / (66_000 * 256),
    estimated_cycles=66_330,
    compile_seconds=0.25,
    rtl_seconds=2.0,
    cycles_per_second=40_000.0,
    iss_seconds=0.012,
)


def test_kernel_row_compares_with_the_peers_best():
    row = kernel_row(RESULT, BASE)
    assert row == ("GEMM 256^3", 65_536, 66_000, "99.3%", 70_361, 67_905, "+2.8%")


def test_speed_row_states_the_error_of_the_timing_model():
    assert speed_row(RESULT) == ("GEMM 256^3", "0.25", "2.00", "40", "0.01", None, "+0.500%")


def test_table_aligns_numbers():
    text = table(("name", ">cycles"), [("a", 1234), ("b", None)])
    assert text == "| name | cycles |\n| --- | ---: |\n| a | 1,234 |\n| b | - |"


def test_report_states_conditions_and_failures():
    failed = Result(name="broken", is_kernel=False, latency=64, error="does not fit")
    facts = conditions(BASE, 1.5, [RESULT, failed])
    text = markdown(facts, BASE, [RESULT, failed])
    for part in (
        BASE.digest[:16],
        "latency 64 cycles",
        "16 bytes a cycle",
        "amaranth",
        "verilator",
    ):
        assert part in text
    assert "- broken: does not fit" in text
    assert facts["sram_kib"] == 512


def test_every_kernel_is_a_model():
    for case in KERNELS[:4]:
        graph = make_kernel(case.kind, case.sizes).graph
        assert graph.node[2].name == case.kind
    assert len({case.name for case in KERNELS}) == len(KERNELS)
    assert all(case.gemmini_best <= case.gemmini_library for case in KERNELS)


def test_another_array_is_not_compared_with_the_peer():
    missing = Case(name="m", model=Path("no.onnx"), gemmini_library=5, gemmini_best=4)
    result = run_case(missing, NANO)
    assert (result.gemmini_library, result.gemmini_best) == (None, None)
    assert "no.onnx: no such file" in result.error


def test_model_names():
    assert model_name(Path("a/resnet8/model.onnx")) == "resnet8"
    assert model_name(Path("a/digits.onnx")) == "digits"


@pytest.fixture
def small_kernels(monkeypatch):
    """One small kernel instead of the table."""
    monkeypatch.setattr(bench_cases, "KERNELS", (kernel("GEMM 8^3", "gemm", (8, 8, 8), 9),))


def test_bench_on_rtl(tilewright, small_kernels, digits, tmp_path):
    report, data = tmp_path / "bench.md", tmp_path / "bench.json"
    result = tilewright("bench", digits, "--preset", "nano", "-o", report, "--json", data)
    assert result.status == 0, result
    gemm, model = json.loads(data.read_text())["results"]
    assert (gemm["macs"], gemm["error"], model["error"]) == (512, None, None)
    assert gemm["cycles"] > 512 / 16
    assert model["cycles"] > 84224 / 16
    assert model["ort_seconds"] > 0
    assert "| GEMM 8^3 | 32 |" in report.read_text()
    assert "| digits |" in report.read_text()
    assert "GEMM 8^3" in result.out


def test_bench_fails_on_a_difference(tilewright, small_kernels, monkeypatch, tmp_path):
    def broken(program, given, expected):
        return first_difference(program, given ^ 1, expected)

    monkeypatch.setattr("tilewright.flows.verify.first_difference", broken)
    result = tilewright("bench", "--preset", "nano", "--json", tmp_path / "b.json")
    assert result.status == 1
    (found,) = json.loads((tmp_path / "b.json").read_text())["results"]
    assert "RTL and simulator differ" in found["error"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--no-kernels"], "nothing to measure; give models"),
        (["missing.onnx"], "missing.onnx: no such file"),
        (["-o", "nowhere/bench.md"], "folder nowhere does not exist"),
    ],
)
def test_errors(tilewright, monkeypatch, words, message):
    monkeypatch.setattr(bench_run, "run_case", None)
    result = tilewright("bench", *words)
    assert (result.status, result.out) == (2, "")
    assert message in result.err
