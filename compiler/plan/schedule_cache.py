"""What the compiler found once, on disk: entries named by a hash of all they were made from.

An entry is a file `KIND/KEY` in the folder `compiled` of the user's cache directory: the SHA-256 of
its content, then the content. Writing is one rename, an entry that does not match its checksum is
as good as none, and a cache that cannot be written is none, so it changes no result. The
compiler's own sources are part of every key.

A schedule is looked up inside `enabled()` only; a compiler that nobody gave a cache keeps none.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from tilewright.support.cache import cache_directory
from tilewright.support.digests import digest, sources_digest
from tilewright.support.files import replace_file

LIMIT_BYTES = 1 << 30
"""Of all entries together; those not used for longest go first."""
BLOCK_BYTES = 4096
"""What the smallest file takes on disk."""
SMALL_ENTRIES_PER_CLEANING = 256

CHECKSUM_BYTES = hashlib.sha256().digest_size

_is_enabled: ContextVar[bool] = ContextVar("tilewright_schedule_cache", default=False)


@contextlib.contextmanager
def enabled(wanted: bool = True) -> Iterator[None]:
    """Let `memoised` use the disk, or not, in the block."""
    token = _is_enabled.set(wanted)
    try:
        yield
    finally:
        _is_enabled.reset(token)


def memoised(
    kind: str, parts: Sequence[str | bytes], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return `make()`, JSON-able values that depend on `parts` only, from disk where it is there.

    What `make` raises is not kept.
    """
    if not _is_enabled.get():
        return make()
    name = key(*parts)
    content = load(kind, name)
    if content is not None:
        with contextlib.suppress(ValueError):
            found = json.loads(content)
            if isinstance(found, dict):
                return found
    made = make()
    is_turn = int(name, 16) % SMALL_ENTRIES_PER_CLEANING == 0
    save(kind, name, json.dumps(made).encode(), clean=is_turn)
    return made


def folder() -> Path:
    """Return the folder of the entries: in $TILEWRIGHT_CACHE, or the user's cache directory."""
    return cache_directory() / "compiled"


def key(*parts: str | bytes) -> str:
    """Return 32 hex digits over the parts, their boundaries and the compiler's sources."""
    return digest([source_digest(), *parts])


def source_digest() -> str:
    """Return 32 hex digits over the sources of the compiler and of the contract."""
    return sources_digest("hw/spec", "compiler")


def load(kind: str, name: str) -> bytes | None:
    """Return an entry's content; None if it is not there or damaged."""
    path = folder() / kind / name
    try:
        data = path.read_bytes()
        content = data[CHECKSUM_BYTES:]
        if hashlib.sha256(content).digest() != data[:CHECKSUM_BYTES]:
            return None
        os.utime(path)
    except OSError:
        return None
    return content


def save(kind: str, name: str, content: bytes, *, clean: bool = True) -> None:
    """Write an entry, if that is possible; with `clean`, keep all of them within the limit."""
    place = folder() / kind
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        replace_file(place / name, hashlib.sha256(content).digest() + content)
        if clean:
            remove_oldest(LIMIT_BYTES)


def remove_oldest(limit_bytes: int) -> None:
    """Remove the entries not used for longest until the rest takes at most `limit_bytes`."""
    files = []
    for path in folder().glob("*/*"):
        with contextlib.suppress(OSError):
            facts = path.stat()
            files.append((facts.st_mtime, facts.st_size + BLOCK_BYTES, path))
    used = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if used <= limit_bytes:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        used -= size
