"""The Verilog of an accelerator, and what a simulator needs to know of it."""

import re
from importlib.metadata import version
from typing import Any

from tilewright.hw.rtl.accelerator import RETIRE_SIGNAL, TOP_MODULE, Accelerator
from tilewright.hw.rtl.control.decoder import engines
from tilewright.hw.rtl.matrix.tile import TILE_MODULE, Tile
from tilewright.hw.rtl.memory import bank_verilog
from tilewright.hw.rtl.vector.lanes import LANE_MODULES
from tilewright.hw.rtl.verilog import convert
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import ISA_VERSION
from tilewright.support.errors import ConfigError

BANK_MEMORY = "words"
"""The name of the Verilog memory in a bank's module."""

LINT_NOISE: dict[str, str] = {
    "CASEINCOMPLETE": "what a case leaves open was assigned before it",
    "CASEOVERLAP": "the first case that matches wins: chains of priority",
    "DECLFILENAME": "one file holds every module",
    "PROCASSINIT": "registers have the value of their reset at power-up, too",
    "UNUSEDSIGNAL": "named signals stay for waveforms; carries and borrows fall away",
    "WIDTHEXPAND": "operands extend to the width that was computed for the result",
    "WIDTHTRUNC": "results lose the bits that their target does not have",
}
"""Verilator's warnings that come with generated text, and why each is harmless here."""

_PREFIX = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def emit_verilog(config: Config) -> str:
    """Return the accelerator as Verilog: top module `tilewright`, every other `tilewright_*`.

    Verilator's -Wall has nothing to say of it: the text itself switches LINT_NOISE off.
    The same config and generator give the same text. The array's tile, the vector unit's lanes
    and each shape of SRAM bank are one module each, instantiated as often as needed.
    """
    accelerator = Accelerator(config=config, instances=True)
    shapes = {sram.bank_shape for sram in accelerator.memories.values()}
    banks = sorted(shapes, key=lambda shape: shape.module_name)
    return "\n".join(
        [
            _header(config),
            "/* verilator lint_save */",
            *(f"/* verilator lint_off {name} */ // {why}" for name, why in LINT_NOISE.items()),
            convert(accelerator, TOP_MODULE),
            convert(Tile(config), TILE_MODULE),
            *(convert(lane(config=config), module) for module, lane in LANE_MODULES.items()),
            *(bank_verilog(shape) for shape in banks),
            "/* verilator lint_restore */",
            "",
        ]
    )


def module_prefix(name: str | None) -> str:
    """Return `name`_, or nothing for None: what module names begin with.

    Raises ConfigError for a name that no Verilog name can begin with.
    """
    if name is None:
        return ""
    if not _PREFIX.fullmatch(name):
        raise ConfigError(
            f"a prefix of module names is a letter or _, then letters, digits or _; got {name!r}, "
            "try npu0"
        )
    return f"{name}_"


def add_prefix(verilog: str, prefix: str) -> str:
    """Return the Verilog with `prefix` before every module's name: two configs fit in a design."""
    modules = "|".join(re.findall(r"^module (\w+)", verilog, re.MULTILINE))
    return re.sub(rf"\b({modules})\b", rf"{prefix}\1", verilog)


def manifest(config: Config, prefix: str = "") -> dict[str, Any]:
    """Return what the co-simulation needs to know of the Verilog; JSON-serializable.

    prefix: of the modules' names (`module_prefix`).
    top: the top module; tile_module: the module that is better not inlined (`no_inline`); digest:
    of the config; retire: engine name -> signal that pulses at its retirements; srams: name ->
    word_bytes, words, bank_words and the paths of the banks' memories in address order. Paths are
    dotted, below the top module.
    """
    banks = {
        "activation": config.activation_banks,
        "weight": 1,
        "accumulator": config.accumulator_banks,
        "parameter": 1,
    }
    words = {name: getattr(config, f"{name}_words") for name in banks}
    return {
        "top": prefix + TOP_MODULE,
        "tile_module": prefix + TILE_MODULE,
        "digest": config.digest,
        "retire": {
            engine.name.lower(): f"{RETIRE_SIGNAL}[{place}]"
            for place, engine in enumerate(engines(config))
        },
        "srams": {
            name: {
                "word_bytes": getattr(config, f"{name}_word_bytes"),
                "words": words[name],
                "bank_words": words[name] // count,
                "banks": [f"{name}.bank{index}.bank.{BANK_MEMORY}" for index in range(count)],
            }
            for name, count in banks.items()
        },
    }


def _header(config: Config) -> str:
    """Comment lines; the config's name is left out, equal hardware gives equal text."""
    fields = config.to_toml().splitlines()
    return "\n".join(
        [
            f"// Tilewright {version('tilewright')}, instruction set version {ISA_VERSION}",
            f"// config digest {config.digest}",
            *(f"//   {line}" for line in fields if not line.startswith("name ")),
            "",
        ]
    )
