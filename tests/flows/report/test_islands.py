"""Models of several sections: every report lists sections and islands in their order."""

import json

import numpy as np
import pytest

COVERAGE = {
    "macs_accelerator": 4 * 64 * 18 + 4 * 16 * 36,
    "macs_total": 4 * 64 * 18 + 4 * 36 * 36 + 4 * 16 * 36,
}


@pytest.mark.parametrize("command", ["compile", "explain"])
def test_reports_begin_with_the_coverage_and_list_the_steps(
    tilewright, interrupted, tmp_path, command
):
    report = tmp_path / "report.json"
    words = {
        "compile": ("-o", tmp_path / "x.tw", "--report", report),
        "explain": ("--no-gains", "-o", report),
    }[command]
    result = tilewright(command, interrupted, "--preset", "nano", "--keep-sections", *words)
    assert result.status == 0, result
    assert result.out.startswith("on the accelerator: 57.1% of 12,096 multiplications")
    assert "host section0 host section1 host" in " ".join(result.out.split())
    assert "conv1" in result.out
    facts = json.loads(report.read_text())
    assert next(iter(facts)) == "coverage"
    assert COVERAGE.items() <= facts["coverage"].items()
    assert [step["kind"] for step in facts["steps"]] == [
        "island", "section", "island", "section", "island",
    ]  # fmt: skip
    assert [layer["section"] for layer in facts["layers"]] == ["section0", "section1"]
    middle = facts["islands"][1]
    assert "conv1" in [item["name"] for item in middle["operators"]]
    assert middle["moved_bytes"] == 4 * 64 + 4 * 36
    assert middle["seconds"] > sum(item["seconds"] for item in middle["operators"]) > 0


def test_strict_lists_one_line_an_operator(tilewright, interrupted):
    result = tilewright("explain", interrupted, "--preset", "nano", "--strict", "--keep-sections")
    assert result.status != 0
    lines = [line for line in result.err.splitlines() if line.startswith("  ")]
    assert any("Conv 'conv1': its weights are not quantized" in line for line in lines)
    assert max(map(len, lines)) < 200


def test_targets_agree_over_several_sections(tilewright, interrupted, tmp_path):
    outputs = {}
    for on in ("iss", "reference", "ort"):
        path = tmp_path / f"{on}.npz"
        words = ("--preset", "nano", "--keep-sections", "-o", path)
        assert tilewright("run", interrupted, "--on", on, *words).status == 0
        outputs[on] = np.load(path)["y"]
    assert np.array_equal(outputs["iss"], outputs["reference"])
    steps = np.abs(outputs["iss"] - outputs["ort"]) / 0.05
    assert steps.max() < 1.5
    assert np.count_nonzero(steps > 0.5) <= 0.05 * steps.size
