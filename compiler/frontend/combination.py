"""Add, Sub and Mul of two activations: of two stored ones, or of a convolution's value and one.

A convolution's value needs no QuantizeLinear of its own: the operand is combined with what it is
before rounding (VECTOR `unrounded`). What is below 0 may have a slope; so a Relu in between is one,
of 0. A mean of windows and a sum of two stored activations are such values as well, of the
depthwise convolution that they are.
"""

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from tilewright.compiler.frontend.builder import is_permutation
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.emit_linear import (
    has_one_divisor,
    mean_as_linear,
    of_read_channels,
)
from tilewright.compiler.frontend.functions import is_open_linear
from tilewright.compiler.frontend.linear import scale_channels
from tilewright.compiler.frontend.lines import line_of, with_line
from tilewright.compiler.frontend.operands import broadcast, negated
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation
from tilewright.compiler.frontend.sums import sum_as_linear
from tilewright.compiler.frontend.table import results_at
from tilewright.compiler.frontend.values import (
    Combined,
    Linear,
    LinearCombined,
    Pooled,
    Quantized,
    Real,
    UnsupportedError,
)

Kind = Literal["add", "multiply"]
KINDS: dict[str, Kind] = {
    "Add": "add",
    "Mul": "multiply",
    "Sub": "add",
    "QLinearAdd": "add",
    "QLinearMul": "multiply",
}


def combine_activations(context: Context, node: Operator, first: Real, second: Real) -> Real:
    """Add, Sub or Mul of two activations. Raises UnsupportedError."""
    kind, is_difference = KINDS[node.op_type], node.op_type == "Sub"
    negative = f"{node.outputs[0]}/negative"
    first, second = (as_convolution(context, value) for value in (first, second))
    if isinstance(first.producer, Linear):
        stored = as_activation(context, second)
        if is_difference:
            stored = negated(context, stored, negative, node)
        return with_linear(context, kind, first, stored, node.name)
    if isinstance(second.producer, Linear):
        stored = as_activation(context, first)
        if is_difference:
            second = _negative_linear(second)
        return with_linear(context, kind, second, stored, node.name)
    left, right = (as_activation(context, value) for value in (first, second))
    if is_difference:
        right = negated(context, right, negative, node)
    return combine_stored(context, kind, left, right, node.name)


def combine_stored(
    context: Context, kind: Kind, first: Quantized, second: Quantized, name: str
) -> Real:
    """Bring both operands into the layout of the one that is on the device already.

    The smaller one is repeated along the axes that it lacks.
    """
    builder = context.builder
    first, second = broadcast(first, second)
    if first.is_border and not second.is_border:
        map_name, index = builder.natural(second)
        names = (builder.align(first, map_name, index), map_name)
    else:
        map_name, index = builder.natural(first)
        names = (map_name, builder.align(second, map_name, index))
    producer = Combined(kind=kind, first=names[0], second=names[1], sources=(first, second))
    return Real(producer=producer, index=index, names=(name,))


def with_linear(context: Context, kind: Kind, real: Real, other: Quantized, name: str) -> Real:
    """Combine a convolution's value with `other`, brought into its layout and repeated."""
    real = of_read_channels(as_line(context, real))
    producer = real.producer
    assert isinstance(producer, Linear)
    try:
        shape = np.broadcast_shapes(real.index.shape, other.index.shape)
        index = real.index.reshape(shape)
    except ValueError as error:
        raise UnsupportedError(
            "the operand that no QuantizeLinear follows must have the shape of the result"
        ) from error
    if not is_permutation(index, int(np.prod(producer.shape))):
        raise UnsupportedError("it reads a part of a value that no QuantizeLinear follows")
    want = np.empty(index.size, np.int64)
    want[index.reshape(-1)] = np.broadcast_to(other.index, shape).reshape(-1)
    combined = LinearCombined(
        kind=kind,
        linear=producer,
        other=context.builder.as_map(other, want.reshape(producer.shape)),
        sources=(producer.source, other),
    )
    return Real(producer=combined, index=index, names=(*real.names, name))


def as_convolution(context: Context, real: Real) -> Real:
    """A mean of windows or a sum of stored activations as the depthwise convolution that it is."""
    producer = real.producer
    if isinstance(producer, Pooled) and real.is_plain and has_one_divisor(producer):
        return replace(real, producer=mean_as_linear(producer))
    if isinstance(producer, Combined) and real.is_plain and producer.kind == "add":
        return replace(real, producer=sum_as_linear(context, producer, real.names[-1]))
    return real


def is_line(context: Context, real: Real) -> bool:
    """Whether it is a convolution's value, or a line of that through 0: exact without rounding."""
    if isinstance(real.producer, Pooled | Combined):
        is_sum = isinstance(real.producer, Combined) and real.producer.kind == "add"
        is_mean = isinstance(real.producer, Pooled) and has_one_divisor(real.producer)
        return real.is_plain and (is_sum or is_mean)
    try:
        return isinstance(real.producer, Linear) and bool(as_line(context, real))
    except UnsupportedError:
        return False


def as_line(context: Context, real: Real) -> Real:
    """A convolution's value, or a line of it through 0, by slopes alone.

    Raises UnsupportedError: another function of it, or a clamped one.
    """
    if not real.is_plain:
        line = line_of(partial(results_at, context, real))
        sloped = with_line(real, line) if line else None
        if sloped is None:
            raise UnsupportedError("it reads a function of a value that no QuantizeLinear follows")
        real = sloped
    producer = real.producer
    assert isinstance(producer, Linear)
    if (real.low, real.high) == (0.0, np.inf):
        slope = np.zeros(producer.shape[0], np.float32)
        return replace(real, low=-np.inf, producer=replace(producer, slope=slope))
    if (real.low, real.high) != (-np.inf, np.inf):
        raise UnsupportedError(
            "it reads a clamped value that no QuantizeLinear follows; only Relu may clamp that"
        )
    return real


def _negative_linear(real: Real) -> Real:
    if not is_open_linear(real):
        raise UnsupportedError("it subtracts a function of a value that no QuantizeLinear follows")
    return scale_channels(real, -np.ones(()), np.zeros(()))
