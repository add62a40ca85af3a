"""Operators that mix pixels of a value that no QuantizeLinear follows: means, linear Resize.

Functions with bounds are rounded to 8 bits over these where that makes the result one step off at
most. Anything else is stored in 16 bits (frontend/terms.py), as two maps; the pixels of each are
mixed. Mixing makes errors no larger.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tilewright.compiler.frontend.builder import is_permutation, natural_index
from tilewright.compiler.frontend.combination import is_line, with_linear
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.rounded import (
    note_rounding,
    range_of,
    rounded_operand,
    stored_operand,
    way_of_terms,
)
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.terms import terms_of
from tilewright.compiler.frontend.values import (
    Fine,
    Linear,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.frontend.ways import Way, choose_tables, deferred
from tilewright.compiler.frontend.weights import LARGEST_WEIGHT
from tilewright.compiler.frontend.wide import as_parts, largest_value, mean_of_pixels
from tilewright.hw.spec.tensor import Quantization

REST = 1 / LARGEST_WEIGHT**2
"""What pixels in 16 bits and their mixed rest lose at most, of the largest value."""


def mean_of_all(
    context: Context, node: Operator, real: Real, mean: Callable[[Quantized], Real]
) -> Real:
    """The mean over all pixels of a value [1, C, ...] that no QuantizeLinear follows.

    mean: that of stored values. Raises UnsupportedError: it cannot be stored finely.
    """

    def finely() -> Way:
        terms = terms_of(context, node, [real], real.index.shape)
        return way_of_terms(terms, partial(mean_of_pixels, context, node))

    shape = (*real.index.shape[:2], *[1] * (real.index.ndim - 2))
    return _mixed(context, node, real, shape, (mean, finely))


def mixed_pixels(
    context: Context,
    node: Operator,
    real: Real,
    shape: Sequence[int],
    mix: Callable[[Quantized], Real],
) -> Real:
    """`real`, that no QuantizeLinear follows, with its pixels mixed, of `shape`.

    mix: what mixes those of a stored value, whose result is a convolution's. Raises
    UnsupportedError: `real` cannot be stored finely.
    """

    def finely() -> Way:
        fine = _fine(context, node, real)

        def error(is_fine: bool) -> float:
            return fine.error(is_fine) + fine.largest * REST

        def made(target: Quantization) -> Real:
            line = fine.real(choose_tables(error, target))
            note_rounding(context, node, "16")
            first, rest = as_parts(context, node, line, fine.largest)
            name = f"{node.outputs[0]}/mixed"
            other = emit(context, mix(rest), rest.quantization, False, name, node.name)
            return with_linear(context, "add", mix(first), other, node.name)

        return Way(error=lambda target: error(choose_tables(error, target)), made=made)

    return _mixed(context, node, real, shape, (mix, finely))


def _mixed(
    context: Context,
    node: Operator,
    real: Real,
    shape: Sequence[int],
    ways: tuple[Callable[[Quantized], Real], Callable[[], Way]],
) -> Real:
    """Of 8 bits of `real` where that is near enough, or of 16."""
    coarsely, finely = ways
    known = _of_bytes(context, node, real, coarsely)
    try:
        known.append(finely())
    except UnsupportedError:
        if not known:
            raise
    return Real(
        producer=deferred((real,), known),
        index=natural_index(shape),
        names=(*real.names, node.name),
    )


def _of_bytes(
    context: Context, node: Operator, real: Real, mix: Callable[[Quantized], Real]
) -> list[Way]:
    """What `mix` makes of `real` rounded to 8 bits over its bounds; none where it has none."""
    try:
        rounded = rounded_operand(context, real, range_of(context, real))
    except UnsupportedError:
        return []

    def error(is_fine: bool) -> float:
        return rounded.errors[is_fine]

    def made(target: Quantization) -> Real:
        inner, own = stored_operand(rounded, choose_tables(error, target))
        note_rounding(context, node)
        name = f"{node.outputs[0]}/inner"
        return mix(emit(context, inner, own, False, name, node.name))

    return [Way(error=lambda target: error(choose_tables(error, target)), made=made)]


def _fine(context: Context, node: Operator, real: Real) -> Fine:
    """Raises UnsupportedError: `real` cannot be stored finely."""
    producer = real.producer
    is_whole = isinstance(producer, Linear) and is_permutation(
        real.index, int(np.prod(producer.shape))
    )
    if is_whole and is_line(context, real):
        return Fine(
            largest=largest_value(context, real),
            error=lambda is_fine: 0.0,
            real=lambda is_fine: real,
        )
    return terms_of(context, node, [real], real.index.shape).fine
