"""`tilewright disasm`: the instructions of a program file as text."""

from pathlib import Path

import click

from tilewright.flows.commands.options import FilePath


@click.command(name="disasm")
@click.argument("program", type=FilePath)
@click.option("-o", "--output", type=FilePath, help="Write to this file instead of stdout.")
def command(program: Path, output: Path | None) -> None:
    """Print the instructions of the file PROGRAM in the form that `tilewright asm` reads."""
    from tilewright.hw.spec.assembly import disassemble
    from tilewright.hw.spec.program import Program
    from tilewright.support.files import check_targets, write_file

    check_targets([output], [program])
    text = disassemble(Program.load(program)).rstrip("\n") + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(output, text)
