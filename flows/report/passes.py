"""The text of the compiler's passes on stdout."""

import difflib
from collections.abc import Sequence

import click

from tilewright.compiler.passes import PASSES, Observer, Pass
from tilewright.compiler.section import Section
from tilewright.compiler.text.island import island_text
from tilewright.compiler.text.levels import section_text
from tilewright.hw.spec.steps import Island
from tilewright.support.errors import InputError

ALL = "all"


def pass_printer(
    print_after: Sequence[str], stop_after: str | None, *, with_weights: bool
) -> Observer | None:
    """Return an observer that prints the passes `print_after`, or all, or else the last one.

    None: there is nothing to print. Raises InputError for a name that no pass has.
    """
    names = [step.name for step in PASSES]
    for name in print_after:
        _check(name, "--print-after", [*names, ALL])
    if stop_after is not None:
        _check(stop_after, "--stop-after", names)
    shown = set(names if ALL in print_after else print_after)
    if stop_after is not None and not print_after:
        shown = {stop_after}

    def observe(step: Pass, section: Section | Island) -> None:
        if isinstance(section, Island):
            click.echo(f"// {section.name}: ONNX operators on the host, after every pass")
            click.echo(island_text(section, with_weights=with_weights), nl=False)
        elif step.name in shown:
            click.echo(f"// {section.name} after {step.name}: {step.meaning}")
            click.echo(section_text(step, section, with_weights=with_weights), nl=False)

    return observe if shown else None


def _check(name: str, option: str, names: Sequence[str]) -> None:
    if name in names:
        return
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; perhaps {close[0]!r}" if close else ""
    raise InputError(f"{option}: no pass is named {name!r}{hint}; they are {', '.join(names)}")
