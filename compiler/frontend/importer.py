"""import_model: an ONNX file becomes sections of quantized graphs and islands of host operators."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from tilewright.compiler.frontend.builder import host_name, natural_index
from tilewright.compiler.frontend.coverage import coverage_of
from tilewright.compiler.frontend.fitting import too_large
from tilewright.compiler.frontend.fuse import simplify
from tilewright.compiler.frontend.handing import find_handing, with_handing
from tilewright.compiler.frontend.interpret import Interpretation, interpret
from tilewright.compiler.frontend.islands import island_of
from tilewright.compiler.frontend.partition import Cut, Needs, Part, cut, find_needs
from tilewright.compiler.frontend.refusals import refusal
from tilewright.compiler.frontend.source import load_source
from tilewright.compiler.frontend.values import Quantized
from tilewright.compiler.frontend.worth import Candidate, unprofitable
from tilewright.compiler.graph.graph import Graph, Piece
from tilewright.compiler.options import AS_IT_IS, ImportOptions
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.binding import Binding, TensorSpec
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.coverage import Coverage
from tilewright.hw.spec.steps import HostOperator, Island
from tilewright.hw.spec.tensor import Tensor
from tilewright.support.errors import ModelError
from tilewright.support.records import record

UNNEEDED = "its value is one that the host holds already"


@record(frozen=True, kw_only=True)
class ImportedSection:
    """A part of the model that the accelerator runs at one go, as a graph of its own.

    The maps that store `inputs` and `outputs` have no place in DRAM yet.
    """

    name: str
    graph: Graph
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    constants: Mapping[str, NDArray[np.int8]]
    """Input maps that hold the same values in every inference."""


@record(frozen=True, kw_only=True)
class ImportedModel:
    """A model ready for the back end.

    `notes` tell what was rounded or approximated; `stored` has, by feature map, the tensor of the
    model that the map stores, and how (for comparisons operator by operator).
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[ImportedSection | Island, ...]
    coverage: Coverage
    batch: Batch | None
    """Of the file; the graphs are those of one sample."""
    notes: tuple[str, ...]
    stored: Mapping[str, tuple[str, Quantized]]

    @property
    def sections(self) -> tuple[ImportedSection, ...]:
        return tuple(step for step in self.steps if isinstance(step, ImportedSection))

    @property
    def islands(self) -> tuple[Island, ...]:
        return tuple(step for step in self.steps if isinstance(step, Island))

    @property
    def host_operators(self) -> tuple[HostOperator, ...]:
        return tuple(operator for island in self.islands for operator in island.operators)


def import_model(
    model: "str | PathLike[str] | ModelProto",
    config: Config | None = None,
    options: ImportOptions = AS_IT_IS,
) -> ImportedModel:
    """Read an int8 ONNX model (QDQ or QOperator form).

    Operators that the accelerator lacks are left to the host. So are, for a `config`, those that
    do not fit, and those of a section that would cost more there than it saves, unless
    the options keep them or are strict.

    Raises:
        ModelError: the file is malformed, its shapes are not static, nothing of it runs on the
            accelerator or, where the options are strict, something is left to the host.
    """
    source = load_source(model, batch_size=options.batch_size)
    hosted: dict[str, str] = {}
    declined: set[str] = set()
    pieces: dict[Hashable, tuple[Piece, ...]] = {}
    while True:
        interpretation = interpret(source, hosted, pieces)
        handing = find_handing(interpretation, declined)
        if handing.largest:
            handed = with_handing(source, handing)
            interpretation = interpret(handed, hosted | handing.hosted, pieces)
        imported, refused = _import(interpretation, allow_host_only=options.allow_host_only)
        if not refused and config is not None:
            graphs = [section.graph for section in imported.sections]
            refused = too_large(interpretation, graphs, config)
        if not refused and config is not None and not (options.keep_sections or options.strict):
            refused = unprofitable(interpretation, _candidates(imported.steps), config)
        if not refused:
            break
        found = handing.declined(refused)
        given = {node.name for node in source.operators}
        refused = {name: reason for name, reason in refused.items() if name in given}
        assert found or not refused.keys() <= hosted.keys(), refused
        hosted |= refused
        declined |= found
    if options.strict and imported.host_operators:
        raise ModelError(_refusal(imported.host_operators))
    return imported


def _candidates(steps: Sequence[ImportedSection | Island]) -> list[Candidate]:
    """The sections, each with whether there is an island on both sides."""
    islands = [False, *(isinstance(step, Island) for step in steps), False]
    return [
        Candidate(
            graph=step.graph,
            borders=(*step.inputs, *step.outputs),
            is_between=islands[position] and islands[position + 2],
        )
        for position, step in enumerate(steps)
        if isinstance(step, ImportedSection)
    ]


