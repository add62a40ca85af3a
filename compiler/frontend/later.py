"""Operators that commute with quantizing, of values that no QuantizeLinear follows yet."""

from collections.abc import Callable, Sequence

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.store import storable
from tilewright.compiler.frontend.values import Deferred, Dequantized, Quantized, Real


def when_stored(
    context: Context,
    reals: Sequence[Real],
    shape: Sequence[int],
    name: str,
    function: Callable[[Sequence[Real]], Real],
) -> Real:
    """`function` of `reals`, of `shape`; those not yet quantized are stored as its result is."""
    is_lacking = [storable(context, real) is None for real in reals]
    if not any(is_lacking):
        return function(reals)

    def then(stored: Sequence[Quantized]) -> Real:
        given = iter(stored)
        return function(
            [
                dequantized(next(given)) if lacks else real
                for real, lacks in zip(reals, is_lacking, strict=True)
            ]
        )

    lacking = tuple(real for real, lacks in zip(reals, is_lacking, strict=True) if lacks)
    names = tuple(dict.fromkeys(item for real in reals for item in real.names))
    return Real(
        producer=Deferred(inners=lacking, then=then),
        index=natural_index(shape),
        names=(*names, name),
    )


def dequantized(stored: Quantized) -> Real:
    """The float value of what is stored."""
    return Real(producer=Dequantized(source=stored), index=stored.index)
