"""A generated Verilog file by its modules: the parts that are synthesized, and how many there are.

A part is a module that stands right below the top, with all below it, and the top with what it has
besides. What `hw/rtl/emit.py` emits once for many places (tiles, lanes), which is not named after
the module that holds it, is a part of its own, and cut out of those that hold it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from tilewright.support.records import record

BANK = re.compile(r"tilewright_bank_\w+")
"""Modules of SRAM banks; a process makes them from macros, an FPGA from block RAM."""
_NUMBERED = r"\\port\$\d+\$\d+"
_MODULE = re.compile(r"^module \\?(\S+?) ?\(.*?^endmodule\n?", re.S | re.M)


@record(frozen=True, kw_only=True)
class Part:
    """A module with all that is below it, but for what is cut."""

    name: str
    count: int
    """How many the accelerator has."""
    verilog: str
    """The module and those below it; what is cut out is a black box that has ports alone."""


class Netlist:
    """The modules of a Verilog file, and who holds whom."""

    def __init__(self, verilog: str, top: str) -> None:
        self._top = top
        named = with_named_ports(verilog)
        self._texts = {found[1]: found[0] for found in _MODULE.finditer(named)}
        self._below = {name: self._instances(text) for name, text in self._texts.items()}

    def _instances(self, text: str) -> Counter[str]:
        found = re.findall(r"^  \\?(\S+) +(?:#\(.*?\) *)?\\?\S+ +\(", text, re.S | re.M)
        return Counter(name for name in found if name in self._texts)

    def parts(self) -> list[Part]:
        """Return the parts: the top's own, those below it, then those that are emitted once."""
        counts = self._counts()
        children = list(self._below[self._top])
        shared = [
            below
            for holder, inside in self._below.items()
            for below in inside
            if not below.startswith(f"{holder}_") and not BANK.match(below)
        ]
        outer = [name for name in dict.fromkeys(shared) if name not in children]
        below = [self._part(name, counts[name], outer) for name in (*children, *outer)]
        return [self._part(self._top, 1, children), *below]

    def whole(self) -> Part:
        """Return the accelerator as one part."""
        return self._part(self._top, 1, ())

    def _counts(self) -> Counter[str]:
        """How often each module stands below the top."""
        counts: Counter[str] = Counter({self._top: 1})
        for name in self._top_down():
            for below, count in self._below[name].items():
                counts[below] += counts[name] * count
        return counts

    def _top_down(self) -> list[str]:
        """The modules, each behind all that hold it."""
        order: list[str] = []

        def visit(name: str) -> None:
            if name not in order:
                for below in self._below[name]:
                    visit(below)
                order.append(name)

        visit(self._top)
        return order[::-1]

    def _all_below(self, name: str, cut: Iterable[str]) -> list[str]:
        found: list[str] = []
        waiting = list(self._below[name])
        while waiting:
            below = waiting.pop()
            if below not in found and below not in cut:
                found.append(below)
                waiting += self._below[below]
        return sorted(found)

    def _part(self, name: str, count: int, cut: Iterable[str]) -> Part:
        others = [other for other in cut if other != name]
        inside = self._all_below(name, others)
        held = [n for n in (name, *inside) for n in self._below[n] if n in others]
        texts = [self._texts[each] for each in (name, *inside)]
        boxes = [black_box(self._texts[each]) for each in dict.fromkeys(held)]
        return Part(name=name, count=count, verilog="".join((*texts, *boxes)))


def with_named_ports(verilog: str) -> str:
    """Return a file whose ports that Amaranth numbers through all modules are named after the one
    that drives them, or reads them, so that a module's text stays where only others are changed."""
    names: dict[str, str] = {}
    for way in ("output", "input"):
        for module in _MODULE.finditer(verilog):
            ports = re.findall(rf"^  {way} (?:\[\S+\] )?({_NUMBERED}) ;", module[0], re.M)
            for number, port in enumerate(ports):
                names.setdefault(port, rf"\port${way}${module[1]}${number}")
    return re.sub(_NUMBERED, lambda found: names.get(found[0], found[0]), verilog)


def black_box(module: str) -> str:
    """Return a module's ports without what is in it, so that nothing else makes it another text."""
    head, _, body = module.partition(";\n")
    ports = re.findall(r"^  (?:input|output|inout) .*\n", body, re.M)
    return f"(* blackbox *)\n{head};\n{''.join(ports)}endmodule\n"


def memory_bits(dump: str) -> int:
    """Return the bits of the memories in Yosys's dump of its `$mem_v2` cells."""
    sizes: Mapping[str, list[int]] = {
        name: [int(text) for text in re.findall(rf"parameter (?:signed )?\\{name} (\d+)", dump)]
        for name in ("SIZE", "WIDTH")
    }
    return sum(size * width for size, width in zip(*sizes.values(), strict=True))
