"""Walk the ONNX nodes in topological order and find out what each value is.

Constants fold, supported operators become symbolic values and graph nodes, everything else is
left to the host with a reason.
"""

from collections.abc import Hashable, Mapping
from dataclasses import field

import numpy as np

from tilewright.compiler.frontend import (
    concatenation,
    einsum,
    elementwise,
    layout,
    linear,
    padding,
    pooling,
    reductions,
    reindex,
    store,
    transposed,
)
from tilewright.compiler.frontend.builder import GraphBuilder, natural_index
from tilewright.compiler.frontend.context import Context, Values
from tilewright.compiler.frontend.evaluate import RANDOM, run_nodes
from tilewright.compiler.frontend.handlers import Handler
from tilewright.compiler.frontend.scales import find_quantization
from tilewright.compiler.frontend.source import LAYOUT_OPERATORS, Operator, Source
from tilewright.compiler.frontend.tokens import find_tokens
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Host,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.compiler.graph.graph import Piece
from tilewright.support.errors import ModelError
from tilewright.support.records import record

HANDLED: tuple[Handler, ...] = (
    linear.convolve,
    linear.convolve_quantized,
    transposed.convolve_transposed,
    linear.multiply_general,
    linear.multiply_general_quantized,
    linear.multiply_matrix,
    linear.multiply_matrix_quantized,
    einsum.contract,
    elementwise.normalize_batch,
    elementwise.combine,
    elementwise.combine_quantized,
    elementwise.apply_unary,
    elementwise.apply_unary_quantized,
    pooling.pool_max,
    pooling.pool_average,
    pooling.pool_average_quantized,
    pooling.pool_global,
    pooling.pool_global_quantized,
    reductions.reduce_axes,
    concatenation.concatenate,
    concatenation.concatenate_quantized,
    padding.pad,
    layout.change_layout,
    layout.cast,
    reindex.reindex,
    store.quantize,
    store.dequantize,
)
"""In the order of docs/operators.md."""

HANDLERS = {key: handler for handler in HANDLED for entry in handler.entries for key in entry.keys}
"""By domain and operator type."""

UNQUANTIZED = "lies in front of the first quantized activation"


@record(frozen=True, kw_only=True)
class Interpretation:
    """What every value is, the graph built so far, and why nodes are left to the host."""

    context: Context
    hosted: Mapping[str, str] = field(default_factory=dict)
    """Operators that the host is to run whatever they are, by name, with the reason."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why the host runs an operator, by name."""


def interpret(
    source: Source, hosted: Mapping[str, str], pieces: dict[Hashable, tuple[Piece, ...]]
) -> Interpretation:
    """Interpret every node of `source`; those of `hosted` are left to the host for that reason.

    pieces: of functions, what earlier readings found; new ones are added.
    """
    context = Context(
        source=source,
        pieces=pieces,
        builder=GraphBuilder(tokens=find_tokens(source)),
        producers=source.producers(),
    )
    result = Interpretation(context=context, hosted=hosted)
    values = context.values
    values.update({name: Constant(array=array) for name, array in source.constants.items()})
    for spec in source.inputs:
        values[spec.name] = _host_value(source, spec.name, (spec.dtype, spec.shape), UNQUANTIZED)
    for node in source.operators:
        _interpret_node(result, node)
    return result


def _host_value(
    source: Source, name: str, kind: tuple[str, tuple[int, ...] | None], reason: str
) -> Value:
    """What the host makes: an int8 or uint8 tensor of known shape can be handed over as it is."""
    dtype, shape = kind
    if dtype not in ("int8", "uint8") or shape is None or not shape:
        return Host(reason=reason)
    is_unsigned = dtype == "uint8"
    return Quantized(
        origin=name,
        index=natural_index(shape),
        quantization=find_quantization(source, name, is_unsigned),
        is_unsigned=is_unsigned,
        is_border=True,
    )


