"""Sums and products of operands that no QuantizeLinear follows: those are rounded by themselves.

Squeeze and excite in TensorRT's form (a gate, and what it opens), functions of stored values that
are added or multiplied. One operand may be a convolution's value, which is taken unrounded; the
others are stored as finely as 8 bits allow, over the range of their function, or over that which a
QuantizeLinear for another reader states; where that is too coarse, a function of stored values as
two tables. That is done only where the result, as it is quantized, is one step off at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.combination import KINDS, Kind, combine_activations, is_line
from tilewright.compiler.frontend.context import Context, dequantize_all
from tilewright.compiler.frontend.later import dequantized
from tilewright.compiler.frontend.lines import LARGEST_MOVE, ramp_of, samples, with_ramp
from tilewright.compiler.frontend.pieces import FEW_PIECES, MANY_PIECES, level_error
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import stated_range, storable
from tilewright.compiler.frontend.table import real_results, results_at
from tilewright.compiler.frontend.values import (
    Deferred,
    Dequantized,
    Linear,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.frontend.wide import as_sum, mean_of_pixels
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.records import record

FARTHEST = 2.0**30
"""A function that reaches further has no bound."""
LEVELS = 254
"""Of a range: one less than there are, for the zero point, which is rounded."""
MARGIN = 0.99
"""Of a step: how much the rounding of operands may make of it, less what binary32 does."""
REMEDY = "put a QuantizeLinear and DequantizeLinear behind one of its inputs"
TOO_COARSE = (
    "it reads values that no QuantizeLinear follows, and rounded ones would make its result more "
    f"than a step off; {REMEDY}"
)


@record(frozen=True, kw_only=True, eq=False)
class Operand:
    """An operand, the largest magnitude that it has, and by how much it is wrong.

    `errors` are those with as many tables as a function has by itself, and with many of them. `own`
    is how it is stored; None where it is stored already, or taken as it is.
    """

    real: Real
    largest: float
    errors: tuple[float, float] = (0.0, 0.0)
    own: Quantization | None = None


def combine_rounded(context: Context, node: Operator, reals: Sequence[Real]) -> Real | None:
    """Add, Sub or Mul of two values, of which operands are rounded; None where none has to be.

    Raises UnsupportedError where one has no known range.
    """
    try:
        shape = np.broadcast_shapes(*(real.index.shape for real in reals))
    except ValueError:
        return None
    exact = next(
        (real for real in reals if real.index.shape == shape and is_line(context, real)), None
    )
    operands = tuple(
        _operand(context, node, at, real, is_exact=real is exact) for at, real in enumerate(reals)
    )
    pair = Pair(context=context, node=node, operands=operands, shape=shape)
    if not pair.rounded:
        return None
    names = tuple(dict.fromkeys(name for real in reals for name in real.names))
    return Real(
        producer=Deferred(
            inners=tuple(operand.real for operand in pair.rounded),
            then=pair.combined,
            stored_as=pair.stored_as,
        ),
        index=natural_index(shape),
        names=(*names, node.name),
    )


@record(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two operands of one operator, of which some are rounded."""

    context: Context
    node: Operator
    operands: tuple[Operand, ...]
    shape: tuple[int, ...]

    @property
    def rounded(self) -> list[Operand]:
        return [operand for operand in self.operands if operand.own is not None]

    @property
    def wide(self) -> Operand | None:
        """What may be taken as the sum of two tables, of the result's shape."""
        return next((operand for operand in self.rounded if self._may_be_wide(operand)), None)

    def _may_be_wide(self, operand: Operand) -> bool:
        is_stored = isinstance(operand.real.producer, Dequantized)
        return is_stored and operand.real.index.shape == self.shape

    def stored_as(self, target: Quantization) -> list[tuple[Real, Quantization]]:
        """What is stored and how, so that the result is one step of `target` off at most.

        All that is rounded, or all but what is wide. Raises UnsupportedError: neither is enough.
        """
        kind, wide, limit = KINDS[self.node.op_type], self.wide, MARGIN * target.scale
        for is_fine in (False, True):
            if _error(kind, self.operands, target, is_fine=is_fine) <= limit:
                return [_stored(operand, is_fine) for operand in self.rounded]
        others = [
            replace(operand, errors=(0.0, 0.0)) if operand is wide else operand
            for operand in self.operands
        ]
        if wide is None or not _error(kind, others, target, is_fine=True) <= limit:
            raise UnsupportedError(TOO_COARSE)
        return [_stored(operand, True) for operand in self.rounded if operand is not wide]

    def combined(self, stored: Sequence[Quantized]) -> Real:
        """The result for what `stored_as` lists, as it is stored."""
        left, is_wide = iter(stored), len(stored) < len(self.rounded)
        if stored:
            _note(self.context, self.node)
        values = []
        for operand in self.operands:
            if operand.own is None:
                values.append(operand.real)
            elif is_wide and operand is self.wide:
                values.append(as_sum(self.context, self.node, operand.real, operand.own))
            else:
                values.append(dequantized(next(left)))
        return combine_activations(self.context, self.node, *values)


def _stored(operand: Operand, is_fine: bool) -> tuple[Real, Quantization]:
    assert operand.own is not None
    return replace(operand.real, is_fine=is_fine), operand.own


def is_unrounded(context: Context, real: Real) -> bool:
    """Whether it is a convolution's value, or that with Relu or slopes: without bounds."""
    return isinstance(real.producer, Linear) and is_line(context, real)


