"""Values that no QuantizeLinear follows as sums of stored maps, for operators that mix several.

A convolution's value, with Relu or slopes, is two maps: 16 bits over all that its accumulators can
hold. Any other function of it is the line that it nears far from 0 (Relu, for SiLU and HardSwish),
and what is left of it, within bounds. A function of stored values is two tables. All maps of a sum
are stored in whole steps of one unit, so that a depthwise convolution adds them up exactly
(frontend/sums.py): the sum is a value without rounding, of which anything may be made.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tilewright.compiler.frontend.builder import is_permutation, natural_index
from tilewright.compiler.frontend.combination import as_convolution, is_line
from tilewright.compiler.frontend.context import Context, dequantize_all
from tilewright.compiler.frontend.emit import emit
from tilewright.compiler.frontend.lines import Line, with_line
from tilewright.compiler.frontend.operands import broadcast
from tilewright.compiler.frontend.pieces import (
    FEW_PIECES,
    MANY_PIECES,
    NEGLIGIBLE_STEPS,
    level_error,
)
from tilewright.compiler.frontend.room import extreme_values
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import storable
from tilewright.compiler.frontend.sums import sum_of_maps
from tilewright.compiler.frontend.table import real_results, results_at
from tilewright.compiler.frontend.values import (
    Deferred,
    Dequantized,
    Fine,
    Index,
    Linear,
    LinearCombined,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.frontend.weights import LARGEST_WEIGHT
from tilewright.compiler.frontend.wide import as_parts, as_tables, largest_value
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.records import record

FAR = np.array([2.0**12, 2.0**14], np.float32)
"""Where a function is looked at for the line that it nears."""
SAMPLES = 1 << 12
LEVELS = 240
"""Of what has bounds: so few that no table rises further than it can."""
LINES = (-np.inf, np.inf), (0.0, np.inf)
"""Clamps that leave a line, or two."""
NO_TERMS = "it reads a value that no QuantizeLinear follows, of a kind that is not stored finely"


@record(frozen=True, kw_only=True, eq=False)
class Part:
    """A map of a sum, or two. `unit`: what its steps are whole numbers of."""

    step: float
    """Of the coarser map where it stands alone."""
    largest: float
    error: Callable[[float, bool], float]
    """By how much it is wrong at most for a unit, and with many tables or few."""
    stored: Callable[[float, bool], list[Quantized]]
    """The maps, for a unit and with many tables or few."""


@record(frozen=True, kw_only=True, eq=False)
class Terms:
    """A sum of float values of one operator, each with its sign."""

    context: Context
    node: Operator
    parts: tuple[tuple[Part, int], ...]
    shape: tuple[int, ...]

    @property
    def unit(self) -> float:
        return max(part.step for part, _ in self.parts) / LARGEST_WEIGHT

    @property
    def largest(self) -> float:
        return sum(part.largest for part, _ in self.parts)

    def error(self, is_fine: bool) -> float:
        """By how much the sum is wrong at most; is_fine: with as many tables as there can be."""
        return sum(part.error(self.unit, is_fine) for part, _ in self.parts)

    @property
    def fine(self) -> Fine:
        return Fine(largest=self.largest, error=self.error, real=self.as_real)

    def as_real(self, is_fine: bool) -> Real:
        """Store the maps; the sum is a convolution's value."""
        builder = self.context.builder
        signed = [
            (stored, sign)
            for part, sign in self.parts
            for stored in part.stored(self.unit, is_fine)
        ]
        first = next(stored for stored, _ in signed if stored.index.shape == self.shape)
        map_name, index = builder.natural(first)
        names = [
            (map_name if stored is first else self._aligned(stored, first, map_name, index), sign)
            for stored, sign in signed
        ]
        linear = sum_of_maps(self.context, names, f"{self.node.outputs[0]}/sum")
        return Real(producer=linear, index=index, names=(self.node.name,))

    def _aligned(self, stored: Quantized, first: Quantized, name: str, index: np.ndarray) -> str:
        return self.context.builder.align(broadcast(first, stored)[1], name, index)


