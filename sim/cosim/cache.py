"""The build cache: one directory per key, installed atomically, one builder at a time."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs
from filelock import FileLock

CACHE_VARIABLE = "TILEWRIGHT_CACHE"


def cache_directory() -> Path:
    """Return $TILEWRIGHT_CACHE, or the user's cache directory of this system."""
    override = os.environ.get(CACHE_VARIABLE)
    return Path(override) if override else Path(platformdirs.user_cache_dir("tilewright"))


def digest(parts: Iterable[str | bytes]) -> str:
    """Return 32 hex digits over the parts and their boundaries."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:32]


def cached(kind: str, key: str, produce: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return the entry's directory and whether it was already there.

    A missing entry is made by `produce`, which fills an empty directory that then becomes the
    entry in one rename. Other processes that want the same entry wait for it.
    """
    root = cache_directory() / kind
    entry = root / key
    if entry.is_dir():
        return entry, True
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{key}.lock"):
        if entry.is_dir():
            return entry, True
        fresh = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=root))
        try:
            produce(fresh)
            fresh.rename(entry)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    return entry, False


def keep_log(log: Path) -> Path:
    """Copy a log to where it survives its temporary directory, and return its path."""
    directory = cache_directory() / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / f"{log.parent.name}.log"
    shutil.copy(log, kept)
    return kept
