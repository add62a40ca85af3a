"""Tables of figures as TOML files: the ones that come along, and others in their place."""

import tomllib
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

from tilewright.support.errors import InputError


def read_table(path: Path | None, default: str, names: Collection[str]) -> dict[str, Any]:
    """Read a TOML file that has exactly these names; None: the package's file `default`.

    Raises InputError.
    """
    if path is not None and not path.is_file():
        raise InputError(f"{path}: no such file; give a TOML file like flows/data/{default}")
    place = files("tilewright.flows") / "data" / default if path is None else path
    try:
        given = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    if given.keys() != set(names):
        raise InputError(
            f"{path}: a table like flows/data/{default} has exactly {', '.join(sorted(names))}; "
            f"got {', '.join(sorted(given))}"
        )
    return given
