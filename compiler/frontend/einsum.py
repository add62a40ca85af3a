"""Einsum of an activation and a constant: a matrix product once the axes are in its order."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Context, Values
from tilewright.compiler.frontend.equation import equation_of, operands_of
from tilewright.compiler.frontend.handlers import Entry, handles
from tilewright.compiler.frontend.linear import multiply_matrix
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation
from tilewright.compiler.frontend.values import (
    Constant,
    Dequantized,
    Real,
    UnsupportedError,
    Value,
)


@handles(
    Entry(
        operators=("Einsum",),
        runs="convolution",
        conditions="of an activation and a constant; any equation that neither sums over an axis "
        "of one operand alone nor takes a diagonal",
        cost="as MatMul",
    )
)
def contract(context: Context, node: Operator, values: Values) -> list[Value]:
    """Einsum: two operands, one of them constant."""
    places = [place for place, value in enumerate(values) if isinstance(value, Constant)]
    if len(values) != 2 or len(places) != 1:
        raise UnsupportedError("it must be of an activation and a constant")
    weight, given = values[places[0]], as_activation(context, values[1 - places[0]])
    assert isinstance(weight, Constant)
    terms = operands_of(str(node.attribute("equation", "")))
    shapes = given.index.shape, weight.array.shape
    equation = equation_of(terms if places[0] else (terms[1], terms[0], terms[2]), shapes)
    rows, summed, columns = equation.rows, equation.summed, equation.columns
    index = given.index.transpose(_order(equation.left, equation.batches + rows + summed))
    index = index.reshape(equation.shape(rows, summed))
    left = Real(producer=Dequantized(source=replace(given, index=index)), index=index)
    order = _order(equation.right, equation.batches + summed + columns)
    right = _arranged(weight, order, equation.shape(summed, columns))
    (real,) = multiply_matrix(context, node, [left, right])
    assert isinstance(real, Real)
    made = equation.batches + rows + columns
    index = real.index.reshape([equation.sizes[axis] for axis in made])
    return [replace(real, index=index.transpose(_order(made, equation.result)))]


def _order(given: str, wanted: str) -> list[int]:
    return [given.index(axis) for axis in wanted]


def _arranged(weight: Constant, order: list[int], shape: tuple[int, ...]) -> Constant:
    """The constant with its axes in `order`, reshaped to `shape`, of which the last is columns."""
    stored = weight.quantized
    if stored is None:
        raise UnsupportedError("its constant is not quantized to int8 or uint8")

    def arranged(array: NDArray[Any]) -> NDArray[Any]:
        return array.transpose(order).reshape(shape)

    def by_column(array: NDArray[Any]) -> NDArray[Any]:
        """What runs along an axis of the constant, for each column."""
        along = [1] * stored.raw.ndim
        along[stored.axis % stored.raw.ndim] = -1
        full = arranged(np.broadcast_to(array.reshape(along), stored.raw.shape))
        columns = full.reshape(-1, shape[-1])
        if (columns != columns[:1]).any():
            raise UnsupportedError("its weights must be quantized per tensor or per output channel")
        return np.ascontiguousarray(columns[0])

    quantized = replace(
        stored,
        raw=arranged(stored.raw),
        scale=by_column(stored.scale).astype(np.float32),
        zero_point=by_column(stored.zero_point),
        axis=len(shape) - 1,
    )
    return Constant(array=arranged(weight.array), quantized=quantized)