def model_of_graph(graph: Graph) -> ImportedModel:
    """Return a model of one section whose inputs and outputs are the graph's maps as they are."""

    def bindings(names: Sequence[str]) -> tuple[Binding, ...]:
        return tuple(_as_it_is(name, graph.maps[name]) for name in names)

    inputs, outputs = bindings(graph.inputs), bindings(graph.outputs)
    section = ImportedSection(
        name="section0", graph=graph, inputs=inputs, outputs=outputs, constants={}
    )
    return ImportedModel(
        name=graph.name,
        inputs=tuple(tensor.spec for tensor in inputs),
        outputs=tuple(tensor.spec for tensor in outputs),
        steps=(section,),
        coverage=Coverage(
            macs_accelerator=0, macs_total=0, operators_accelerator=0, operators_total=0
        ),
        batch=None,
        notes=(),
        stored={},
    )


def _import(
    interpretation: Interpretation, *, allow_host_only: bool
) -> tuple[ImportedModel, dict[str, str]]:
    """Return the model, and the operators that must be left to the host for it to be right."""
    context = interpretation.context
    source = context.source
    needs = find_needs(interpretation, [spec.name for spec in source.outputs])
    made = {node.output for node in context.builder.nodes}
    unneeded = {
        context.producers[name].name: UNNEEDED
        for name, value in needs.stored.items()
        if value.origin not in made
    }
    if not needs.stored and not allow_host_only:
        raise ModelError(refusal(source, interpretation.reasons))
    graph = simplify(_graph(interpretation, needs))
    pieces = cut(interpretation, needs, graph)
    imported = ImportedModel(
        name=graph.name,
        inputs=source.inputs,
        outputs=source.outputs,
        steps=_steps(interpretation, needs, pieces),
        coverage=coverage_of(interpretation, needs.operators),
        batch=source.batch,
        notes=tuple(context.notes),
        stored={name: item for name, item in context.stored.items() if name in graph.maps},
    )
    return imported, unneeded


def _graph(interpretation: Interpretation, needs: Needs) -> Graph:
    """All that the accelerator computes, as one graph."""
    builder = interpretation.context.builder
    outputs = dict.fromkeys(value.origin for value in needs.stored.values())
    return Graph(
        maps=builder.maps,
        nodes=tuple(builder.nodes),
        inputs=(*builder.packs, *builder.constants),
        outputs=(*outputs, *sorted(needs.moved - set(outputs))),
        name=interpretation.context.source.model.graph.name or "model",
    )


def _steps(
    interpretation: Interpretation, needs: Needs, pieces: Cut
) -> tuple[ImportedSection | Island, ...]:
    """Islands and sections in the order of their levels."""
    parts = {part.level: part for part in pieces.parts}
    steps: list[ImportedSection | Island] = []
    names = {"section": 0, "island": 0}
    for level in sorted({*parts, *pieces.operators}):
        kind = "section" if level in parts else "island"
        name = f"{kind}{names[kind]}"
        names[kind] += 1
        if level in parts:
            steps.append(_section(interpretation, needs, pieces, parts[level], name))
        else:
            steps.append(island_of(interpretation, needs, pieces, level, name))
    return tuple(steps)


def _section(
    interpretation: Interpretation, needs: Needs, pieces: Cut, part: Part, name: str
) -> ImportedSection:
    graph, source = part.graph, interpretation.context.source
    constants = interpretation.context.builder.constants
    outputs = [
        Binding.of(tensor, graph.maps[value.origin], value.index, is_unsigned=value.is_unsigned)
        for tensor, value in needs.stored.items()
        if value.origin in part.made
    ]
    outputs += [
        _as_it_is(host_name(name), graph.maps[name]) for name in sorted(pieces.moved & part.made)
    ]
    inputs = []
    for map_name, binding in part.packs.items():
        shape = source.types.get(binding.name, ("", None))[1]
        stored = graph.maps[map_name]
        inputs.append(replace(binding, shape=shape or binding.shape, stored=stored))
    return ImportedSection(
        name=name,
        graph=graph,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        constants={name: data for name, data in constants.items() if name in graph.inputs},
    )


def _as_it_is(name: str, stored: Tensor) -> Binding:
    """A tensor that is the int8 map itself."""
    return Binding.of(name, stored, natural_index(stored.shape), is_unsigned=False)


def _refusal(operators: Sequence[HostOperator]) -> str:
    listed = "".join(f"\n  {item.op_type} {item.name!r}: {item.reason}" for item in operators)
    return (
        f"strict: {len(operators)} operators would run on the host; compile without strict, or "
        f"give the model int8 inputs and outputs:{listed}"
    )