def terms_of(
    context: Context, node: Operator, reals: Sequence[Real], shape: tuple[int, ...]
) -> Terms:
    """The sum of `reals`, of `shape`; of Sub their difference.

    Raises UnsupportedError: of one there is no such form.
    """
    signs = [1, -1 if node.op_type == "Sub" else 1]
    parts = tuple(
        (part, sign)
        for real, sign in zip(reals, signs, strict=False)
        for part in _parts(context, node, real)
    )
    if not any(real.index.shape == shape for real in reals):
        raise UnsupportedError("one of its operands must have the shape of the result")
    return Terms(context=context, node=node, parts=parts, shape=shape)


def _parts(context: Context, node: Operator, real: Real) -> list[Part]:
    stored = storable(context, real)
    if stored is not None:
        return [_stored_part(stored)]
    real = as_convolution(context, real)
    if isinstance(real.producer, Dequantized):
        return [_table_part(context, node, real)]
    if isinstance(real.producer, Deferred) and real.producer.fine and real.is_plain:
        return [_fine_part(context, node, real, real.producer.fine)]
    if isinstance(real.producer, LinearCombined) and real.is_plain:
        return [_combined_part(context, node, real, real.producer)]
    if not isinstance(real.producer, Linear):
        raise UnsupportedError(NO_TERMS)
    if is_line(context, real):
        return [_line_part(context, node, real)]
    if real.is_plain:
        return [_bounded_part(context, node, real, (real.low, real.high))]
    line = _line_far_away(context, real)
    near = None
    if line is not None:
        near = with_line(replace(real, is_plain=True), line)
    if line is None or near is None:
        return [_bounded_part(context, node, real, _range(context, real))]
    rest = replace(real, less=(line.fall, line.rise, real.less[2]))
    return [
        _line_part(context, node, near),
        _bounded_part(context, node, rest, _range(context, rest)),
    ]


def _stored_part(stored: Quantized) -> Part:
    scale = stored.quantization.scale
    largest = float(np.abs(dequantize_all(stored.quantization)).max())
    return Part(
        step=scale,
        largest=largest,
        error=lambda unit, is_fine: unit / 2,
        stored=lambda unit, is_fine: [stored],
    )


def _line_part(context: Context, node: Operator, real: Real) -> Part:
    largest = largest_value(context, real)
    return Part(
        step=largest / LARGEST_WEIGHT,
        largest=largest,
        error=lambda unit, is_fine: unit / 2,
        stored=lambda unit, is_fine: _in_two(context, node, real, unit),
    )


def _in_two(context: Context, node: Operator, real: Real, unit: float) -> list[Quantized]:
    """A line of a convolution's value as two maps, the finer one in steps of `unit`."""
    producer = real.producer
    assert isinstance(producer, Linear)
    largest = unit * LARGEST_WEIGHT**2
    if is_permutation(real.index, int(np.prod(producer.shape))):
        return [*as_parts(context, node, real, largest)]
    whole = replace(real, index=natural_index(producer.shape))
    return [_picked(item, real.index) for item in as_parts(context, node, whole, largest)]


def _picked(stored: Quantized, index: Index) -> Quantized:
    return replace(stored, index=stored.index.reshape(-1)[index])


def _fine_part(context: Context, node: Operator, real: Real, fine: Fine) -> Part:
    """A value made of several, with Relu or as it is."""
    if (real.low, real.high) not in LINES:
        raise UnsupportedError(NO_TERMS)

    def stored(unit: float, is_fine: bool) -> list[Quantized]:
        whole = fine.real(is_fine)
        index = whole.index.reshape(-1)[real.index]
        given = replace(whole, index=index, low=real.low, high=real.high)
        return _in_two(context, node, given, unit)

    return Part(
        step=fine.largest / LARGEST_WEIGHT,
        largest=fine.largest,
        error=lambda unit, is_fine: unit / 2 + fine.error(is_fine),
        stored=stored,
    )


