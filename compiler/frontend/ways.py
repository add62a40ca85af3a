"""Ways to make a value that is stored with a quantization: the first that is near enough.

The rounded result is one step off at most where what is rounded is wrong by less than a step.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tilewright.compiler.frontend.values import Deferred, Fine, Real, UnsupportedError
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.records import record

MARGIN = 0.99
"""Of a step: how much the rounding of operands may make of it, less what binary32 does."""
REMEDY = "put a QuantizeLinear and DequantizeLinear behind one of its inputs"
TOO_COARSE = (
    "it reads values that no QuantizeLinear follows, and rounded ones would make its result more "
    f"than a step off; {REMEDY}"
)
Made = TypeVar("Made")


@record(frozen=True, kw_only=True, eq=False)
class Way:
    """One way to make a value for a quantization, and by how much it is wrong then.

    Both raise UnsupportedError where that would be more than a step.
    """

    error: Callable[[Quantization], float]
    made: Callable[[Quantization], Real]


def deferred(inners: Sequence[Real], ways: Sequence[Way], fine: Fine | None = None) -> Deferred:
    """What the first of the `ways` makes that is near enough."""
    return Deferred(
        inners=tuple(inners),
        made=lambda target: _first_of([way.made for way in ways], target),
        wrong=lambda target: _first_of([way.error for way in ways], target),
        fine=fine,
    )


def _first_of(ways: Sequence[Callable[[Quantization], Made]], target: Quantization) -> Made:
    """What the first of the `ways` gives that is near enough for `target`."""
    for way in ways[:-1]:
        try:
            return way(target)
        except UnsupportedError:
            continue
    return ways[-1](target)


def choose_tables(error: Callable[[bool], float], target: Quantization) -> bool:
    """Whether functions need many tables for an error below a step; UnsupportedError: too few."""
    for is_fine in (False, True):
        if error(is_fine) <= MARGIN * target.scale:
            return is_fine
    raise UnsupportedError(TOO_COARSE)
