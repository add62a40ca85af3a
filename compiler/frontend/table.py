"""256-entry tables: any unary operator on an int8 value, evaluated by ONNX Runtime.

Arrays named `results` hold the int8 result for the stored values -128 ... 127 in that order; a
table as the device reads it starts at the stored value 0 (its index is the unsigned byte).
"""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from tilewright.compiler.frontend.context import (
    FLOATS,
    Context,
    dequantize_all,
    shift_to_int8,
)
from tilewright.compiler.frontend.evaluate import run_nodes
from tilewright.compiler.frontend.source import LAYOUT_OPERATORS, REINDEXING_OPERATORS, Operator
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Dequantized,
    Quantized,
    Real,
    UnsupportedError,
)
from tilewright.compiler.graph.graph import Epilogue
from tilewright.hw.spec import numerics
from tilewright.hw.spec.tensor import Quantization

STORED, REAL, SCALE, ZERO_POINT = "stored", "real", "scale", "zero_point"
MOVES = (
    *LAYOUT_OPERATORS,
    *REINDEXING_OPERATORS,
    "Pad",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
)
"""Operators that, within a unary expression, hand on the values of their first input."""
LEAF_TYPES = (*FLOATS, "float64")
"""Of what a unary expression starts from."""
IDENTITY = np.arange(-128, 128).astype(np.int8)


def real_results(context: Context, real: Real) -> NDArray[np.float32]:
    """The float32 value of the unary expression `real` for the stored values -128 ... 127."""
    assert isinstance(real.producer, Dequantized)
    return results_at(context, real, dequantize_all(real.producer.source.quantization))


def results_at(context: Context, real: Real, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float32 value of the unary expression `real` where what it starts from has `values`."""
    if real.is_plain:
        return values
    nodes, feeds, leaves = _expression(context, real)
    types = context.source.types
    for name in leaves:
        kind = types.get(name, ("float32", None))[0]
        feeds[name] = values.astype(kind if kind in LEAF_TYPES else np.float32)
    (result,) = run_nodes(nodes, feeds, [real.tensor], context.source.model.opset_import)
    if result.size != len(values) or result.dtype.name not in LEAF_TYPES:
        raise UnsupportedError("its unary operators do not give one float32 per element")
    below, above, offset = real.less
    results = result.reshape(-1).astype(np.float32)
    if not any(real.less):
        return results
    rises = np.where(values < 0, below, above).astype(np.float32)
    return np.asarray(results - values * rises - np.float32(offset), np.float32)


def quantize_all(values: NDArray[np.float32], quantization: Quantization) -> NDArray[np.int8]:
    """QuantizeLinear to int8, by ONNX Runtime (which also decides what becomes of NaN)."""
    node = helper.make_node("QuantizeLinear", [REAL, SCALE, ZERO_POINT], [STORED])
    feeds: dict[str, Array] = {
        REAL: values,
        SCALE: np.array(quantization.scale, np.float32),
        ZERO_POINT: np.array(quantization.zero_point, np.int8),
    }
    (result,) = run_nodes([node], feeds, [STORED], [helper.make_opsetid("", 13)])
    return result.astype(np.int8)


def operator_results(context: Context, node: Operator, source: Quantized) -> NDArray[np.int8]:
    """The int8 results of an operator on the stored `source` and constants."""
    stored: Array = np.arange(256).astype(np.uint8) if source.is_unsigned else IDENTITY
    feeds: dict[str, Array] = {}
    for name in filter(None, node.inputs):
        value = context.values[name]
        if not isinstance(value, Constant | Quantized):
            raise UnsupportedError("its other operands must be constant")
        feeds[name] = value.array if isinstance(value, Constant) else stored
    output = node.outputs[0]
    (result,) = run_nodes([node.proto], feeds, [output], context.source.model.opset_import)
    if result.dtype != stored.dtype:
        raise UnsupportedError(f"it makes {result.dtype} of what the device holds")
    return shift_to_int8(result)


def epilogue_of(
    results: NDArray[np.int8], source: Quantization, target: Quantization
) -> Epilogue | None:
    """The cheapest epilogue with these results: None for the identity, clamp, rescale, table."""
    low, high = int(results.min()), int(results.max())
    if source == target and np.array_equal(results, np.clip(IDENTITY, low, high)):
        is_identity = (low, high) == (-128, 127)
        return None if is_identity else Epilogue(quantization=target, low=low, high=high)
    ratio = numerics.scale_ratio(source.scale, target.scale)
    stored = IDENTITY.astype(np.int32) - source.zero_point
    rescaled = numerics.requantize(stored, 0, ratio, target.zero_point, low, high)
    if np.array_equal(rescaled, results):
        return Epilogue(quantization=target, low=low, high=high)
    return Epilogue(quantization=source, table=as_table(results), table_quantization=target)


def as_table(results: NDArray[np.int8]) -> NDArray[np.int8]:
    """Results in the order of the unsigned byte: 0 ... 127, -128 ... -1."""
    return np.roll(results, 128)


def _expression(context: Context, real: Real) -> tuple[list[NodeProto], dict[str, Array], set[str]]:
    """Collect the nodes behind what `real` is a function of, their constants, and the leaves.

    A leaf is that value: behind a DequantizeLinear, or as an operator makes it.
    """
    nodes: list[NodeProto] = []
    feeds: dict[str, Array] = {}
    leaves: set[str] = set()
    done: set[str] = set()
    pending = [real.tensor]
    while pending:
        name = pending[-1]
        value = context.values.get(name)
        node = context.producers.get(name)
        if name in done:
            pending.pop()
        elif isinstance(value, Constant):
            feeds[name] = value.array
            done.add(pending.pop())
        elif isinstance(value, Real) and _is_leaf(value, real):
            leaves.add(name)
            done.add(pending.pop())
        else:
            assert node is not None, name
            moves = node.op_type in MOVES
            operands = node.inputs[:1] if moves else tuple(filter(None, node.inputs))
            missing = [item for item in operands if item not in done]
            pending.extend(missing)
            if not missing:
                nodes.append(
                    helper.make_node("Identity", operands, [name]) if moves else node.proto
                )
                done.add(pending.pop())
    return nodes, feeds, leaves


def _is_leaf(value: Real, of: Real) -> bool:
    """Whether `value` is what `of` is a function of."""
    is_dequantized = isinstance(value.producer, Dequantized)
    return value.is_plain and (is_dequantized or (value.producer is of.producer and not value.root))
