"""Compare the reference with ONNX Runtime, operator by operator.

ONNX Runtime executes the model as written (all graph optimizations disabled). For each graph
node two comparisons: `own` gives the node ONNX Runtime's inputs, so only this operator's
arithmetic differs; `total` is the reference from the section's inputs on, with what earlier
operators of the section contributed.
"""

from collections.abc import Iterator, Mapping, Set
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tilewright.compiler.frontend.builder import host_name
from tilewright.compiler.frontend.context import shift_to_int8
from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection, import_model
from tilewright.compiler.frontend.source import load_source
from tilewright.compiler.graph.graph import Node
from tilewright.compiler.graph.reference import Reference
from tilewright.hw.spec.binding import Binding
from tilewright.support.ort import open_session, run_session
from tilewright.support.records import record

Array = NDArray[np.generic]
Int8Map = NDArray[np.int8]


@record(frozen=True, kw_only=True)
class Difference:
    """How many elements differ and by how many quantization steps at most."""

    count: int
    largest: int


@record(frozen=True, kw_only=True)
class OperatorComparison:
    """One graph node against ONNX Runtime; `source` names the ONNX nodes it stands for."""

    section: str
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
    return OperatorComparer(model, imported or import_model(model)).run(inputs)


class OperatorComparer:
    """Compares a model operator by operator, sample by sample. Raises ModelError."""

    def __init__(self, model: "str | PathLike[str] | ModelProto", imported: ImportedModel) -> None:
        self._model = imported
        source = load_source(model)
        given = {spec.name for spec in imported.inputs}
        self._bindings = bindings = _bindings(imported, source.producers().keys() | given)
        stored = {binding.name for binding in bindings.values()}
        read = {item.name for section in imported.sections for item in section.inputs}
        self._moved = {host_name(name): name for name in bindings}
        given |= {host_name(name) for section in imported.sections for name in section.graph.maps}
        proto = ModelProto()
        proto.CopyFrom(source.model)
        del proto.graph.output[:]
        proto.graph.output.extend(
            helper.make_empty_tensor_value_info(name) for name in sorted((stored | read) - given)
        )
        self._session = open_session(proto.SerializeToString(deterministic=True))

    @property
    def not_compared(self) -> tuple[tuple[str, Node], ...]:
        """(section, node) of the graph nodes that store no tensor of the model."""
        return tuple(
            (section.name, node)
            for section in self._model.sections
            for node in section.graph.nodes
            if node.output not in self._bindings
        )

    def run(self, inputs: Mapping[str, Array]) -> tuple[OperatorComparison, ...]:
        """Compare one sample; a section is given ONNX Runtime's values of what it reads.

        Raises InputError when the inputs do not fit the model.
        """
        bound = self._witness(inputs)
        return tuple(
            comparison
            for section in self._model.sections
            for comparison in self._compare_section(section, bound)
        )

    def _compare_section(
        self, section: ImportedSection, bound: dict[str, Array]
    ) -> Iterator[OperatorComparison]:
        """Compare a section's nodes; `bound` gets the maps that store no tensor of the model."""
        graph, reference = section.graph, Reference(graph=section.graph)
        feeds = {
            **{item.stored.name: item.to_map(bound[item.name]) for item in section.inputs},
            **section.constants,
        }
        total = reference.run_all(feeds)
        bindings = self._bindings
        witness = dict(feeds)
        for node in graph.nodes:
            own = expected = reference.run_node(node, witness)
            if node.output in bindings:
                expected = self._as_map(node.output, bound, own)
            witness[node.output] = expected
            bound.setdefault(host_name(node.output), expected)
            if node.output in bindings:
                yield OperatorComparison(
                    section=section.name,
                    name=node.name,
                    kind=type(node).__name__,
                    source=node.source,
                    elements=own.size,
                    own=_difference(own, expected),
                    total=_difference(total[node.output], expected),
                )

    def _witness(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """ONNX Runtime's value of every tensor that a map stores or a section reads, by name."""
        made = run_session(self._session, inputs) if self._session.get_outputs() else {}
        tensors = made | dict(inputs)
        moved = {moved: self._as_map(name, tensors) for moved, name in self._moved.items()}
        return tensors | moved

    def _as_map(
        self, name: str, tensors: Mapping[str, Array], own: Int8Map | None = None
    ) -> Int8Map:
        """Return the feature map `name` as ONNX Runtime's tensor fills it, the rest as `own`."""
        binding = self._bindings[name]
        values = np.zeros(binding.stored.shape, np.int8) if own is None else own.copy()
        binding.gather.put(values, shift_to_int8(tensors[binding.name]))
        return values


def _bindings(model: ImportedModel, tensors: Set[str]) -> dict[str, Binding]:
    """How the sections' maps store `tensors` of the model, by map."""
    maps = {name: stored for part in model.sections for name, stored in part.graph.maps.items()}
    return {
        name: Binding.of(tensor, maps[name], value.index, is_unsigned=value.is_unsigned)
        for name, (tensor, value) in model.stored.items()
        if name in maps and tensor in tensors
    }


def _difference(first: Int8Map, second: Int8Map) -> Difference:
    steps = np.abs(first.astype(np.int16) - second.astype(np.int16))
    return Difference(count=int(np.count_nonzero(steps)), largest=int(steps.max(initial=0)))
