"""The build cache: one directory per key, installed atomically, one builder at a time."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from tilewright.support.cache import cache_directory
from tilewright.support.log import timed

LOG = logging.getLogger(__name__)


def cached(kind: str, key: str, produce: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return the entry's directory and whether it was already there.

    A missing entry is made by `produce`, which fills an empty directory that then becomes the
    entry in one rename. Other processes that want the same entry wait for it.
    """
    root = cache_directory() / kind
    entry = root / key
    if entry.is_dir():
        LOG.info("%s: from the cache in %s", kind, entry)
        return entry, True
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{key}.lock"):
        if entry.is_dir():
            return entry, True
        fresh = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=root))
        try:
            with timed(LOG, f"{kind}: made for the cache, {entry}"):
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
