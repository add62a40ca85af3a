"""Garbage collection while objects are made by the thousand and live on."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 100_000
"""Objects made between two collections; Python's 700 would look through all that lives."""


@contextmanager
def rare_collection() -> Iterator[None]:
    """Collect garbage rarely, in the block or the function that this decorates."""
    allocations, *others = gc.get_threshold()
    gc.set_threshold(max(allocations, ALLOCATIONS) if allocations else 0, *others)
    try:
        yield
    finally:
        gc.set_threshold(allocations, *others)
