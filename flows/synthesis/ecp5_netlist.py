"""What Yosys's netlists for an ECP5 lack for nextpnr: Yosys writes them as JSON."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain, count
from typing import Any

Bit = int | str
"""A net's number or a constant."""
NOT_A = f"{0x5555:016b}"
"""The table of a LUT4 that inverts its input A."""
PRODUCT_BITS = 36


def free_carries(netlist: dict[str, Any]) -> None:
    """Disconnect the last carries that no cell and no port reads.

    For each of them that has a net nextpnr would add a cell to its chain, which takes it out.
    """
    for module in netlist["modules"].values():
        readers = _readers(module)
        for cell in module["cells"].values():
            if cell["type"] == "CCU2C" and readers.keys().isdisjoint(cell["connections"]["COUT"]):
                cell["connections"]["COUT"] = ["x"]


def pack_products(netlist: dict[str, Any]) -> None:
    """Replace the registers behind a multiplier by those within it, where nothing else reads it.

    Those have no reset here: flip-flops with one stay, and so do those that enables tell apart. An
    inverted enable takes a LUT.
    """
    for module in netlist["modules"].values():
        cells, readers = module["cells"], _readers(module)
        inverters = _Inverters(module)
        for multiplier in [cell for cell in cells.values() if cell["type"] == "MULT18X18D"]:
            product = {port: bits for port, bits in _product(multiplier) if readers[bits[0]]}
            places = {port: _only_register(cells, readers[bits[0]])
                      for port, bits in product.items()}  # fmt: skip
            controls = {_control(cells[place]) if place else None for place in places.values()}
            if len(controls) == 1 and (control := controls.pop()):
                clock, enable, is_inverted = control
                for port, place in places.items():
                    multiplier["connections"][port] = cells.pop(place)["connections"]["Q"]
                _register_output(multiplier, clock, inverters[enable] if is_inverted else enable)


class _Inverters(dict[Bit, Bit]):
    """The nets that LUTs in the module make of others, one for each that is asked for."""

    def __init__(self, module: dict[str, Any]) -> None:
        super().__init__()
        self._cells = module["cells"]
        named = (net["bits"] for net in module.get("netnames", {}).values())
        joined = (bits for cell in self._cells.values() for bits in cell["connections"].values())
        nets = (bit for bits in chain(named, joined) for bit in bits if isinstance(bit, int))
        self._fresh = count(max(nets, default=0) + 1)

    def __missing__(self, net: Bit) -> Bit:
        self[net] = inverted = next(self._fresh)
        inputs = {"A": [net], "B": ["0"], "C": ["0"], "D": ["0"]}
        self._cells[f"not_{net}"] = {
            "hide_name": 1,
            "type": "LUT4",
            "parameters": {"INIT": NOT_A},
            "attributes": {},
            "port_directions": {**dict.fromkeys(inputs, "input"), "Z": "output"},
            "connections": {**inputs, "Z": [inverted]},
        }
        return inverted


def _readers(module: Mapping[str, Any]) -> defaultdict[Bit, list[tuple[str, str]]]:
    """Return who reads a net: cells and their ports, and the module's own ports."""
    found = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "input":
                for bit in bits:
                    found[bit].append((name, port))
    for name, port in module.get("ports", {}).items():
        if port["direction"] != "input":
            for bit in port["bits"]:
                found[bit].append(("", name))
    return found


def _product(multiplier: Mapping[str, Any]) -> Iterator[tuple[str, list[Bit]]]:
    for number in range(PRODUCT_BITS):
        port = f"P{number}"
        if bits := multiplier["connections"].get(port):
            yield port, bits


def _only_register(cells: Mapping[str, Any], readers: list[tuple[str, str]]) -> str | None:
    """Return the flip-flop that is the only one to read a net."""
    (name, port), *others = readers
    is_one = not others and port == "DI" and name in cells and cells[name]["type"] == "TRELLIS_FF"
    return name if is_one else None


def _control(register: Mapping[str, Any]) -> tuple[Bit, Bit, bool] | None:
    """Return clock, enable and whether that is inverted, of a flip-flop that begins with 0 and has
    no reset."""
    parameters, connections = register["parameters"], register["connections"]
    has_reset = connections.get("LSR", ["0"]) != ["0"]
    enable = parameters["CEMUX"].strip()
    if has_reset or enable not in ("1", "CE", "INV") or (
        parameters["CLKMUX"], parameters["REGSET"]
    ) != ("CLK", "RESET"):  # fmt: skip
        return None
    return connections["CLK"][0], "1" if enable == "1" else connections["CE"][0], enable == "INV"


def _register_output(multiplier: dict[str, Any], clock: Bit, enable: Bit) -> None:
    pins = {"CLK0": clock, "CE0": enable, "RST0": "0"}
    for kind, (pin, net) in zip(("CLK", "CE", "RST"), pins.items(), strict=True):
        multiplier["parameters"][f"REG_OUTPUT_{kind}"] = pin
        multiplier["connections"][pin] = [net]
        multiplier["port_directions"][pin] = "input"
