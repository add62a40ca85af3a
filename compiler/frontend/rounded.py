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
from typing import Literal

import numpy as np

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.combination import KINDS, Kind, combine_activations, is_line
from tilewright.compiler.frontend.context import Context, dequantize_all
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.later import dequantized
from tilewright.compiler.frontend.lines import LARGEST_MOVE, ramp_of, samples, with_ramp
from tilewright.compiler.frontend.pieces import FEW_PIECES, MANY_PIECES, level_error
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import stated_range, storable
from tilewright.compiler.frontend.table import real_results, results_at
from tilewright.compiler.frontend.terms import Terms, terms_of
from tilewright.compiler.frontend.values import (
    Deferred,
    Dequantized,
    Fine,
    Linear,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.frontend.ways import (
    MARGIN,
    REMEDY,
    TOO_COARSE,
    Way,
    choose_tables,
    deferred,
)
from tilewright.compiler.frontend.wide import as_sum, largest_value
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.records import record

FARTHEST = 2.0**30
"""A function that reaches further has no bound."""
LEVELS = 254
"""Of a range: one less than there are, for the zero point, which is rounded."""


@record(frozen=True, kw_only=True, eq=False)
class Operand:
    """An operand, the largest and smallest magnitude that it has, and by how much it is wrong.

    `errors` are those with as many tables as a function has by itself, and with many of them. `own`
    is how it is stored; None where it is stored already, or taken as it is.
    """

    real: Real
    largest: float
    smallest: float = 0.0
    errors: tuple[float, float] = (0.0, 0.0)
    own: Quantization | None = None


def combine_rounded(context: Context, node: Operator, reals: Sequence[Real]) -> Real | None:
    """Add, Sub or Mul of two values, of which operands are rounded; None where none has to be.

    Raises UnsupportedError where they cannot be stored finely.
    """
    try:
        shape = np.broadcast_shapes(*(real.index.shape for real in reals))
    except ValueError:
        return None
    ways: list[Way] = []
    reason, fine = UnsupportedError(TOO_COARSE), None
    try:
        pair = _pair(context, node, reals, shape)
        if not pair.rounded:
            return None
        ways.append(Way(error=pair.error, made=pair.made))
    except UnsupportedError as error:
        reason = error
    try:
        way, fine = _finely(context, node, reals, shape)
        ways.append(way)
    except UnsupportedError:
        if not ways:
            raise reason from None
    names = tuple(dict.fromkeys(name for real in reals for name in real.names))
    return Real(
        producer=deferred(reals, ways, fine),
        index=natural_index(shape),
        names=(*names, node.name),
    )


def one_more(
    context: Context, node: Operator, reals: Sequence[Real]
) -> tuple[Operator, list[Real]] | None:
    """x + x * gate as x * (1 + gate): the product, whose gate is nowhere next to 0.

    None: `node` is nothing of that kind, of a gate that is a function.
    """
    for at, product in enumerate(reals):
        made = context.producers.get(node.inputs[at])
        other = node.inputs[1 - at]
        if node.op_type != "Add" or made is None or made.op_type != "Mul":
            continue
        if other not in made.inputs or not isinstance(product.producer, Deferred):
            continue
        place = 1 - made.inputs.index(other)
        gate = context.values.get(made.inputs[place])
        if isinstance(gate, Real) and not gate.is_plain:
            below, above, offset = gate.less
            factors = [reals[1 - at]] * 2
            factors[place] = replace(gate, less=(below, above, offset - 1))
            return replace(made, name=node.name, outputs=node.outputs), factors
    return None


def _pair(
    context: Context, node: Operator, reals: Sequence[Real], shape: tuple[int, ...]
) -> "Pair":
    exact = next(
        (real for real in reals if real.index.shape == shape and is_line(context, real)), None
    )
    operands = tuple(
        _operand(context, node, at, real, is_exact=real is exact) for at, real in enumerate(reals)
    )
    return Pair(context=context, node=node, operands=operands, shape=shape)


def _finely(
    context: Context, node: Operator, reals: Sequence[Real], shape: tuple[int, ...]
) -> tuple[Way, Fine | None]:
    """A sum in 16 bits, or a product whose one operand is in 16 bits, of the result's shape.

    A sum is known without rounding, too.

    Raises UnsupportedError: there is no such form.
    """
    if KINDS[node.op_type] == "add":
        terms = terms_of(context, node, reals, shape)
        return way_of_terms(terms), terms.fine
    for at, real in enumerate(reals):
        if real.index.shape == shape and not is_line(context, real):
            other = _operand(context, node, 1 - at, reals[1 - at], is_exact=False)
            terms = terms_of(context, node, [real], shape)
            product = Product(terms=terms, other=other)
            return Way(error=product.error, made=product.made), None
    raise UnsupportedError(TOO_COARSE)


def way_of_terms(terms: Terms, then: Callable[[Real], Real] = lambda total: total) -> Way:
    """The sum of `terms`, and what `then` makes of it without making its error larger."""

    def made(target: Quantization) -> Real:
        is_fine = choose_tables(terms.error, target)
        note_rounding(terms.context, terms.node, "16")
        return then(terms.as_real(is_fine))

    return Way(error=lambda target: terms.error(choose_tables(terms.error, target)), made=made)


@record(frozen=True, kw_only=True, eq=False)
class Product:
    """A value in 16 bits times another operand."""

    terms: Terms
    other: Operand

    def _error(self, target: Quantization, is_fine: bool) -> float:
        errors = self.terms.error(False), self.terms.error(True)
        fine = replace(self.other, largest=self.terms.largest, smallest=0.0, errors=errors)
        return _error("multiply", (fine, self.other), target, is_fine=is_fine)

    def error(self, target: Quantization) -> float:
        """Raises UnsupportedError: more than a step."""
        return self._error(target, choose_tables(partial(self._error, target), target))

    def made(self, target: Quantization) -> Real:
        """The product, one step of `target` off at most. Raises UnsupportedError."""
        context, node = self.terms.context, self.terms.node
        is_fine = choose_tables(partial(self._error, target), target)
        note_rounding(context, node)
        factor = self.other.real
        if self.other.own is not None:
            name = f"{node.outputs[0]}/inner"
            inner, own = stored_operand(self.other, is_fine)
            factor = dequantized(emit(context, inner, own, False, name, node.name))
        return combine_activations(context, node, self.terms.as_real(is_fine), factor)


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

    def made(self, target: Quantization) -> Real:
        """The result, one step of `target` off at most.

        Raises UnsupportedError: 8 bits of all that is rounded, or 16 of one, are not enough.
        """
        name = f"{self.node.outputs[0]}/inner"
        stored = [
            emit(self.context, real, own, False, f"{name}{number or ''}", self.node.name)
            for number, (real, own) in enumerate(self._chosen(target)[1])
        ]
        return self._combined(stored)

    def error(self, target: Quantization) -> float:
        """By how much that is wrong before it is rounded. Raises UnsupportedError."""
        return self._chosen(target)[0]

    def _chosen(self, target: Quantization) -> tuple[float, list[tuple[Real, Quantization]]]:
        """The error; what is stored and how: all that is rounded, or all but what is wide."""
        kind, wide, limit = KINDS[self.node.op_type], self.wide, MARGIN * target.scale
        for is_fine in (False, True):
            error = _error(kind, self.operands, target, is_fine=is_fine)
            if error <= limit:
                return error, [stored_operand(operand, is_fine) for operand in self.rounded]
        others = [
            replace(operand, errors=(0.0, 0.0)) if operand is wide else operand
            for operand in self.operands
        ]
        error = _error(kind, others, target, is_fine=True)
        if wide is None or not error <= limit:
            raise UnsupportedError(TOO_COARSE)
        left = (operand for operand in self.rounded if operand is not wide)
        return error, [stored_operand(operand, True) for operand in left]

    def _combined(self, stored: Sequence[Quantized]) -> Real:
        """The result for what is `_chosen`, as it is stored."""
        left, is_wide = iter(stored), len(stored) < len(self.rounded)
        if stored:
            note_rounding(self.context, self.node)
        values = []
        for operand in self.operands:
            if operand.own is None:
                values.append(operand.real)
            elif is_wide and operand is self.wide:
                values.append(as_sum(self.context, self.node, operand.real, operand.own))
            else:
                values.append(dequantized(next(left)))
        return combine_activations(self.context, self.node, *values)


def stored_operand(operand: Operand, is_fine: bool) -> tuple[Real, Quantization]:
    assert operand.own is not None
    return replace(operand.real, is_fine=is_fine), operand.own


def _operand(context: Context, node: Operator, at: int, real: Real, *, is_exact: bool) -> Operand:
    stated = stated_range(context, node.inputs[at])
    if is_exact:
        return Operand(real=real, largest=_largest(context, real, stated))
    stored = storable(context, real)
    if stored is None:
        low, high = range_of(context, real)
        if stated:
            low, high = max(low, stated[0]), min(high, stated[1])
        return rounded_operand(context, real, (low, high))
    largest = float(np.abs(dequantize_all(stored.quantization)).max())
    return Operand(real=dequantized(stored), largest=largest)


def _largest(context: Context, real: Real, stated: tuple[float, float] | None) -> float:
    """Of a value that is taken as it is: within a stated range, or all that accumulators hold."""
    if stated:
        return max(map(abs, stated))
    return largest_value(context, real) if isinstance(real.producer, Linear) else np.inf


def note_rounding(context: Context, node: Operator, bits: Literal["8", "16"] = "8") -> None:
    """Tell the user, once."""
    limits = " while values stay within the ranges that the model states" if bits == "8" else ""
    note = (
        f"{node.name}: what it reads without a QuantizeLinear was rounded to {bits} bits; its "
        f"result is one step off at most{limits}"
    )
    if note not in context.notes:
        context.notes.append(note)


def rounded_operand(context: Context, real: Real, bounds: tuple[float, float]) -> Operand:
    """`real`, stored as finely as 8 bits hold what lies within the bounds."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    own = _quantization(low, high)
    few, many = _function_errors(context, real, own)
    before = _wrong_before(real, own)
    errors = (0.5 + few) * own.scale + before, (0.5 + many) * own.scale + before
    smallest = max(bounds[0], 0.0)
    return Operand(real=real, largest=max(-low, high), smallest=smallest, errors=errors, own=own)


def _wrong_before(real: Real, own: Quantization) -> float:
    """By how much `real`, stored as `own`, is wrong before it is rounded."""
    producer = real.producer
    if not isinstance(producer, Deferred):
        return 0.0
    if producer.made is None:
        return max(_wrong_before(inner, own) for inner in producer.inners)
    try:
        return producer.wrong(own)
    except UnsupportedError:
        return np.inf


def range_of(context: Context, real: Real) -> tuple[float, float]:
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
    largest = [
        min(operand.largest, reach / other.smallest) if other.smallest else operand.largest
        for operand, other in zip(operands, reversed(operands), strict=True)
    ]
    return wrong[0] * wrong[1] + max(
        largest[one] * wrong[other] + min(largest[other], reach / largest[one]) * wrong[one]
        for one, other in ((0, 1), (1, 0))
        if largest[one] > 0
    )
