"""Buffer trees in a netlist of gates, so that no output drives more inputs than a wire can serve.

A mapper that looks at one part leaves the nets between parts, and ABC those of registers, as they
are: a `valid` that drives a thousand inputs would be the longest path of any design.
"""

import re
from collections import defaultdict
from itertools import count, islice
from math import ceil

from tilewright.flows.synthesis.liberty import Liberty

MAX_FANOUT = 10
_INSTANCE = re.compile(r"^  (\w+) (?:\\\S+|\w+) +\($")
_PIN = re.compile(r"^    \.(\w+)\((.*)\),?$")


def with_trees(netlist: str, liberty: Liberty) -> tuple[str, int]:
    """Return a netlist of one module with buffer trees, and how many buffers they have.

    netlist: as Yosys writes it, a pin a line. Clocks are left alone.
    """
    buffer = liberty.buffer
    if buffer is None:
        return netlist, 0
    lines = netlist.splitlines(keepends=True)
    trees: list[str] = []
    fresh = (f"fanout_{number}" for number in count())

    def drivers(net: str, sinks: int) -> list[str]:
        """Return what drives each of a net's sinks; buffers are added where they are too many."""
        if sinks <= MAX_FANOUT:
            return [net] * sinks
        names = list(islice(fresh, ceil(sinks / MAX_FANOUT)))
        for name, driver in zip(names, drivers(net, len(names)), strict=True):
            pins = f".{buffer.inputs[0]}({driver}), .{buffer.outputs[0]}({name})"
            trees.append(f"  {buffer.name} {name}_buffer ({pins});\n")
        return [names[sink // MAX_FANOUT] for sink in range(sinks)]

    for net, places in _sinks(lines, liberty).items():
        for place, driver in zip(places, drivers(net, len(places)), strict=True):
            lines[place] = lines[place].replace(f"({net})", f"({driver})", 1)
    end = max(number for number, line in enumerate(lines) if line.startswith("endmodule"))
    return "".join((*lines[:end], *trees, *lines[end:])), len(trees)


def _sinks(lines: list[str], liberty: Liberty) -> dict[str, list[int]]:
    """Return the lines of the inputs that each net drives."""
    found: dict[str, list[int]] = defaultdict(list)
    inputs: tuple[str, ...] = ()
    for number, line in enumerate(lines):
        if instance := _INSTANCE.match(line):
            cell = liberty.cells.get(instance[1])
            inputs = cell.inputs if cell else ()
        elif (pin := _PIN.match(line)) and pin[1] in inputs and "'h" not in pin[2]:
            found[pin[2]].append(number)
    return found
