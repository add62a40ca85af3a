"""`tilewright asm`: an assembly text becomes a program file."""

from pathlib import Path

import click

from tilewright.flows.commands.options import FilePath, config_options, resolve_config
from tilewright.support.errors import ProgramError


@click.command(name="asm")
@click.argument("source", type=FilePath)
@config_options()
@click.option("-o", "--output", type=FilePath, help="Program file.  [default: SOURCE.tw here]")
def command(
    source: Path,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
) -> None:
    """Assemble the text SOURCE into a program file.

    One instruction a line: `[label:] OPERATION [after LABEL, ...] [field=value ...]`; `tilewright
    disasm` prints the same form, and the ISA manual of `tilewright generate` has the fields.
    """
    from tilewright.hw.spec.assembly import assemble
    from tilewright.support.files import check_targets, write_file

    config = resolve_config(preset, config_file, settings)
    target = output or Path(f"{source.stem}.tw")
    check_targets([target], [source, config_file])
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ProgramError(f"{source}: not a text file; assembly is UTF-8 text") from None
    program = assemble(text, config, str(source))
    write_file(target, program.to_bytes())
    click.echo(f"{target}: {program.num_instructions} instructions for {config.name}")
