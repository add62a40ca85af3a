"""LeakyRelu and PRelu behind a convolution or product: scales of their own for negative sums."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Values, constant
from tilewright.compiler.frontend.functions import root_of
from tilewright.compiler.frontend.linear import per_channel
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.values import Linear, Real, UnsupportedError

SLOPED = ("LeakyRelu", "PRelu")


def with_slope(node: Operator, values: Values, real: Real) -> Real:
    """`real`, whose producer is Linear, with its values below 0 multiplied by the node's slope.

    Raises:
        UnsupportedError: no finite slope per channel; or `real` has one already, or a clamp below 0
            that the slope does not keep in place.
    """
    producer = real.producer
    assert isinstance(producer, Linear)
    slopes = _slopes(node, values, real)
    root = root_of(real) if (slopes == slopes[0]).all() else None
    named = replace(real, names=(*real.names, node.name), root=root)
    if real.low >= 0 or (slopes == 1).all():
        return named
    if producer.slope is not None:
        raise UnsupportedError("it is the second slope of one value; a QuantizeLinear is missing")
    is_clamped = real.low > -np.inf or real.high < np.inf
    if is_clamped and ((slopes != slopes[0]).any() or slopes[0] < 0):
        raise UnsupportedError(
            "behind a clamp its slope must be positive and the same for all channels"
        )
    if not slopes.any():
        return replace(named, low=0.0, high=max(real.high, 0.0))
    low, high = (
        bound if bound >= 0 or np.isinf(bound) else float(np.float32(bound) * slopes[0])
        for bound in (real.low, real.high)
    )
    return replace(named, low=low, high=high, producer=replace(producer, slope=slopes))


def _slopes(node: Operator, values: Values, real: Real) -> NDArray[np.float32]:
    """The slope of each channel of the producer; of those that `real` does not read, 1."""
    if node.op_type == "LeakyRelu":
        given = np.asarray(node.attribute("alpha", 0.01), np.float64)
    else:
        given = constant(values, 1, "slope").astype(np.float64)
    slopes = per_channel(real, given, absent=given.flat[0] if given.size == 1 else 1.0)
    if not np.isfinite(slopes).all():
        raise UnsupportedError("its slope is no finite number")
    return slopes.astype(np.float32)
