"""The points of a sweep: lists and ranges of sizes, and the config of each array size."""

import math
from collections.abc import Sequence

from tilewright.hw.spec.config import Config, largest_divisor
from tilewright.support.errors import ConfigError, InputError

MAX_POINTS = 4096


def parse_sizes(text: str, option: str) -> tuple[int, ...]:
    """Parse sizes: '4,8,12' is a list, '4:32' doubles (4, 8, 16, 32), '4:16:4' steps by 4.

    The result is sorted and has each size once. Raises InputError.
    """
    sizes: set[int] = set()
    for part in text.split(","):
        sizes.update(_parse_part(part.strip(), option))
    return tuple(sorted(sizes))


def _parse_part(part: str, option: str) -> Sequence[int]:
    try:
        numbers = [int(number) for number in part.split(":")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or min(numbers) < 1 or numbers[0] > (numbers * 2)[1]:
        raise InputError(
            f"{option}: sizes are a list 4,8,12, doublings 4:32 or steps 4:16:4, got {part!r}"
        )
    if len(numbers) == 1:
        return numbers
    low, high = numbers[:2]
    if len(numbers) == 3:
        if (high - low) // numbers[2] >= MAX_POINTS:
            raise InputError(
                f"{option}: {part!r} is more than {MAX_POINTS} sizes; take a larger step"
            )
        return range(low, high + 1, numbers[2])
    doublings = []
    while low <= high:
        doublings.append(low)
        low *= 2
    return doublings


def sweep_points(rows: Sequence[int], cols: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Return the (rows, cols) of a sweep: every pair, or square arrays without `cols`."""
    points = [(r, c) for r in rows for c in cols] if cols else [(r, r) for r in rows]
    if len(points) > MAX_POINTS:
        raise InputError(f"{len(points)} points; at most {MAX_POINTS}: narrow --rows or --cols")
    return points


def config_for(base: Config, rows: int, cols: int) -> Config:
    """Return the base config with another array size and lanes that fit it.

    `lanes` becomes the largest divisor of gcd(rows, cols) up to the base's, `operand_lanes` the
    largest divisor of that up to the base's. Raises ConfigError when a rule is broken.
    """
    if min(rows, cols) < 1:
        raise ConfigError(f"rows and cols must be at least 1, got {rows}x{cols}")
    lanes = largest_divisor(math.gcd(rows, cols), base.lanes)
    return base.replace(
        name=f"{base.name}-{rows}x{cols}",
        rows=rows,
        cols=cols,
        lanes=lanes,
        operand_lanes=largest_divisor(lanes, base.operand_lanes),
    )