def _interpret_node(result: Interpretation, node: Operator) -> None:
    context = result.context
    values = [context.values.get(name) if name else None for name in node.inputs]
    try:
        outputs = _fold(context, node, values) or _place(result, node, values)
    except UnsupportedError as error:
        result.reasons[node.name] = str(error)
        is_early = all(_is_early(value) for value in values)
        reason = UNQUANTIZED if is_early else f"follows {node.label}, which runs on the host"
        types = context.source.types
        outputs = [
            _host_value(context.source, name, types.get(name, ("", None)), reason)
            for name in node.outputs
        ]
    except ModelError as error:
        raise ModelError(f"{node.label}: {error}") from error
    context.values.update(zip(filter(None, node.outputs), outputs, strict=False))


def _is_early(value: Value | None) -> bool:
    """Whether `value` is computed from the model's inputs without the accelerator."""
    if isinstance(value, Host):
        return value.reason == UNQUANTIZED
    return value is None or isinstance(value, Constant)


def _place(result: Interpretation, node: Operator, values: Values) -> list[Value]:
    """Apply the node's handler; values of the host stay there."""
    context = result.context
    if node.name in result.hosted:
        raise UnsupportedError(result.hosted[node.name])
    hosted = sorted((value for value in values if isinstance(value, Host)), key=_is_early)
    if hosted and node.op_type != "QuantizeLinear":
        raise UnsupportedError(hosted[0].reason)
    if any(name and name not in context.values for name in node.inputs):
        raise UnsupportedError("reads a value that no node of the graph makes")
    handler = HANDLERS.get((node.domain, node.op_type))
    if handler is None or (any(node.outputs[1:]) and not handler.has_several_outputs):
        raise UnsupportedError(HOST_ONLY.get(node.op_type, "the accelerator has no such operator"))
    return handler(context, node, values)


HOST_ONLY = {
    "Softmax": "the accelerator has no softmax unit",
    "LogSoftmax": "the accelerator has no softmax unit",
    "QLinearSoftmax": "the accelerator has no softmax unit",
    "LayerNormalization": "the accelerator has no normalization unit",
    "ArgMax": "the accelerator has no arg-max",
}


def _fold(context: Context, node: Operator, values: Values) -> list[Value] | None:
    """Fold a node of constants, and Shape of anything static; None if it is neither."""
    if node.op_type == "Constant" and not node.domain:
        return [Constant(array=_constant_array(node))]
    if node.op_type == "Shape" and not node.domain:
        return _fold_shape(context, node, values)
    captured = {name: context.values.get(name) for name in node.captured}
    present = [value for value in (*values, *captured.values()) if value is not None]
    is_constant = bool(present) and all(isinstance(value, Constant) for value in present)
    if not is_constant or node.op_type in RANDOM:
        return None
    if node.op_type == "DequantizeLinear":
        return store.dequantize(context, node, values)
    if node.op_type in LAYOUT_OPERATORS and not node.domain:
        kept = layout.change_constant(node, values)
        if kept is not None:
            return [kept]
    feeds: dict[str, Array] = {
        name: value.array
        for name, value in (*zip(node.inputs, values, strict=True), *captured.items())
        if isinstance(value, Constant)
    }
    outputs = [name for name in node.outputs if name]
    opsets = context.source.model.opset_import
    return [Constant(array=item) for item in run_nodes([node.proto], feeds, outputs, opsets)]


def _fold_shape(context: Context, node: Operator, values: Values) -> list[Value] | None:
    value = values[0]
    shape: tuple[int, ...] | None
    if isinstance(value, Quantized | Real):
        shape = value.index.shape
    elif isinstance(value, Constant):
        shape = value.array.shape
    else:
        shape = context.source.types.get(node.inputs[0], ("", None))[1]
    if shape is None:
        return None
    start, end = node.attribute("start", 0), node.attribute("end", None)
    return [Constant(array=np.array(shape[start:end], np.int64))]


def _constant_array(node: Operator) -> Array:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            value = node.attributes[name]
            dtype = None if name == "value" else np.float32 if "float" in name else np.int64
            return np.asarray(value, dtype)
    raise UnsupportedError("a constant of this kind is not supported")
