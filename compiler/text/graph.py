"""A quantized graph as a function: a node is an operation, a feature map a value.

A map's type is `tensor<CxHxWxi8, {scale, zero_point}>`. Whatever a node holds besides the maps it
reads is an attribute, so that a new kind of node has its text.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.text.mlir import (
    Names,
    Operation,
    Printer,
    Raw,
    Value,
    function_type,
    record,
    tensor_type,
)
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.tensor import DTYPES, Tensor

_OPERANDS = ("input", "first", "second", "parts", "other")
"""Fields that name the maps a node reads: its operands, in the order of `inputs`."""


def graph_operation(
    graph: Graph, name: str, folds: Mapping[str, Fold] = MappingProxyType({})
) -> Operation:
    """Return the function `name` of a graph; folds: how the host folds input maps."""
    names = Names()
    values = {key: Value(name=names.take(key), type=map_type(m)) for key, m in graph.maps.items()}
    arguments = tuple(values[key] for key in graph.inputs)
    results = tuple(values[key] for key in graph.outputs)
    return Operation(
        name="func.func",
        properties={
            "sym_name": name,
            "function_type": Raw(text=function_type(arguments, results)),
            "arg_attrs": [
                {"tw.map": key} | ({"tw.fold": folds[key]} if key in folds else {})
                for key in graph.inputs
            ],
            "res_attrs": [{"tw.map": key} for key in graph.outputs],
        },
        attributes={"tw.graph": graph.name},
        arguments=arguments,
        body=(
            *(_node_operation(node, values) for node in graph.nodes),
            Operation(name="func.return", operands=results),
        ),
    )


def map_type(feature_map: Tensor) -> str:
    """Return the type of a map's value."""
    encoding = Printer().attribute(feature_map.quantization)
    return tensor_type(feature_map.shape, DTYPES[feature_map.element_type], encoding)


def operation_name(kind: type) -> str:
    """Return the dialect's name of a class: Requantize is tw.requantize."""
    return "tw." + re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def _node_operation(node: Node, values: dict[str, Value]) -> Operation:
    return Operation(
        name=operation_name(type(node)),
        operands=tuple(values[name] for name in node.inputs),
        results=(values[node.output],),
        attributes=_without_operands(record(node)),
    )


def _without_operands(values: dict[str, object]) -> dict[str, object]:
    kept = {key: value for key, value in values.items() if key not in _OPERANDS}
    if "residual" in kept:
        kept["residual"] = _without_operands(record(kept["residual"]))
    return kept
