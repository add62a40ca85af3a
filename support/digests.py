"""Digests: of parts with their boundaries, of files, and of the project's own sources."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

DIGITS = 32


def digest(parts: Iterable[str | bytes]) -> str:
    """Return 32 hex digits over the parts and their boundaries."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:DIGITS]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def sources_digest(*folders: str) -> str:
    """Return 32 hex digits over the Python sources of folders of the project, "hw/spec" say."""
    return folders_digest(Path(__file__).resolve().parents[1], folders)


def folders_digest(root: Path, folders: Iterable[str]) -> str:
    """Return the same of a copy of the project, as it is now."""
    paths = [path for folder in folders for path in (root / folder).rglob("*.py")]
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return digest(f"{name}\n".encode() + names[name].read_bytes() for name in sorted(names))
