"""What operators of two activations do to their operands first."""

from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.emit import emit, store_results
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.table import IDENTITY
from tilewright.compiler.frontend.values import Dequantized, Quantized, Real, UnsupportedError


def negated(context: Context, source: Quantized, name: str, node: Operator) -> Quantized:
    """The negative of `source`, exactly: -1 - q, with the zero point -1 - z, is -(q - z).

    name: of the map that stores it, on behalf of `node`.
    """
    quantization = source.quantization
    target = replace(
        source,
        origin=name,
        quantization=replace(quantization, zero_point=-1 - quantization.zero_point),
        is_border=False,
    )
    return store_results(context, IDENTITY[::-1], source, target, (node.name,))


def negative_of(context: Context, node: Operator, largest: Real, negatives: Quantized) -> Real:
    """The smallest of values whose negatives, stored as `negatives`, have that `largest`."""
    name = node.outputs[0]
    stored = emit(
        context,
        largest,
        negatives.quantization,
        negatives.is_unsigned,
        f"{name}/largest",
        node.name,
    )
    result = negated(context, stored, f"{name}/smallest", node)
    return Real(producer=Dequantized(source=result), index=result.index, tensor=name)


def broadcast(first: Quantized, second: Quantized) -> tuple[Quantized, Quantized]:
    """Both with one shape, the one that has it already first."""
    try:
        shape = np.broadcast_shapes(first.index.shape, second.index.shape)
    except ValueError as error:
        raise UnsupportedError(f"its shapes do not fit: {error}") from error
    pair = [first, second] if first.index.shape == shape else [second, first]
    if pair[0].index.shape != shape:
        raise UnsupportedError("one of its operands must have the shape of the result")
    return pair[0], replace(pair[1], index=np.broadcast_to(pair[1].index, shape))
