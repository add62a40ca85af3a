"""Add, Sub, Mul and Div by constants that a convolution's weights, scale and bias take up."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Values
from tilewright.compiler.frontend.functions import is_open_linear, root_of
from tilewright.compiler.frontend.linear import scale_channels, with_bias
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.values import Constant, Real, UnsupportedError


def fold_into_linear(node: Operator, values: Values, real: Real, factor: Constant) -> Real | None:
    """Fold a constant that varies along the channels at most into weights' scale and bias.

    None where only a function of the value can take it up: behind a clamp or slope what is no
    positive factor. Raises UnsupportedError where that cannot, either.
    """
    is_first, array = isinstance(values[0], Constant), factor.array.astype(np.float64)
    is_single = array.size == 1
    root = root_of(real) if is_single else None
    named = replace(real, names=(*real.names, node.name), root=root)
    is_quotient = node.op_type == "Div" and not is_first
    if not is_open_linear(real):
        is_factor = (is_quotient or node.op_type == "Mul") and bool((array > 0).all())
        if is_factor and (is_single or _is_cone(real)):
            return _scaled(named, 1 / array if is_quotient else array)
        if root is not None:
            return None
        raise UnsupportedError("it works on an activation's float result; quantize that")
    one, zero = np.ones(()), np.zeros(())
    if node.op_type == "Add":
        return with_bias(named, factor)
    if node.op_type == "Sub":
        gain = -one if is_first else one
        return scale_channels(named, gain, array if is_first else -array)
    if node.op_type == "Div" and is_first:
        if root is not None:
            return None
        raise UnsupportedError("it divides by a float value; a QuantizeLinear is missing")
    if is_single and array.item() == 0:
        return None
    return scale_channels(named, 1 / array if is_quotient else array, zero)


def _is_cone(real: Real) -> bool:
    """Whether a positive factor of each channel leaves its clamp as it is."""
    return real.is_plain and {real.low, real.high} <= {-np.inf, 0.0, np.inf}


def _scaled(real: Real, gain: NDArray[np.float64]) -> Real:
    """A clamped value, or one of two slopes, times positive numbers."""
    low, high = real.low, real.high
    if not _is_cone(real):
        factor = np.float32(gain.item())
        low, high = (float(np.float32(bound) * factor) for bound in (low, high))
    return replace(scale_channels(real, gain, np.zeros(())), low=low, high=high)
