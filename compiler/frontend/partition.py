"""Split a model between host and accelerator: what the device lacks at the border."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from tilewright.compiler import host_cost
from tilewright.compiler.border import HostModel, TensorSpec
from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.values import Constant, Quantized, Value
from tilewright.compiler.frontend.work import elements_of, macs_of

Side = Literal["prefix", "suffix"]


@dataclass(frozen=True, kw_only=True)
class HostOperator:
    """One ONNX node that runs on the host: on which side, why, how much, and an estimate of it."""

    name: str
    op_type: str
    side: Side
    reason: str
    elements: int
    """Of its largest result."""
    macs: int
    seconds: float
    """Estimate of the host's time, see `host_cost`."""


@dataclass(kw_only=True)
class Slice:
    """The nodes that make some values, back to values that are given."""

    operators: set[str] = field(default_factory=set)
    given: dict[str, Value | None] = field(default_factory=dict)
    """Device results, model inputs and constants that the nodes read, by name."""


def slice_backwards(
    interpretation: Interpretation, names: Iterable[str], *, stop_at_device: bool
) -> Slice:
    """Collect the nodes behind `names`; device results end the walk where `stop_at_device`."""
    context = interpretation.context
    result, done, pending = Slice(), set(), list(names)
    while pending:
        name = pending.pop()
        if not name or name in done:
            continue
        done.add(name)
        value = context.values.get(name)
        is_device = isinstance(value, Quantized) and not value.is_border
        producer = context.producers.get(name)
        if isinstance(value, Constant) or producer is None or (is_device and stop_at_device):
            result.given[name] = value
            continue
        assert not is_device, name
        result.operators.add(producer.name)
        pending.extend(producer.inputs)
    return result


def host_model(
    interpretation: Interpretation,
    part: Slice,
    outputs: Iterable[str],
    shapes: dict[str, TensorSpec],
) -> HostModel | None:
    """The nodes of `part` as an ONNX model with the given `outputs`; None without nodes.

    `shapes` holds the type of every value that crosses the border.
    """
    source = interpretation.context.source
    nodes = [item.proto for item in source.operators if item.name in part.operators]
    if not nodes:
        return None
    inputs, constants = [], []
    for name in sorted(part.given):
        value = part.given[name]
        if isinstance(value, Constant):
            constants.append(numpy_helper.from_array(value.array, name))
        else:
            inputs.append(name)
    results = tuple(outputs)
    graph = helper.make_graph(
        nodes,
        "host",
        [_declare(shapes[name]) for name in inputs],
        [
            _declare(shapes[name]) if name in shapes else helper.make_empty_tensor_value_info(name)
            for name in results
        ],
        constants,
    )
    model: ModelProto = helper.make_model(
        graph,
        opset_imports=list(source.model.opset_import),
        ir_version=source.model.ir_version,
        producer_name="tilewright",
    )
    return HostModel(
        data=model.SerializeToString(deterministic=True), inputs=tuple(inputs), outputs=results
    )


def list_operators(
    interpretation: Interpretation, prefix: Slice, suffix: Slice
) -> tuple[HostOperator, ...]:
    """The host's nodes in model order, each with its reason."""
    result = []
    for node in interpretation.context.source.operators:
        for side, part in (("prefix", prefix), ("suffix", suffix)):
            if node.name in part.operators:
                result.append(_host_operator(interpretation, node, side))
    return tuple(result)


def _host_operator(interpretation: Interpretation, node: Operator, side: str) -> HostOperator:
    source = interpretation.context.source
    reason = interpretation.reasons.get(node.name) or BORDER_REASONS.get(
        node.op_type, "its result is only used by operators on the host"
    )
    macs, elements = macs_of(source, node), elements_of(source, node)
    return HostOperator(
        name=node.name,
        op_type=node.op_type,
        side="prefix" if side == "prefix" else "suffix",
        reason=reason,
        elements=elements,
        macs=macs,
        seconds=host_cost.operator_seconds(macs, elements),
    )


BORDER_REASONS = {
    "QuantizeLinear": "quantizes float values for the accelerator",
    "DequantizeLinear": "gives float values to the host",
}


def _declare(spec: TensorSpec) -> ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, dtype, spec.shape)
