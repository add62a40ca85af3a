"""`tilewright sweep`: what it writes, prints and goes on from."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from tilewright.flows.sweep import running
from tilewright.flows.sweep.job import Setup


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class InProcess:
    """A sweep's pool that measures right here and notes what; Ctrl-C comes at 6 rows, or never."""

    is_interrupted = False

    def __init__(self, run, jobs, crashed, preloaded, build):
        self.run, self.noted = run, InProcess.noted

    def results(self, jobs):
        for job in jobs:
            if self.is_interrupted and job.config.rows == 6:
                raise KeyboardInterrupt
            self.noted.append((job.model.name, job.config.rows, job.latency))
            yield job, self.run(job)


@pytest.fixture
def measured(monkeypatch):
    """What sweeps measure: model, rows and latency of each job."""
    InProcess.noted = []
    monkeypatch.setattr("tilewright.flows.sweep.running.Pool", InProcess)
    return InProcess.noted


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_sweep_lists_failures_and_resumes(tilewright, digits, measured):
    words = ("sweep", digits, "--jobs", 2, "-o", "found")
    result = tilewright(*words, "--rows", "4,200", "--plot", "s.png")
    assert result.status == 1
    assert "rows must be 1 to 128, got 200" in result.out
    for picture in ("s.png", "found/pareto.png"):
        assert Path(picture).read_bytes()[:4] == b"\x89PNG"

    measured.clear()
    assert tilewright(*words, "--rows", "4,6", "--csv", "s.csv").status == 0
    assert measured == [(digits.name, 6, 64)]
    rows = read_rows("found/results.csv")
    assert [row["rows"] for row in rows] == ["4", "6"]
    assert int(rows[0]["cycles"]) > int(rows[1]["cycles"]) > 84224 / 36
    assert Path("s.csv").read_text() == Path("found/results.csv").read_text()


def test_sweep_of_several_models_fields_and_latencies(tilewright, digits, make_model, measured):
    make_model().rename("m.onnx")
    words = ("sweep", digits, "m.onnx", "--weights", "3,1", "--preset", "nano", "--latency", "8,64")
    assert tilewright(*words, "--set-range", "lanes=1,2", "-o", "found").status == 0
    assert len(measured) == 8
    rows = read_rows("found/results.csv")
    parquet = read_table("found/results.parquet")
    assert parquet.column_names == list(rows[0])
    assert parquet["cycles"].to_pylist() == [int(row["cycles"]) for row in rows]
    for first, second, both in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert (first["model"], second["model"]) == (digits.name, "m.onnx")
        assert int(both["cycles"]) == 3 * int(first["cycles"]) + int(second["cycles"])
        assert first["cycles_source"] == "timing replay"
    assert [(row["lanes"], row["dram_latency_cycles"]) for row in rows[::3]] == [
        ("1", "8"), ("1", "64"), ("2", "8"), ("2", "64")]  # fmt: skip


def test_a_point_of_a_sweep_is_what_its_options_give(tilewright, digits, measured):
    tilewright("sweep", digits, "--rows", 8, "--cols", 4, "--csv", "s.csv", "--json", "s.json")
    (row,) = read_rows("s.csv")
    assert "depthwise_taps 3 -> 0" in row["changes"]
    options = row["options"].split()
    assert tilewright("compile", digits, *options, "--report", "c.json").status == 0
    assert json.loads(Path("c.json").read_text())["config"]["digest"] == row["config_digest"]
    (point,) = json.loads(Path("s.json").read_text())["points"]
    assert sum(layer["cycles"] or 0 for layer in point["layers"]) <= point["cycles"]
    assert {sum(buckets.values()) for buckets in point["buckets"].values()} == {point["cycles"] - 2}


def test_a_search_goes_on_from_what_it_has_and_keeps_limits(tilewright, digits, measured):
    words = (
        "sweep",
        digits,
        "--preset",
        "nano",
        "--rows",
        "4:16:4",
        "--cols",
        "4:16:4",
        "-o",
        "found",
    )
    limits = ("--clock", 50, "--at-least", "frames_per_second=5000", "--at-most", "multipliers=64")
    assert tilewright(*words, "--search", 4).status == 0
    assert len(measured) == 4
    result = tilewright(*words, *limits, "--search", 4)
    assert result.status == 0
    assert len(measured) == 4
    rows = read_rows("found/results.csv")
    assert {row["clock_source"] for row in rows} == {"given"}
    for row in rows:
        rate = 50e6 / int(row["cycles"])
        assert float(row["frames_per_second"]) == pytest.approx(rate)
        assert row["within_limits"] == str(rate >= 5000 and int(row["multipliers"]) <= 64)
    kept = [row["within_limits"] for row in rows]
    assert kept.count("True") == result.out.count("within")
    assert kept.count("False") == result.out.count("beyond") > 0


def test_a_line_says_what_was_measured_on_the_rtl(tilewright, digits, measured, monkeypatch):
    replayed = running.run_job

    def run(job, readings):
        return replayed(dataclasses.replace(job, setup=Setup()), readings)

    monkeypatch.setattr(running, "run_job", run)
    monkeypatch.setattr(running, "LINE_SECONDS", 0.0)
    result = tilewright("sweep", digits, "--preset", "nano", "--verify", 1)
    lines = [line for line in result.err.splitlines() if line.startswith("point 1 of 1: ")]
    assert [" cycles on the RTL; " in line for line in lines] == [False, True]


def test_an_interrupted_sweep_keeps_what_is_done_and_says_how_to_go_on(
    tilewright, digits, measured, monkeypatch
):
    monkeypatch.setattr(InProcess, "is_interrupted", True)
    words = ("sweep", digits, "--rows", "4,6,8")
    result = tilewright(*words, "-o", "found")
    assert result.status == 130
    assert "base-4x4" in result.out
    assert result.err.endswith(
        "interrupted: 1 of 3 points are in found; the same command goes on from there\n"
    )
    assert [row["rows"] for row in read_rows("found/results.csv")] == ["4"]
    assert "with -o DIR a sweep goes on where it ended" in tilewright(*words).err
    for number, most in ((2, 2), (9, 3)):
        searched = tilewright(*words, "--search", number, "-o", f"searched{number}")
        assert re.search(rf"interrupted: [0-2] of {most} points are in searched", searched.err)
    monkeypatch.setattr(InProcess, "is_interrupted", False)
    measured.clear()
    assert tilewright(*words, "-o", "found").status == 0
    assert [rows for _, rows, _ in measured] == [6, 8]
