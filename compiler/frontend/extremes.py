"""Max and Min of two activations: a pooling of pairs, once it is known how the result is stored.

Quantizing keeps the order, so both operands are stored with the result's scale, side by side, and
the larger of each pair is taken. Maps wider than a window reaches lie one above the other, each as
one row. The smaller of two is the larger of the negatives, negated.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.concatenation import join
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.later import when_stored
from tilewright.compiler.frontend.operands import broadcast, negated, negative_of
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import as_activation
from tilewright.compiler.frontend.values import (
    Deferred,
    Pooled,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.limits import MAX_DILATION


def take_extreme(
    context: Context, node: Operator, reals: Sequence[Real], others: Sequence[Value]
) -> Real:
    """Max or Min of two activations and no constants. Raises UnsupportedError."""
    if node.op_type not in ("Max", "Min") or len(reals) != 2 or others:
        raise UnsupportedError(
            "of several activations only two can be combined, by Add, Mul, Sub, Max or Min"
        )
    try:
        shape = np.broadcast_shapes(*(real.index.shape for real in reals))
    except ValueError as error:
        raise UnsupportedError(f"its shapes do not fit: {error}") from error
    return when_stored(
        context, reals, shape, node.name, lambda stored: _side_by_side(context, node, stored)
    )


def _side_by_side(context: Context, node: Operator, reals: Sequence[Real]) -> Real:
    """The extreme of two stored activations, which are joined for a pooling."""
    pair = broadcast(*(as_activation(context, value) for value in reals))
    first, second = sorted(pair, key=lambda value: value.is_border)
    builder = context.builder
    name, index = builder.natural(first)
    stored = builder.maps[name]
    is_wide = stored.width > MAX_DILATION
    axis, sides = (2, (1, stored.pixels)) if is_wide else (3, (stored.height, stored.width))
    places = natural_index((1, stored.channels, *sides))
    parts = [
        replace(value, origin=origin, index=places, is_border=False)
        for value, origin in ((first, name), (second, builder.align(second, name, index)))
    ]
    return Real(
        producer=Deferred(
            inners=(join(context, parts, axis, node.name),),
            then=lambda joined: _extreme_of_pairs(context, node, joined[0], axis),
        ),
        index=index,
        names=(node.name,),
    )


def _extreme_of_pairs(context: Context, node: Operator, both: Quantized, axis: int) -> Real:
    """Of the two halves of `both` [1, C, H, W] along `axis`, as [C, H, W]."""
    is_smallest = node.op_type == "Min"
    source = both
    if is_smallest:
        source = negated(context, both, f"{node.outputs[0]}/negative", node)
    channels, *sides = source.index.shape[1:]
    rows, columns = (side // (1 + (axis == at)) for at, side in enumerate(sides, 2))
    producer = Pooled(
        kind="max",
        source=source,
        feature_map=context.builder.as_map(source, source.index[0]),
        kernel=(2, 1) if axis == 2 else (1, 2),
        dilations=(rows, 1) if axis == 2 else (1, columns),
        shape=(channels, rows, columns),
    )
    largest = Real(producer=producer, index=natural_index(producer.shape), names=(node.name,))
    return negative_of(context, node, largest, source) if is_smallest else largest
