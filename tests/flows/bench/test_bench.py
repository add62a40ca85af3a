"""`tilewright bench`: the report, and runs on the RTL of `nano`, which is built once."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tilewright.flows.bench import cases as bench_cases
from tilewright.flows.bench import measure as bench_run
from tilewright.flows.bench import tools as bench_tools
from tilewright.flows.bench.cases import (
    KERNELS,
    PEER_SIZED,
    Case,
    Kernel,
    kernels,
    long_cases,
    matching,
    model_name,
)
from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.bench.measure import Result, conditions, run_case, sram_kib
from tilewright.flows.bench.networks import make_network
from tilewright.flows.bench.report import (
    kernel_row,
    markdown,
    rtl_row,
    sections,
    speed_row,
    timing_row,
)
from tilewright.flows.bench.tools import RtlSpeed, fresh_cache, measure_start
from tilewright.flows.compare import first_difference
from tilewright.flows.report.columns import Column, fit, total
from tilewright.flows.report.display import show
from tilewright.flows.report.markdown import markdown_table
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError

BASE, NANO = PRESETS["base"], PRESETS["nano"]
RESULT = Result(
    name="GEMM 256^3",
    config="base",
    group="kernel",
    latency=64,
    gemmini_library=70_361,
    gemmini_best=67_905,
    target=67_200,
    ideal=65_536,
    macs=256**3,
    cycles=66_000,
    utilization=256**3 / (66_000 * 256),
    estimated_cycles=66_330,
    layer_error=0.005,
    layer_error_cycles=330,
    compile_seconds=0.25,
    recompile_seconds=0.02,
    rtl_seconds=2.0,
    cycles_per_second=40_000.0,
    timing_seconds=0.4,
    iss_seconds=0.012,
    ort_seconds=0.004,
)
SPEED = RtlSpeed(
    config="base",
    generate_seconds=2.5,
    build_seconds=40.0,
    cosim_hertz=90_000,
    bare_hertz=100_000,
    clock_hertz=120_000,
)
START = {"start_seconds": {"import tilewright": 0.05}}


def test_kernel_row_compares_with_the_peers_best():
    row = kernel_row(RESULT)
    assert row == ("GEMM 256^3", 65_536, 66_000, "99.3%", 67_200, 70_361, 67_905, "+2.8%")


def test_timing_row_states_the_errors_of_the_timing_model():
    assert timing_row(RESULT)[2:] == (66_000, 66_330, "+0.500%", "0.500%", 330)


def test_speed_row():
    assert speed_row(RESULT)[2:] == (
        "0.25", "0.02", "2.00", "40", "0.40", "0.01", "0.004", "3.0"
    )  # fmt: skip


def test_rtl_row_states_the_shares_of_the_bare_model():
    assert rtl_row(SPEED) == ("base", "2.5", "40.0", "90", "100", "90.0%", "120", "75.0%")
    assert SPEED.as_dict()["share_of_clock"] == 0.75


def test_table_aligns_numbers():
    text = markdown_table(("name", ">cycles"), [("a", 1234), ("b", None)])
    assert text == "| name | cycles |\n| --- | ---: |\n| a | 1,234 |\n| b | - |"


def test_report_states_conditions_and_failures():
    failed = Result(name="broken", config="base", group="model", latency=64, error="does not fit")
    facts = conditions([BASE], [64, 200]) | START
    text = markdown(facts, [RESULT, failed], [SPEED])
    for part in (
        BASE.digest[:16],
        "latency 64 or 200 cycles",
        "256 / 112 / 128 / 16 = 512 KiB",
        "## RTL simulator",
        "| import tilewright | 0.05 |",
        "amaranth",
        "verilator",
    ):
        assert part in text
    assert "- broken: does not fit" in text
    assert "| broken | base | - | - | - | - | - | - | - |" in text
    assert facts["configs"]["base"]["sram_kib"] == 512


def test_every_kernel_is_a_model():
    for case in KERNELS[:4]:
        graph = make_kernel(case.kind, case.sizes).graph
        assert graph.node[2].name == case.kind
    assert all((case.best or case.library) <= case.library for case in KERNELS)


def test_the_kernels_have_no_more_sram_than_the_peer():
    assert sram_kib(PEER_SIZED) == 320
    assert PEER_SIZED.replace(name="base") != BASE
    assert all(case.config == PEER_SIZED for case in kernels(None))


def test_every_case_has_a_name_of_its_own():
    names = [case.name for case in (*kernels(None), *long_cases())]
    assert len(set(names)) == len(names)
    assert {case.config.name for case in long_cases()} == {"base", "edge", "large"}


def test_cases_are_chosen_by_pattern():
    cases = [*kernels(None), *long_cases()]
    found = matching(cases, ["resnet-50 on *", "GEMM 64^3"])
    assert [case.name for case in found] == [
        "GEMM 64^3", "ResNet-50 on base", "ResNet-50 on edge", "ResNet-50 on large"
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"'resnet9\*' matches no case; the cases are GEMM 64\^3"):
        matching(cases, ["resnet9*"])


def test_a_network_is_the_same_each_time():
    first, second = make_network("mobilenetv2"), make_network("mobilenetv2")
    assert first.SerializeToString() == second.SerializeToString()
    assert sum(node.op_type == "Conv" for node in first.graph.node) == 52


def test_fresh_cache_is_empty_and_goes_away(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path))
    with fresh_cache():
        folder = Path(os.environ["TILEWRIGHT_CACHE"])
        assert folder != tmp_path
        assert list(folder.iterdir()) == []
    assert os.environ["TILEWRIGHT_CACHE"] == str(tmp_path)
    assert not folder.exists()
    monkeypatch.delenv("TILEWRIGHT_CACHE")
    with fresh_cache():
        pass
    assert "TILEWRIGHT_CACHE" not in os.environ


def test_start_is_measured():
    assert set(measure_start()) == {"import tilewright", "tilewright --help"}


def test_another_array_is_not_compared_with_the_peer():
    (case, *_) = kernels(NANO)
    assert (case.gemmini_library, case.gemmini_best, case.target) == (None, None, None)


def test_a_missing_model_is_an_error_of_its_case():
    missing = Case(name="m", config=NANO, model=Path("no.onnx"))
    assert "no.onnx: no such file" in run_case(missing).error


def test_model_names():
    assert model_name(Path("a/resnet8/model.onnx")) == "resnet8"
    assert model_name(Path("a/digits.onnx")) == "digits"


@pytest.fixture
def small_kernels(monkeypatch):
    """One small kernel instead of the table, and a small one to time the RTL."""
    small = Kernel(name="GEMM 8^3", kind="gemm", sizes=(8, 8, 8), library=9, target=8)
    monkeypatch.setattr(bench_cases, "KERNELS", (small,))
    monkeypatch.setattr(bench_tools, "SPEED_KERNEL", ("gemm", (16, 16, 16)))
    monkeypatch.setattr(bench_tools, "CLOCK_CYCLES", 1000)


def test_bench_on_rtl(tilewright, small_kernels, digits, tmp_path):
    report, data = tmp_path / "bench.md", tmp_path / "bench.json"
    result = tilewright("bench", digits, "--preset", "nano", "-o", report, "--json", data)
    assert result.status == 0, result
    found = json.loads(data.read_text())
    gemm, model = found["results"]
    assert (gemm["macs"], gemm["error"], model["error"]) == (512, None, None)
    assert gemm["cycles"] > 512 / 16
    assert model["cycles"] > 84224 / 16
    assert model["ort_seconds"] > 0
    assert 0 < model["recompile_seconds"] < model["compile_seconds"]
    assert 0 <= model["layer_error"] < 0.05
    (speed,) = found["rtl"]
    assert 0 < speed["share_of_bare"] < 2
    assert set(found["start_seconds"]) == {"import tilewright", "tilewright --help"}
    assert "| GEMM 8^3 | 32 |" in report.read_text()
    assert "| digits | nano |" in report.read_text()
    assert "GEMM 8^3" in result.out


def test_list_prints_names_and_runs_nothing(tilewright, monkeypatch):
    monkeypatch.setattr(bench_run, "run_case", None)
    result = tilewright("bench", "--list", "--case", "mobilenet*edge")
    assert result.out == "MobileNetV2 1.0 on edge  (long)\n"


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
        (["--case", "nothing"], "--case 'nothing' matches no case; the cases are GEMM 64^3"),
        (["-o", "nowhere/bench.md"], "folder nowhere does not exist"),
        (
            ["--set", "name=edge,lanes=8", "--case", "GEMM 256^3", "--case", "*on edge"],
            "are both named 'edge'; give another one, for example --set name=mine",
        ),
    ],
)
def test_errors(tilewright, monkeypatch, words, message):
    monkeypatch.setattr(bench_run, "run_case", None)
    result = tilewright("bench", *words)
    assert (result.status, result.out) == (2, "")
    assert message in result.err


def test_tables_fit_terminals_of_80_columns():
    facts = conditions([BASE], [64]) | START
    network = replace(RESULT, name="MobileNetV2 1.0 on large", cycles=64_253_316, config="base-320")
    networks = [replace(network, group=group) for group in ("product", "network", "model")]
    found = [RESULT, *networks]
    for section in sections(facts, found, [SPEED]):
        cells = [
            [show(row[place]) for row in section.rows] for place in range(len(section.columns))
        ]
        columns = [Column.of(*pair) for pair in zip(section.columns, cells, strict=True)]
        assert total(fit(columns, 80).values()) <= 80, section.title
