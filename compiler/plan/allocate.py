"""Address allocation: objects with lifetimes in one linear memory, greedily by size."""

from collections.abc import Sequence

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Lifetime:
    """An object of `size` units that lives in the steps first..last, both included."""

    name: str
    size: int
    first: int
    last: int
    alignment: int = 1


def allocate(objects: Sequence[Lifetime]) -> dict[str, int]:
    """Return an offset for each object so that no two that live together overlap.

    Largest first, each at the lowest offset that fits.
    """
    placed: list[tuple[int, Lifetime]] = []
    for item in sorted(objects, key=lambda o: (-o.size, o.first, o.name)):
        first, last = item.first, item.last
        busy = sorted(
            (at, at + other.size)
            for at, other in placed
            if other.first <= last and first <= other.last
        )
        offset = 0
        for start, stop in busy:
            if offset + item.size <= start:
                break
            offset = max(offset, -(-stop // item.alignment) * item.alignment)
        placed.append((offset, item))
    return {item.name: offset for offset, item in placed}


def extent(objects: Sequence[Lifetime], offsets: dict[str, int]) -> int:
    """Return the memory size that an allocation needs."""
    return max((offsets[o.name] + o.size for o in objects), default=0)


def largest_gap(
    objects: Sequence[Lifetime], offsets: dict[str, int], *, step: int, capacity: int
) -> tuple[int, int]:
    """Return (offset, size) of the largest range that is free in one step."""
    busy = sorted(
        (offsets[o.name], offsets[o.name] + o.size) for o in objects if o.first <= step <= o.last
    )
    best, at = (0, 0), 0
    for start, stop in [*busy, (capacity, capacity)]:
        if start - at > best[1]:
            best = (at, start - at)
        at = max(at, stop)
    return best