def _combined_part(context: Context, node: Operator, real: Real, producer: LinearCombined) -> Part:
    """A convolution's value plus an activation."""
    if producer.kind != "add":
        raise UnsupportedError(NO_TERMS)
    places = natural_index(producer.linear.shape)
    other = Quantized(
        origin=producer.other,
        index=places,
        quantization=context.builder.maps[producer.other].quantization,
        is_unsigned=False,
    )
    line = Real(producer=producer.linear, index=places, names=real.names)
    parts = _line_part(context, node, line), _stored_part(other)
    terms = Terms(
        context=context, node=node, parts=tuple((part, 1) for part in parts), shape=places.shape
    )
    return _fine_part(context, node, real, terms.fine)


def _table_part(context: Context, node: Operator, real: Real) -> Part:
    values = real_results(context, real)
    if not np.isfinite(values).all():
        raise UnsupportedError("the function that it reads is not finite for every value")
    largest = float(np.abs(values).max()) or 1.0
    step = largest / LARGEST_WEIGHT

    def stored(unit: float, is_fine: bool) -> list[Quantized]:
        return as_tables(context, node, real, Quantization(scale=_whole(step, unit), zero_point=0))

    return Part(
        step=step,
        largest=largest,
        error=lambda unit, is_fine: _whole(step, unit) / LARGEST_WEIGHT / 2,
        stored=stored,
    )


def _bounded_part(
    context: Context, node: Operator, real: Real, bounds: tuple[float, float]
) -> Part:
    """Raises UnsupportedError: there are no bounds."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    step = (high - low) / LEVELS
    if not np.isfinite(step) or not step:
        raise UnsupportedError(NO_TERMS)
    producer = real.producer
    assert isinstance(producer, Linear)

    def own(unit: float) -> Quantization:
        scale = _whole(step, unit)
        return Quantization(scale=scale, zero_point=round(-128 - low / scale))

    def error(unit: float, is_fine: bool) -> float:
        if real.is_plain:
            return own(unit).scale / 2
        function = partial(results_at, context, real)
        count = MANY_PIECES if is_fine else FEW_PIECES
        levels = level_error(function, producer, own(unit), count)
        return (0.5 + NEGLIGIBLE_STEPS + levels) * own(unit).scale

    def stored(unit: float, is_fine: bool) -> list[Quantized]:
        name, whole = f"{node.outputs[0]}/bounded", natural_index(producer.shape)
        given = replace(real, is_fine=is_fine, index=whole)
        return [_picked(emit(context, given, own(unit), False, name, node.name), real.index)]

    return Part(step=step, largest=max(-low, high), error=error, stored=stored)


def _whole(step: float, unit: float) -> float:
    """The smallest whole number of units that is not less than `step`."""
    return float(np.float32(max(np.ceil(step / unit * (1 - 1e-6)), 1) * unit))


def _line_far_away(context: Context, real: Real) -> Line | None:
    """The line through 0 that a function nears; None where it nears a constant on both sides."""
    values = np.concatenate([-FAR, FAR])
    results = results_at(context, real, values).astype(np.float64)
    width = float(np.diff(FAR)[0])
    fall, rise = (results[0] - results[1]) / width, (results[3] - results[2]) / width
    if not np.isfinite(results).all() or min(-fall, rise) < 0 or not max(-fall, rise):
        return None
    return Line(rise=float(rise), fall=float(-fall), low=-np.inf, high=np.inf)


def _range(context: Context, real: Real) -> tuple[float, float]:
    """The smallest and largest value of a function of all that a convolution's value can be."""
    producer = real.producer
    assert isinstance(producer, Linear)
    lowest, highest = extreme_values(producer)
    low, high = float(lowest.min()), float(highest.max())
    grid = np.sinh(np.linspace(-10, 10, SAMPLES)) / np.sinh(10.0)
    inputs = np.clip(grid * max(-low, high), low, high).astype(np.float32)
    results = results_at(context, real, inputs)
    if not np.isfinite(results).all():
        raise UnsupportedError("the function that it reads is not finite for every value")
    return float(results.min()), float(results.max())
