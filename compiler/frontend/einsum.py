"""Einsum of an activation and a constant: a matrix product once the axes are in its order."""

from dataclasses import replace

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
from tilewright.compiler.frontend.weights import arranged_weights


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
    """Einsum: two operands, one of them constant.

    Raises:
        UnsupportedError: other operands; an equation that is no matrix product; scales of the
            constant that differ along an axis that is summed over.
    """
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
    right = arranged_weights(weight, order, equation.shape(summed, columns))
    (real,) = multiply_matrix(context, node, [left, right])
    assert isinstance(real, Real)
    made = equation.batches + rows + columns
    index = real.index.reshape([equation.sizes[axis] for axis in made])
    return [replace(real, index=index.transpose(_order(made, equation.result)))]


def _order(given: str, wanted: str) -> list[int]:
    return [given.index(axis) for axis in wanted]
