"""`tilewright generate`: everything that hardware and software engineers need of one config."""

import time
from pathlib import Path

import click

from tilewright.flows.commands.options import FilePath, GivenConfig, config_options, json_option

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
@click.option(
    "--prefix",
    metavar="NAME",
    help="Module names begin with NAME_, so that several accelerators fit in one design.",
)
@json_option()
def command(
    given: GivenConfig,
    output: Path | None,
    prefix: str | None,
    json_files: tuple[Path, ...],
) -> None:
    """Write Verilog, ISA manual, C header, register map, config and manifest into a folder."""
    from tilewright.flows.hardware import all_files
    from tilewright.flows.report.display import console, size, table
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.progress import status
    from tilewright.support.files import check_folder, check_targets, write_folder

    check_targets(json_files, [given.config_file])
    config = given.resolve()
    folder = output or Path("build") / config.name
    check_folder(folder)
    start = time.monotonic()
    with status(f"generating {config.name} ({config.rows}x{config.cols})"):
        write_folder(folder, all_files(config, prefix))
    seconds = time.monotonic() - start
    sizes = {name: (folder / name).stat().st_size for name in CONTENTS}
    found = {
        "folder": str(folder),
        "config": {"name": config.name, "digest": config.digest},
        "files": [{"name": n, "bytes": sizes[n], "holds": CONTENTS[n]} for n in CONTENTS],
        "seconds": round(seconds, 3),
    }
    if write_json(json_files, found):
        return
    rows = [(name, size(sizes[name]), CONTENTS[name]) for name in CONTENTS]
    out = console()
    title = f"{config.name} ({config.rows}x{config.cols}) in {folder}"
    out.print(table(title, ("file", ">size", "holds"), rows))
    out.print(f"config digest {config.digest[:16]}; {seconds:.1f} s")
