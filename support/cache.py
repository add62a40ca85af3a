"""Where the project keeps what it need not make again."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "TILEWRIGHT_CACHE"


def cache_directory() -> Path:
    """Return $TILEWRIGHT_CACHE, or the user's cache directory of this system."""
    override = os.environ.get(CACHE_VARIABLE)
    return Path(override) if override else Path(platformdirs.user_cache_dir("tilewright"))
