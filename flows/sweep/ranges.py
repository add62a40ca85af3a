"""Values of a config field in a sweep: lists, doublings and steps."""

from collections.abc import Sequence

from tilewright.support.errors import InputError

MAX_VALUES = 4096
"""Of one field."""


def parse_values(text: str, option: str) -> tuple[int, ...]:
    """Parse values: '4,8,12' is a list, '4:32' doubles (4, 8, 16, 32), '4:16:4' steps by 4.

    The result is sorted and has each value once. Raises InputError, naming the option.
    """
    values: set[int] = set()
    for part in text.split(","):
        values.update(_parse_part(part.strip(), option))
    return tuple(sorted(values))


def _parse_part(part: str, option: str) -> Sequence[int]:
    try:
        numbers = [int(number) for number in part.split(":")]
    except ValueError:
        numbers = []
    is_range = len(numbers) in (2, 3)
    is_rising = is_range and min(numbers) >= 1 and numbers[0] <= numbers[1]
    is_value = len(numbers) == 1 and numbers[0] >= 0
    if not (is_rising or is_value):
        raise InputError(
            f"{option}: values are a list 4,8,12, doublings 4:32 or steps 4:16:4, got {part!r}"
        )
    if not is_range:
        return numbers
    low, high = numbers[:2]
    if len(numbers) == 3:
        if (high - low) // numbers[2] >= MAX_VALUES:
            raise InputError(
                f"{option}: {part!r} is more than {MAX_VALUES} values; take a larger step"
            )
        return range(low, high + 1, numbers[2])
    doublings = []
    while low <= high:
        doublings.append(low)
        low *= 2
    return doublings
