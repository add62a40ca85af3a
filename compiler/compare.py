"""Compare the reference with ONNX Runtime, operator by operator.

ONNX Runtime executes the model as written (all graph optimizations disabled). For each graph
node two comparisons: `own` gives the node ONNX Runtime's inputs, so only this operator's
arithmetic differs; `total` is the reference from the model's inputs on, with what earlier
operators contributed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tilewright.compiler.frontend.builder import Binding, host_name
from tilewright.compiler.frontend.context import shift_to_int8
from tilewright.compiler.frontend.evaluate import run_model
from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection, import_model
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
    bound = _witness(model, imported, dict(inputs))
    return tuple(
        comparison
        for section in imported.sections
        for comparison in _compare_section(section, imported, bound)
    )


def _compare_section(
    section: ImportedSection, imported: ImportedModel, bound: Mapping[str, Array]
) -> Iterator[OperatorComparison]:
    """Compare a section that is given ONNX Runtime's values of its inputs."""
    graph, reference = section.graph, Reference(graph=section.graph)
    feeds = {
        **{tensor.map: tensor.to_map(bound[tensor.name]) for tensor in section.inputs},
        **section.constants,
    }
    total = reference.run_all(feeds)
    witness = dict(feeds)
    for name in graph.maps:
        if name in imported.bindings and name not in witness:
            binding = imported.bindings[name]
            witness[name] = _as_map(graph.maps[name], binding, bound[binding.tensor])
    for node in graph.nodes:
        own = reference.run_node(node, witness)
        expected = witness.setdefault(node.output, own)
        if node.output in imported.bindings:
            yield OperatorComparison(
                name=node.name,
                kind=type(node).__name__,
                source=node.source,
                elements=own.size,
                own=_difference(own, expected),
                total=_difference(total[node.output], expected),
            )


def _witness(
    model: "str | PathLike[str] | ModelProto", imported: ImportedModel, inputs: dict[str, Array]
) -> dict[str, Array]:
    """ONNX Runtime's value of every tensor that a map stores or a section reads, by name."""
    proto = ModelProto()
    proto.CopyFrom(load_source(model).model)
    stored = {item.tensor: name for name, item in imported.bindings.items()}
    read = (tensor.name for section in imported.sections for tensor in section.inputs)
    maps = {host_name(name): name for name in imported.bindings}
    names = list(dict.fromkeys(name for name in (*stored, *read) if name not in (*maps, *inputs)))
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    tensors = dict(zip(names, run_model(proto, inputs), strict=True)) | inputs
    graphs = {name: section.graph for section in imported.sections for name in section.graph.maps}
    for moved, name in maps.items():
        binding = imported.bindings[name]
        tensors[moved] = _as_map(graphs[name].maps[name], binding, tensors[binding.tensor])
    return tensors


def _as_map(feature_map: FeatureMap, binding: Binding, tensor: Array) -> Int8Map:
    flat = np.empty(feature_map.channels * feature_map.pixels, np.int8)
    flat[binding.index.reshape(-1)] = shift_to_int8(tensor).reshape(-1)
    return flat.reshape(feature_map.shape)


def _difference(first: Int8Map, second: Int8Map) -> Difference:
    steps = np.abs(first.astype(np.int16) - second.astype(np.int16))
    return Difference(count=int(np.count_nonzero(steps)), largest=int(steps.max(initial=0)))
