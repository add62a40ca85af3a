"""The emitted Verilog: names, determinism, manifest, and Verilator's lint."""

import re
import subprocess

import pytest

from tilewright.hw.rtl.emit import add_prefix, emit_verilog, manifest, module_prefix
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.sim.cosim.verilator import find_verilator
from tilewright.support.errors import ConfigError

SMALL = {"activation_kib": 2, "weight_kib": 2, "accumulator_kib": 2, "parameter_kib": 2}
ODD = [
    Config(name="c1x1", rows=1, cols=1, lanes=1, operand_lanes=1, **SMALL),
    Config(name="c3x5", rows=3, cols=5, lanes=1, operand_lanes=1, **SMALL),
    Config(name="c12x20", rows=12, cols=20, lanes=4, operand_lanes=2),
    Config(name="c16x8", rows=16, cols=8, tile_rows=4, tile_cols=2, lanes=8, operand_lanes=8),
    PRESETS["nano"].replace(name="path_registers", path_registers=1),
    PRESETS["nano"].replace(name="wire_registers", path_registers=1, wire_registers=1),
]
NANO = PRESETS["nano"]


@pytest.fixture(scope="module")
def verilog():
    return emit_verilog(NANO)


PORTS = """\
input clk
input rst
input 12 control_awaddr
input control_awvalid
output control_awready
input 32 control_wdata
input 4 control_wstrb
input control_wvalid
output control_wready
output 2 control_bresp
output control_bvalid
input control_bready
input 12 control_araddr
input control_arvalid
output control_arready
output 32 control_rdata
output 2 control_rresp
output control_rvalid
input control_rready
output 4 memory_arid
output 32 memory_araddr
output 8 memory_arlen
output 3 memory_arsize
output 2 memory_arburst
output memory_arlock = 1'h0
output 4 memory_arcache = 4'h2
output 3 memory_arprot = 3'h0
output 4 memory_arqos = 4'h0
output 4 memory_arregion = 4'h0
output memory_arvalid
input memory_arready
input 4 memory_rid
input 64 memory_rdata
input 2 memory_rresp
input memory_rlast
input memory_rvalid
output memory_rready
output 4 memory_awid
output 32 memory_awaddr
output 8 memory_awlen
output 3 memory_awsize
output 2 memory_awburst
output memory_awlock = 1'h0
output 4 memory_awcache = 4'h2
output 3 memory_awprot = 3'h0
output 4 memory_awqos = 4'h0
output 4 memory_awregion = 4'h0
output memory_awvalid
input memory_awready
output 64 memory_wdata
output 8 memory_wstrb
output memory_wlast
output memory_wvalid
input memory_wready
input 4 memory_bid
input 2 memory_bresp
input memory_bvalid
output memory_bready
output irq
"""
"""Direction, width and name of every port of nano; of some outputs the value that never changes."""


def ports_of(text):
    """Return the top's ports in the form of PORTS, sorted."""
    top = text[text.index("module tilewright(") : text.index("endmodule")]
    constants = dict(re.findall(r"^  assign (memory_a[rw]\w+) = (\d+'h\w+);", top, re.MULTILINE))
    fixed = ("lock", "cache", "prot", "qos", "region")
    lines = []
    for direction, high, name in re.findall(
        r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top, re.MULTILINE
    ):
        width = [str(int(high) + 1)] if high else []
        value = ["=", constants[name]] if name.endswith(fixed) else []
        lines.append(" ".join([direction, *width, name, *value]))
    return sorted(lines)


def modules_of(text):
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


def lint(text, folder):
    """Return Verilator's warnings."""
    path = folder / "tilewright.v"
    path.write_text(text)
    verilator = find_verilator()
    command = [verilator.executable, "--lint-only", "-Wall", "--top-module", "tilewright", path]
    environment = verilator.environment
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return result.stderr


def test_modules_are_named_after_the_project(verilog):
    modules = modules_of(verilog)
    assert modules[0] == "tilewright"
    assert all(name.startswith("tilewright_") for name in modules[1:])
    assert len(modules) == len(set(modules))
    assert modules.count("tilewright_tile") == 1


def test_ports_are_those_that_integrators_know(verilog):
    assert ports_of(verilog) == sorted(PORTS.splitlines())


def test_a_prefix_goes_before_the_name_of_every_module_and_nothing_else(verilog):
    prefixed = add_prefix(verilog, module_prefix("npu0"))
    assert modules_of(prefixed) == [f"npu0_{name}" for name in modules_of(verilog)]
    assert prefixed.replace("npu0_tilewright", "tilewright") == verilog
    assert manifest(NANO, "npu0_")["top"] == "npu0_tilewright"
    assert manifest(NANO, "npu0_")["tile_module"] == "npu0_tilewright_tile"
    assert module_prefix(None) == ""


@pytest.mark.parametrize("name", ["", "0npu", "npu-0", "npu\n", "größe"])
def test_a_prefix_that_is_no_name_is_refused(name):
    with pytest.raises(ConfigError, match=f"got {re.escape(repr(name))}, try npu0"):
        module_prefix(name)


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


def test_verilator_warns_of_nothing(verilog, tmp_path):
    assert lint(verilog, tmp_path) == ""


def test_verilator_warns_of_nothing_where_products_are_made_of_digits(tmp_path):
    assert lint(emit_verilog(NANO.replace(multiplier_bits=2)), tmp_path) == ""


@pytest.mark.campaign
@pytest.mark.parametrize("config", [*PRESETS.values(), *ODD], ids=lambda config: config.name)
def test_every_preset_and_odd_shapes_pass_the_lint(config, tmp_path):
    assert lint(emit_verilog(config), tmp_path) == ""
