"""What a command found, as JSON in files or on stdout."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from tilewright.support.files import write_file

STDOUT = Path("-")


def write_json(targets: Iterable[Path], found: Any) -> bool:
    """Write to each file, `-` being stdout; return whether stdout was one, which then holds nothing
    else."""
    text = json.dumps(found, indent=2) + "\n"
    for path in targets:
        if path != STDOUT:
            write_file(path, text)
    if STDOUT not in targets:
        return False
    click.echo(text, nl=False)
    return True
