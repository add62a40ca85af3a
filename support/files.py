"""Writing results: a file appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tilewright.support.errors import InputError


def check_targets(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Raise InputError unless each output can be written and is no input and no other output.

    None stands for an option that was not given.
    """
    taken = {path.resolve(): "an input" for path in inputs if path is not None}
    for path in filter(None, outputs):
        check_target(path)
        if is_special(path):
            continue
        place = path.resolve()
        if place in taken:
            raise InputError(f"{path}: is {taken[place]} as well; choose another file")
        taken[place] = "another output"


def is_special(path: Path) -> bool:
    """Whether a device or a pipe is there, which is written to and never replaced."""
    return path.exists() and not path.is_file()


def check_target(path: Path) -> None:
    """Raise InputError unless a file can be written to `path`; called before long work."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file name for the output")
    if is_special(path):
        return
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{path}: folder {folder} does not exist; create it or choose another")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: folder {folder} is not writable; choose another output")


def missing(path: Path, wanted: str) -> str:
    """Return the message for a path that is not a file; wanted: what to give."""
    return f"{path}: {'a folder' if path.is_dir() else 'no such file'}; give {wanted}"


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file through a temporary one in the same folder and a rename.

    A link stays, what it leads to is replaced. Raises InputError when the folder is missing or not
    writable.
    """
    check_target(path)
    data = content.encode() if isinstance(content, str) else content
    if is_special(path):
        path.write_bytes(data)
        return
    replace_file(path.resolve(), data)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one rename: a reader sees the old one or the whole new one.

    Raises OSError where the folder is missing or not writable.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def check_folder(folder: Path) -> Path:
    """Return the folder in which `folder` is or can be made; called before long work.

    Raises InputError when it is a file or cannot be made.
    """
    whole = folder.resolve()
    parent = next(path for path in (whole, *whole.parents) if path.exists())
    if not parent.is_dir():
        where = "is a file" if parent == whole else f"{parent} is a file"
        raise InputError(f"{folder}: {where}; give a folder for the output")
    if not os.access(parent, os.W_OK):
        raise InputError(f"{folder}: {parent} is not writable; choose another output")
    return parent


def write_folder(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write several files into a folder (made if missing): all of them, or none on failure.

    Raises InputError when `folder` is a file or cannot be made, and when a file is a folder.
    """
    parent = check_folder(folder)
    for name in files:
        if (folder / name).is_dir():
            raise InputError(f"{folder / name}: is a folder; remove it or choose another output")
    staging = Path(tempfile.mkdtemp(dir=parent, prefix=".tilewright-"))
    try:
        for name, content in files.items():
            (staging / name).write_bytes(content.encode() if isinstance(content, str) else content)
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            os.replace(staging / name, folder / name)
    finally:
        shutil.rmtree(staging)
