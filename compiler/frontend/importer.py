"""import_model: an ONNX file becomes a quantized graph, its border and a list of host operators."""

from dataclasses import dataclass
from os import PathLike

import numpy as np
from onnx import ModelProto

from tilewright.compiler.border import Border, Packing, TensorSpec, Unpacking
from tilewright.compiler.frontend.builder import Binding
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.coverage import coverage_of
from tilewright.compiler.frontend.fuse import simplify
from tilewright.compiler.frontend.interpret import Interpretation, interpret
from tilewright.compiler.frontend.partition import (
    HostOperator,
    Slice,
    host_model,
    list_operators,
    slice_backwards,
)
from tilewright.compiler.frontend.source import load_source
from tilewright.compiler.frontend.values import Quantized
from tilewright.compiler.graph.graph import Graph
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.coverage import Coverage
from tilewright.support.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model ready for the back end.

    `notes` tell what was rounded or approximated; `bindings` name, by feature map, the ONNX tensor
    that the map stores (for comparisons operator by operator).
    """

    graph: Graph
    border: Border
    host_operators: tuple[HostOperator, ...]
    notes: tuple[str, ...]
    bindings: dict[str, Binding]
    coverage: Coverage
    batch: Batch | None
    """Of the file; the graph is that of one sample."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.border.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.border.outputs


def import_model(
    model: "str | PathLike[str] | ModelProto", *, strict: bool = False
) -> ImportedModel:
    """Read an int8 ONNX model (QDQ or QOperator form).

    Operators that the accelerator lacks are left to the host, before or behind the accelerator.

    Raises:
        ModelError: the file is malformed, its shapes are not static, nothing of it runs on the
            accelerator, or `strict` and something is left to the host.
    """
    source = load_source(model)
    interpretation = interpret(source)
    context = interpretation.context
    results = [spec.name for spec in source.outputs]
    suffix = slice_backwards(interpretation, results, stop_at_device=True)
    frontier = {
        name: value
        for name, value in sorted(suffix.given.items())
        if isinstance(value, Quantized) and not value.is_border
    }
    if not frontier:
        raise ModelError(_nothing_to_do(interpretation))
    graph = simplify(_graph(context, frontier))
    packs = context.builder.packs
    handed_over = sorted({packs[name].tensor for name in graph.inputs if name in packs})
    prefix = slice_backwards(interpretation, handed_over, stop_at_device=False)
    operators = list_operators(interpretation, prefix, suffix)
    if strict and operators:
        raise ModelError(_refusal(operators))
    border = _border(interpretation, graph, frontier, (prefix, suffix), handed_over)
    kept = {name: item for name, item in context.bindings.items() if name in graph.maps}
    return ImportedModel(
        graph=graph,
        border=border,
        host_operators=operators,
        notes=tuple(context.notes),
        bindings=kept,
        coverage=coverage_of(interpretation, prefix.operators | suffix.operators),
        batch=source.batch,
    )


def _graph(context: Context, frontier: dict[str, Quantized]) -> Graph:
    builder = context.builder
    outputs = tuple(dict.fromkeys(value.origin for value in frontier.values()))
    return Graph(
        maps=builder.maps,
        nodes=tuple(builder.nodes),
        inputs=(*builder.packs, *builder.constants),
        outputs=outputs,
        name=context.source.model.graph.name or "model",
    )


def _border(
    interpretation: Interpretation,
    graph: Graph,
    frontier: dict[str, Quantized],
    parts: tuple[Slice, Slice],
    handed_over: list[str],
) -> Border:
    context = interpretation.context
    source = context.source
    prefix, suffix = parts
    types = {spec.name: spec for spec in (*source.inputs, *source.outputs)}
    for name, value in frontier.items():
        dtype = "uint8" if value.is_unsigned else "int8"
        types[name] = TensorSpec(name=name, dtype=dtype, shape=value.index.shape)
    made = [name for name in handed_over if name not in {spec.name for spec in source.inputs}]
    hosted = [spec.name for spec in source.outputs if spec.name not in frontier]
    return Border(
        inputs=source.inputs,
        outputs=source.outputs,
        packings=tuple(
            _packing(context, graph, name) for name in graph.inputs if name in context.builder.packs
        ),
        constants={
            name: data for name, data in context.builder.constants.items() if name in graph.inputs
        },
        unpackings=tuple(
            Unpacking(
                map=value.origin,
                tensor=name,
                shape=value.index.shape,
                index=value.index.reshape(-1).astype(np.int32),
                is_unsigned=value.is_unsigned,
            )
            for name, value in frontier.items()
        ),
        prefix=host_model(interpretation, prefix, made, types),
        suffix=host_model(interpretation, suffix, hosted, types),
        map_shapes={name: graph.maps[name].shape for name in graph.outputs},
    )


def _packing(context: Context, graph: Graph, name: str) -> Packing:
    binding = context.builder.packs[name]
    return Packing(
        map=name,
        tensor=binding.tensor,
        shape=graph.maps[name].shape,
        index=binding.index.reshape(-1).astype(np.int32),
    )


def _nothing_to_do(interpretation: Interpretation) -> str:
    source = interpretation.context.source
    quantized = any(
        "QuantizeLinear" in node.op_type or node.op_type.startswith("Q")
        for node in source.operators
    )
    if not quantized:
        return (
            "the model is not quantized; make it int8 with `tilewright quantize MODEL -o INT8.onnx`"
        )
    for node in source.operators:
        if node.name in interpretation.reasons:
            reason = interpretation.reasons[node.name]
            return f"no operator of the model can run on the accelerator; {node.label}: {reason}"
    return "no operator of the model needs the accelerator"


def _refusal(operators: tuple[HostOperator, ...]) -> str:
    listed = "; ".join(f"{item.op_type} {item.name!r} ({item.reason})" for item in operators)
    return (
        f"strict: {len(operators)} operators would run on the host: {listed}; "
        "compile without strict, or give the model int8 inputs and outputs"
    )
