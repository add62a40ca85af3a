"""What the bench observes in the design: retire pulses and SRAM arrays, by their paths."""

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from tilewright.hw.spec.isa import Engine
from tilewright.support.errors import ToolError
from tilewright.support.records import record

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@record(frozen=True, kw_only=True)
class Sram:
    """One SRAM of the design.

    word_bytes: bytes of a word (the array's elements may be wider, never narrower).
    banks: paths of its Verilog memories below the top module, in address order.
    """

    word_bytes: int
    banks: tuple[str, ...]


@record(frozen=True, kw_only=True)
class Probes:
    """Signals of the design that a model records; paths are dotted, below module `tilewright`.

    retire: engine name (lower case) -> a signal that is high for one cycle per retirement; a
        trailing [i] picks one bit.
    srams: SRAM name -> its arrays; used only by models built with `srams_public`.
    """

    retire: Mapping[str, str] = field(default_factory=dict)
    srams: Mapping[str, Sram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {engine.name.lower() for engine in Engine}
        unknown = sorted(set(self.retire) - known)
        if unknown:
            raise ToolError(
                f"probes: unknown engine {unknown[0]!r}; the engines are {', '.join(sorted(known))}"
            )

    def header(self) -> str:
        """Return the Verilog header that defines the bench's retire vector, bit i = engine i."""
        pulses = {name.upper(): path for name, path in self.retire.items()}
        bits = [
            f"dut.{escape(pulses[engine.name])}" if engine.name in pulses else "1'b0"
            for engine in reversed(Engine)
        ]
        return (
            f"`define TILEWRIGHT_RETIRE_BITS {len(bits)}\n"
            f"`define TILEWRIGHT_RETIRE {{{', '.join(bits)}}}\n"
        )

    def memory_names(self) -> list[str]:
        """Return the names of the Verilog memories that hold SRAM contents, sorted."""
        return sorted({p.rpartition(".")[2] for s in self.srams.values() for p in s.banks})


def escape(path: str) -> str:
    """Return a dotted path as Verilog, with escaped identifiers where a name needs them."""
    match = re.fullmatch(r"(.*?)(\[\d+\])?", path)
    assert match is not None
    names = [n if _PLAIN_NAME.fullmatch(n) else f"\\{n} " for n in match[1].split(".")]
    return ".".join(names) + (match[2] or "")


def control_file(base: Path, probes: Probes, no_inline: tuple[str, ...], srams_public: bool) -> str:
    """Return the Verilator control file: the bench's public signals plus what the model needs."""
    lines = [base.read_text(encoding="utf-8")]
    lines += [f'no_inline -module "{module}"' for module in no_inline]
    if srams_public:
        lines += [f'public_flat_rd -module "*" -var "{name}"' for name in probes.memory_names()]
    return "\n".join(lines) + "\n"
