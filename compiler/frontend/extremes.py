"""Max and Min of two activations: a pooling of pairs, once it is known how the result is stored.

Quantizing keeps the order, so both operands are stored with the result's scale, one's rows between
the other's, and the larger of each pair is taken. The smaller of two is the larger of the
negatives, negated.
"""

from collections.abc import Sequence

from tilewright.compiler.frontend.builder import natural_index
from tilewright.compiler.frontend.concatenation import join
from tilewright.compiler.frontend.context import Context
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


def take_extreme(
    context: Context, node: Operator, reals: Sequence[Real], others: Sequence[Value]
) -> Real:
    """Max or Min of two activations and no constants. Raises UnsupportedError."""
    if node.op_type not in ("Max", "Min") or len(reals) != 2 or others:
        raise UnsupportedError(
            "of several activations only two can be combined, by Add, Mul, Sub, Max or Min"
        )
    first, second = broadcast(*(as_activation(context, value) for value in reals))
    if first.index.ndim != 4 or first.index.shape[0] != 1:
        raise UnsupportedError(
            f"it must be of two maps [1, C, H, W], got the shape {list(first.index.shape)}"
        )
    return Real(
        producer=Deferred(
            inners=(join(context, [first, second], 1, node.name),),
            then=lambda joined: _extreme_of_pairs(context, node, joined[0]),
        ),
        index=natural_index(first.index.shape),
        names=(node.name,),
    )


def _extreme_of_pairs(context: Context, node: Operator, both: Quantized) -> Real:
    """Of the two halves [1, C, H, W] of `both` [1, 2 * C, H, W]."""
    is_smallest = node.op_type == "Min"
    source = both
    if is_smallest:
        source = negated(context, both, f"{node.outputs[0]}/negative", node)
    _, channels, height, width = source.index.shape
    pairs = source.index.reshape(2, channels // 2, height, width).transpose(1, 2, 0, 3)
    shape = (channels // 2, height, width)
    producer = Pooled(
        kind="max",
        source=source,
        feature_map=context.builder.as_map(source, pairs.reshape(shape[0], 2 * height, width)),
        kernel=(2, 1),
        strides=(2, 1),
        shape=shape,
    )
    largest = Real(producer=producer, index=natural_index((1, *shape)), names=(node.name,))
    return negative_of(context, node, largest, source) if is_smallest else largest
