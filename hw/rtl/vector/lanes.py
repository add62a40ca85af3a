"""The lanes' modules: plain submodules for simulation, or instances of Verilog emitted once."""

from types import SimpleNamespace

from amaranth.hdl import ClockSignal, Elaboratable, Instance, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tilewright.hw.rtl.vector.operand import OperandLane
from tilewright.hw.rtl.vector.requantize import RequantizeLane
from tilewright.hw.spec.config import Config

LANE_MODULES: dict[str, type[RequantizeLane | OperandLane]] = {
    "tilewright_requantize_lane": RequantizeLane,
    "tilewright_operand_lane": OperandLane,
}
"""Verilog module name -> lane."""


def make_lane(
    lane_type: type[RequantizeLane | OperandLane], config: Config, *, instance: bool
) -> tuple[Elaboratable, wiring.Component | SimpleNamespace]:
    """Return a lane for `m.submodules` and the object whose attributes are its ports.

    With `instance` it is an Instance of its module in LANE_MODULES, for Verilog emission: hundreds
    of lanes then take no longer to generate than one.
    """
    if not instance:
        lane = lane_type(config=config)
        return lane, lane
    (module,) = (name for name, known in LANE_MODULES.items() if known is lane_type)
    ports, connections = {}, {}
    for name, member in lane_type.ports(config).items():
        ports[name] = Signal(member.shape, name=name)
        connections[f"{'i' if member.flow is In else 'o'}_{name}"] = ports[name]
    placed = Instance(module, i_clk=ClockSignal(), i_rst=ResetSignal(), **connections)
    return placed, SimpleNamespace(**ports)