def rounded_pixels(
    context: Context, node: Operator, real: Real, target: Quantization
) -> tuple[Real, Quantization]:
    """How pixels are stored that `node` mixes before they are quantized with `target`.

    Raises UnsupportedError where they have no bounds, or results would be more than one step off.
    """
    rounded = _rounded(context, real, _range(context, real))
    limit = MARGIN * target.scale
    if not rounded.errors[1] <= limit:
        raise UnsupportedError(TOO_COARSE)
    _note(context, node)
    return _stored(rounded, rounded.errors[0] > limit)


def mean_of_function(
    context: Context, node: Operator, real: Real, mean: Callable[[Quantized], Real]
) -> Real:
    """The mean over all pixels of a function [1, C, ...] that no QuantizeLinear follows.

    mean: that of stored values. Raises UnsupportedError: the function has no bounds.
    """
    rounded = _rounded(context, real, _range(context, real))
    assert rounded.own is not None
    coarse = rounded.own

    def stored_as(target: Quantization) -> list[tuple[Real, Quantization]]:
        limit = MARGIN * target.scale
        if rounded.errors[1] <= limit:
            return [_stored(rounded, rounded.errors[0] > limit)]
        if not isinstance(real.producer, Dequantized):
            raise UnsupportedError(TOO_COARSE)
        return []

    def then(stored: Sequence[Quantized]) -> Real:
        if stored:
            _note(context, node)
            return mean(stored[0])
        return mean_of_pixels(context, node, as_sum(context, node, real, coarse))

    return Real(
        producer=Deferred(inners=(real,), then=then, stored_as=stored_as),
        index=natural_index((*real.index.shape[:2], *[1] * (real.index.ndim - 2))),
        names=(*real.names, node.name),
    )


def _operand(context: Context, node: Operator, at: int, real: Real, *, is_exact: bool) -> Operand:
    stated = stated_range(context, node.inputs[at])
    if is_exact:
        return Operand(real=real, largest=max(map(abs, stated)) if stated else np.inf)
    stored = storable(context, real)
    if stored is None:
        low, high = _range(context, real)
        if stated:
            low, high = max(low, stated[0]), min(high, stated[1])
        return _rounded(context, real, (low, high))
    largest = float(np.abs(dequantize_all(stored.quantization)).max())
    return Operand(real=dequantized(stored), largest=largest)


def _note(context: Context, node: Operator) -> None:
    """Tell the user, once."""
    note = (
        f"{node.name}: what it reads without a QuantizeLinear was rounded to 8 bits; its result is "
        "one step off at most while values stay within the ranges that the model states"
    )
    if note not in context.notes:
        context.notes.append(note)


def _rounded(context: Context, real: Real, bounds: tuple[float, float]) -> Operand:
    """`real`, stored as finely as 8 bits hold what lies within the bounds."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    own = _quantization(low, high)
    few, many = _function_errors(context, real, own)
    errors = (0.5 + few) * own.scale, (0.5 + many) * own.scale
    return Operand(real=real, largest=max(-low, high), errors=errors, own=own)


def _range(context: Context, real: Real) -> tuple[float, float]:
    """The smallest and largest value of the function that `real` is."""
    if real.is_plain:
        return real.low, real.high
    if isinstance(real.producer, Dequantized):
        results = real_results(context, real)
    else:
        results = results_at(context, real, samples())
    if not np.isfinite(results).all():
        raise UnsupportedError("the function that it reads is not finite for every value")
    return float(results.min()), float(results.max())


def _quantization(low: float, high: float) -> Quantization:
    """The finest that holds low ... high.

    Raises UnsupportedError: these have no bounds.
    """
    if not high - low < FARTHEST:
        raise UnsupportedError(
            f"it reads a value that no QuantizeLinear follows and that has no bounds; {REMEDY}"
        )
    scale = float(np.float32((high - low) / LEVELS)) or 1.0
    return Quantization(scale=scale, zero_point=round(-128 - low / scale))


def _function_errors(context: Context, real: Real, own: Quantization) -> tuple[float, float]:
    """What tables of a function of an unrounded value lose, in steps of `own`: few, and many."""
    if real.is_plain or isinstance(real.producer, Dequantized) or is_line(context, real):
        return 0.0, 0.0
    if not isinstance(real.producer, Linear):
        raise UnsupportedError("it reads a function of a value that no QuantizeLinear follows")
    function = partial(results_at, context, real)
    ramp = ramp_of(function)
    if ramp is not None and with_ramp(real, ramp, own) is not None:
        return LARGEST_MOVE, LARGEST_MOVE
    few = level_error(function, real.producer, own, FEW_PIECES)
    return few, level_error(function, real.producer, own, MANY_PIECES)


def _error(
    kind: Kind, operands: Sequence[Operand], target: Quantization, *, is_fine: bool
) -> float:
    """By how much the result is wrong at most, where it does not saturate.

    Of a product of large factors, only what stays within the target counts.
    """
    wrong = [operand.errors[is_fine] for operand in operands]
    if kind == "add":
        return sum(wrong)
    reach = float(np.abs(dequantize_all(target)).max()) + target.scale
    return wrong[0] * wrong[1] + max(
        operands[one].largest * wrong[other]
        + min(operands[other].largest, reach / operands[one].largest) * wrong[one]
        for one, other in ((0, 1), (1, 0))
        if operands[one].largest > 0
    )
