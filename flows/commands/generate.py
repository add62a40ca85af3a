"""`tilewright generate`: everything that hardware and software engineers need of one config."""

import time
from pathlib import Path

import click

from tilewright.flows.commands.options import FilePath, config_options, resolve_config

CONTENTS = {
    "tilewright.v": "synthesizable Verilog, top module tilewright",
    "isa.md": "instruction-set manual of this config",
    "registers.md": "AXI4-Lite register map",
    "tilewright.h": "C header: registers, opcodes, fields",
    "config.toml": "the config; --config reads it",
    "manifest.json": "modules, retirement signals and SRAM paths, for simulators",
}


@click.command(name="generate")
@config_options()
@click.option(
    "-o",
    "--output",
    type=FilePath,
    help="Folder for the files.  [default: build/NAME of the config]",
)
def command(
    preset: str | None, config_file: Path | None, settings: tuple[str, ...], output: Path | None
) -> None:
    """Write Verilog, ISA manual, C header, register map, config and manifest into a folder."""
    from tilewright.flows.hardware import document_files, hardware_folder
    from tilewright.flows.report.display import console, size, table
    from tilewright.flows.report.progress import status
    from tilewright.support.files import write_folder

    config = resolve_config(preset, config_file, settings)
    folder = output or Path("build") / config.name
    start = time.monotonic()
    files: dict[str, bytes | str] = dict(document_files(config))
    with status(f"generating {config.name} ({config.rows}x{config.cols})"):
        for path in sorted(hardware_folder(config).iterdir()):
            files[path.name] = path.read_bytes()
    write_folder(folder, files)
    rows = [(name, size((folder / name).stat().st_size), CONTENTS[name]) for name in CONTENTS]
    out = console()
    title = f"{config.name} ({config.rows}x{config.cols}) in {folder}"
    out.print(table(title, ("file", ">size", "holds"), rows))
    out.print(f"config digest {config.digest[:16]}; {time.monotonic() - start:.1f} s")
