"""What a command found, as JSON in files or on stdout."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tilewright.support.files import write_file

STDOUT = Path("-")


def write_json(targets: Sequence[Path], found: Any) -> bool:
    """Write to each file, `-` being stdout; return whether stdout was one, which then holds nothing
    else. Infinite numbers and those that are none become null, which JSON lacks otherwise."""
    if not targets:
        return False
    text = json.dumps(finite(found), indent=2, allow_nan=False) + "\n"
    for path in targets:
        if path != STDOUT:
            write_file(path, text)
    if STDOUT not in targets:
        return False
    click.echo(text, nl=False)
    return True


def finite(found: Any) -> Any:
    """Return JSON-able values with None for floats that are not finite."""
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, Mapping):
        return {key: finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [finite(value) for value in found]
    return found
