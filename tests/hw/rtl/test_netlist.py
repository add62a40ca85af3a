"""The netlist behind the Verilog: no input of the top reaches an output without a register."""

import json
from collections import defaultdict

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.accelerator import Accelerator
from tilewright.hw.spec.config import PRESETS

SCRIPT = """\
read_rtlil <<rtlil
{text}
rtlil
hierarchy -top top
proc -norom
flatten
opt_clean
write_json
"""
CLOCK = "CLK"


def netlist(component):
    """Return Yosys's JSON of the flattened top module."""
    text = rtlil.convert(component, name="top", emit_src=False)
    yosys = find_yosys(lambda found: found >= (0, 40))
    answer = yosys.run(["-q", "-"], SCRIPT.format(text=text), ignore_warnings=True)
    return json.loads(answer[answer.index("{") :])["modules"]["top"]


def arcs(cell):
    """Yield (sources, targets) of bits that a cell connects without a register, or more."""
    bits, outputs = cell["connections"], cell["port_directions"]
    if cell["type"] == "$mem_v2":
        ports = int(cell["parameters"]["RD_PORTS"], 2)
        clocked = int(cell["parameters"]["RD_CLK_ENABLE"], 2)
        address, data = (len(bits[name]) // ports for name in ("RD_ADDR", "RD_DATA"))
        for port in range(ports):
            if not clocked >> port & 1:
                yield (bits["RD_ADDR"][port * address :][:address],
                       bits["RD_DATA"][port * data :][:data])  # fmt: skip
    elif CLOCK not in bits:
        driven = [name for name in bits if outputs[name] == "output"]
        sources = [bit for name in bits if name not in driven for bit in bits[name]]
        yield sources, [bit for name in driven for bit in bits[name]]


def combinational_paths(component):
    """Return (input, output) of the top's ports for every path that no register cuts."""
    top = netlist(component)
    following = defaultdict(set)
    for cell in top["cells"].values():
        for sources, targets in arcs(cell):
            for source in sources:
                following[source].update(targets)
    outputs = {
        bit: name
        for name, port in top["ports"].items() if port["direction"] == "output"
        for bit in port["bits"]
    }  # fmt: skip
    found = set()
    for name, port in top["ports"].items():
        if port["direction"] == "input":
            reached, waiting = set(port["bits"]), list(port["bits"])
            while waiting:
                for bit in following[waiting.pop()] - reached:
                    reached.add(bit)
                    waiting.append(bit)
            found |= {(name, outputs[bit]) for bit in reached & outputs.keys()}
    return found


class Leaky(wiring.Component):
    """One output from a register, one from the input itself."""

    request: In(1)
    late: Out(1)
    early: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.late.eq(self.request)
        m.d.comb += self.early.eq(self.request & self.late)
        return m


def test_a_path_without_a_register_is_found():
    assert combinational_paths(Leaky()) == {("request", "early")}


def test_no_input_of_the_top_reaches_an_output(registers):
    config = PRESETS["nano"].replace(**registers)
    assert combinational_paths(Accelerator(config=config)) == set()
