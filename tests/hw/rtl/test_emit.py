"""The emitted Verilog: names, determinism, manifest, and Verilator's lint."""

import re
import subprocess

import pytest

from tilewright.hw.rtl.emit import LINT_NOISE, emit_verilog, manifest
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.sim.cosim.verilator import find_verilator

SMALL = {"activation_kib": 2, "weight_kib": 2, "accumulator_kib": 2, "parameter_kib": 2}
ODD = [
    Config(name="c1x1", rows=1, cols=1, lanes=1, operand_lanes=1, **SMALL),
    Config(name="c3x5", rows=3, cols=5, lanes=1, operand_lanes=1, **SMALL),
    Config(name="c12x20", rows=12, cols=20, lanes=4, operand_lanes=2),
    Config(name="c16x8", rows=16, cols=8, tile_rows=4, tile_cols=2, lanes=8, operand_lanes=8),
]
NANO = PRESETS["nano"]


@pytest.fixture(scope="module")
def verilog():
    return emit_verilog(NANO)


def modules_of(text):
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


def lint(text, folder):
    """Return Verilator's warnings, the noise aside."""
    path = folder / "tilewright.v"
    path.write_text(text)
    verilator = find_verilator()
    command = [verilator.executable, "--lint-only", "-Wall", "--top-module", "tilewright", path]
    command += [f"-Wno-{name}" for name in LINT_NOISE]
    environment = verilator.environment
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return result.stderr


def test_modules_are_named_after_the_project(verilog):
    modules = modules_of(verilog)
    assert modules[0] == "tilewright"
    assert all(name.startswith("tilewright_") for name in modules[1:])
    assert len(modules) == len(set(modules))
    assert modules.count("tilewright_tile") == 1


def test_every_signal_has_a_name(verilog):
    assert "$signal" not in verilog + emit_verilog(ODD[1])


def test_header_names_the_config_and_nothing_of_the_machine(verilog):
    assert f"// config digest {NANO.digest}\n" in verilog
    assert "/home" not in verilog
    assert ".py" not in verilog


def test_equal_hardware_gives_equal_text(verilog):
    assert emit_verilog(NANO.replace(name="other")) == verilog


def test_manifest_names_what_is_there(verilog):
    facts = manifest(NANO)
    assert facts["digest"] == NANO.digest
    assert f"module {facts['tile_module']}(" in verilog
    assert re.search(r"^  wire \[4:0\] retire;", verilog, re.MULTILINE)
    assert facts["retire"] == {
        "load": "retire[0]", "store": "retire[1]", "matrix": "retire[2]",
        "depthwise": "retire[3]", "vector": "retire[4]",
    }  # fmt: skip
    for name, sram in facts["srams"].items():
        assert sram["words"] == sram["bank_words"] * len(sram["banks"])
        for path in sram["banks"]:
            memory, bank, instance, words = path.split(".")
            assert memory == name
            assert re.search(rf"^  tilewright_{name}_bank\d+ {bank} \(", verilog, re.MULTILINE)
            assert (instance, words) == ("bank", "words")


def test_a_config_without_taps_has_no_depthwise_unit():
    config = NANO.replace(depthwise_taps=0)
    assert "depthwise" not in manifest(config)["retire"]
    assert not any("depthwise" in name for name in modules_of(emit_verilog(config)))


def test_lint_finds_nothing_of_substance(verilog, tmp_path):
    assert lint(verilog, tmp_path) == ""


@pytest.mark.campaign
@pytest.mark.parametrize("config", [*PRESETS.values(), *ODD], ids=lambda config: config.name)
def test_every_preset_and_odd_shapes_pass_the_lint(config, tmp_path):
    assert lint(emit_verilog(config), tmp_path) == ""
