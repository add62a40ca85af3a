"""`tilewright disasm`: the instructions of a program file as text."""

from pathlib import Path

import click

from tilewright.flows.commands.options import FilePath, json_option

NO_INSTRUCTION = (";", ".memory", ".address", ".bytes")
"""How lines begin that are comments or say what the memory is."""


@click.command(name="disasm")
@click.argument("program", type=FilePath)
@click.option("-o", "--output", type=FilePath, help="Write to this file instead of stdout.")
@json_option()
def command(program: Path, output: Path | None, json_files: tuple[Path, ...]) -> None:
    """Print the instructions of the file PROGRAM in the form that `tilewright asm` reads."""
    from tilewright.flows.report.json_files import write_json
    from tilewright.hw.spec.assembly import disassemble
    from tilewright.hw.spec.program import Program
    from tilewright.support.files import check_targets, write_file

    check_targets([output, *json_files], [program])
    loaded = Program.load(program)
    text = disassemble(loaded).rstrip("\n") + "\n"
    if json_files:
        lines = text.splitlines()
        instructions = [line.strip() for line in lines if not line.startswith(NO_INSTRUCTION)]
        found = {
            "program": str(program),
            "config": {"name": loaded.config.name, "digest": loaded.config.digest},
            "memory_bytes": loaded.memory_bytes,
            "program_address": loaded.program_address,
            "instructions": instructions,
        }
        if write_json(json_files, found):
            return
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(output, text)
