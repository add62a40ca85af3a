"""By how much float values of the host are wrong at most, where what they are computed from is.

Operators that move, choose or average make neither values nor errors larger; sums, products and
functions with a known slope say what they make of them. Of others, nothing is known.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tilewright.compiler.frontend.source import LAYOUT_OPERATORS, REINDEXING_OPERATORS, Operator
from tilewright.compiler.frontend.values import Array
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Bound:
    """The largest magnitude of a value, and by how much it is wrong at most."""

    largest: float
    error: float = 0.0


UNKNOWN = Bound(largest=np.inf, error=np.inf)
KEEPS = (
    *LAYOUT_OPERATORS, *REINDEXING_OPERATORS, "Abs", "AveragePool", "Clip", "Concat", "Elu",
    "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu", "Max", "MaxPool", "Min", "Neg", "Pad",
    "ReduceMax", "ReduceMean", "ReduceMin", "Relu",
)  # fmt: skip
"""Operators whose results are no larger than their operands, and change by no more."""
SLOPES: Mapping[str, tuple[float, float]] = {
    "HardSwish": (1.5, np.inf),
    "Sigmoid": (0.25, 1.0),
    "Softmax": (0.5, 1.0),
    "Softsign": (1.0, 1.0),
    "Tanh": (1.0, 1.0),
}
"""The largest slope of a function, and its largest value (no larger than its operand's)."""


def bound_of(node: Operator, operands: Sequence[Bound | Array]) -> Bound:
    """The bound of what `node` makes of its operands in their order: values, and constants."""
    bounds = [item for item in operands if isinstance(item, Bound)]
    constants = [item for item in operands if not isinstance(item, Bound)]
    if node.op_type in ("Add", "Sub", "Sum"):
        numbers = sum(_largest(array) for array in constants)
        return Bound(
            largest=sum(bound.largest for bound in bounds) + numbers,
            error=sum(bound.error for bound in bounds),
        )
    if node.op_type in ("Mul", "Div"):
        return _product(node, operands)
    if node.op_type in SLOPES or node.op_type == "HardSigmoid":
        slope, reach = SLOPES.get(node.op_type, (float(node.attribute("alpha", 0.2)), 1.0))
        bound = bounds[0]
        largest = reach if np.isfinite(reach) else bound.largest
        return Bound(largest=largest, error=abs(slope) * bound.error)
    is_cubic = node.attribute("mode", "") == "cubic"
    if node.op_type not in KEEPS or is_cubic or not abs(node.attribute("alpha", 1.0)) <= 1:
        return UNKNOWN
    floats = [array for array in constants if np.issubdtype(array.dtype, np.floating)]
    return Bound(
        largest=max([*(bound.largest for bound in bounds), *map(_largest, floats)]),
        error=max(bound.error for bound in bounds),
    )


def _product(node: Operator, operands: Sequence[Bound | Array]) -> Bound:
    """Of a quotient where the divisor is constant."""
    first, second = operands
    if node.op_type == "Div":
        if isinstance(second, Bound) or not isinstance(first, Bound):
            return UNKNOWN
        smallest = float(np.abs(second.astype(np.float64)).min(initial=np.inf))
        return _scaled(first, 1 / smallest if smallest else np.inf)
    if not isinstance(first, Bound):
        first, second = second, first
    assert isinstance(first, Bound)
    if not isinstance(second, Bound):
        return _scaled(first, _largest(second))
    error = first.error * second.error
    if second.error:
        error += first.largest * second.error
    if first.error:
        error += second.largest * first.error
    return Bound(largest=first.largest * second.largest, error=error)


def _scaled(bound: Bound, factor: float) -> Bound:
    return Bound(
        largest=bound.largest * factor if factor else 0.0,
        error=bound.error * factor if bound.error else 0.0,
    )


def _largest(array: Array) -> float:
    return float(np.abs(array.astype(np.float64)).max(initial=0.0))
