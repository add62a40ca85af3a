"""Compare the reference with ONNX Runtime, operator by operator.

ONNX Runtime executes the model as written (all graph optimizations disabled). For each graph
node two comparisons: `own` gives the node ONNX Runtime's inputs, so only this operator's
arithmetic differs; `total` is the reference from the model's inputs on, with what earlier
operators contributed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tilewright.compiler.border import check_inputs
from tilewright.compiler.frontend import ImportedModel, import_model
from tilewright.compiler.frontend.builder import Binding
from tilewright.compiler.frontend.context import shift_to_int8
from tilewright.compiler.frontend.evaluate import run_model
from tilewright.compiler.frontend.source import load_source
from tilewright.compiler.graph.graph import FeatureMap
from tilewright.compiler.graph.reference import Reference

Array = NDArray[np.generic]
Int8Map = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How many elements differ and by how many quantization steps at most."""

    count: int
    largest: int


@dataclass(frozen=True, kw_only=True)
class OperatorComparison:
    """One graph node against ONNX Runtime; `source` names the ONNX nodes it stands for."""

    name: str
    kind: str
    source: tuple[str, ...]
    elements: int
    own: Difference
    total: Difference


def compare_with_onnxruntime(
    model: "str | PathLike[str] | ModelProto",
    inputs: Mapping[str, Array],
    imported: ImportedModel | None = None,
) -> tuple[OperatorComparison, ...]:
    """Compare every graph node that stores a tensor of the model, in graph order.

    `inputs` are the model's inputs by name; `imported` saves importing the model again.

    Raises:
        ModelError: the model cannot be imported. InputError: the inputs do not fit it.
    """
    imported = imported or import_model(model)
    graph, reference = imported.graph, Reference(graph=imported.graph)
    feeds = imported.border.prepare(inputs)
    total = reference.run_all(feeds)
    witness = _witness(model, imported, check_inputs(imported.inputs, inputs))
    witness.update(feeds)
    results = []
    for node in graph.nodes:
        own = reference.run_node(node, witness)
        expected = witness.setdefault(node.output, own)
        if node.output not in imported.bindings:
            continue
        results.append(
            OperatorComparison(
                name=node.name,
                kind=type(node).__name__,
                source=node.source,
                elements=own.size,
                own=_difference(own, expected),
                total=_difference(total[node.output], expected),
            )
        )
    return tuple(results)


def _witness(
    model: "str | PathLike[str] | ModelProto", imported: ImportedModel, inputs: dict[str, Array]
) -> dict[str, Int8Map]:
    """ONNX Runtime's value of every feature map that stores a tensor of the model."""
    proto = ModelProto()
    proto.CopyFrom(load_source(model).model)
    bindings = imported.bindings
    names = list(dict.fromkeys(item.tensor for item in bindings.values()))
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    tensors = dict(zip(names, run_model(proto, inputs), strict=True))
    return {
        name: _as_map(imported.graph.maps[name], item, tensors[item.tensor])
        for name, item in bindings.items()
    }


def _as_map(feature_map: FeatureMap, binding: Binding, tensor: Array) -> Int8Map:
    flat = np.empty(feature_map.channels * feature_map.pixels, np.int8)
    flat[binding.index.reshape(-1)] = shift_to_int8(tensor).reshape(-1)
    return flat.reshape(feature_map.shape)


def _difference(first: Int8Map, second: Int8Map) -> Difference:
    steps = np.abs(first.astype(np.int16) - second.astype(np.int16))
    return Difference(count=int(np.count_nonzero(steps)), largest=int(steps.max(initial=0)))
