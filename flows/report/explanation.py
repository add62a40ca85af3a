"""Layer by layer: what a program costs, what bounds it, and what each optimization gains."""

import ast
import dataclasses
import inspect
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tilewright.compiler import options as compiler_options
from tilewright.compiler.compile import compile_model, run_sections
from tilewright.compiler.frontend.importer import ImportedModel
from tilewright.compiler.graph.graph import Conv, Graph, Node, Pool
from tilewright.compiler.options import DEFAULT, Options
from tilewright.compiler.plan.placement import layers_of
from tilewright.compiler.program.assemble import assemble
from tilewright.compiler.section import Section
from tilewright.flows.report.coverage import coverage_json
from tilewright.flows.report.islands import islands_json, steps_json
from tilewright.flows.report.meetings import LayerMeeting, layer_meetings
from tilewright.flows.report.occupancy import ENGINE_NAMES, Occupancy, occupancies
from tilewright.flows.report.padding import Padding, padding_of, unit_padding
from tilewright.flows.report.report import LayerReport, layer_reports, utilization
from tilewright.flows.report.spans import timeline
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.program import Program
from tilewright.sim.timing import simulate
from tilewright.support.errors import ModelError
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class MapPlace:
    """Where a feature map of a layer lives."""

    name: str
    role: str
    """"input", "operand" or "output"."""
    place: str
    """"SRAM" or "DRAM"."""
    num_bytes: int
    """Its channels x pixels, without padding."""


@record(frozen=True, kw_only=True)
class LayerExplanation:
    """One layer. Cycles are the timing model's."""

    report: LayerReport
    shape: str
    occupancy: Occupancy | None
    """None: the layer has no instructions."""
    padding: Padding | None
    """None: the layer does not run on the array."""
    maps: tuple[MapPlace, ...]
    meetings: tuple[LayerMeeting, ...]
    """Where its instructions may be refused a bank's port, dearest first."""
    refused_cycles: int
    """Cycles of its instructions in which that happens."""

    @property
    def ceiling_utilization(self) -> float | None:
        """The utilization of the array, or of the depthwise unit, in the layer's ceiling."""
        return self.padding.utilization if self.padding else None

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON-able values."""
        found = self.report.as_dict() | {
            "shape": self.shape,
            "maps": [dataclasses.asdict(item) for item in self.maps],
            "ceiling_cycles": self.padding.ceiling_cycles if self.padding else None,
            "ceiling_utilization": self.ceiling_utilization,
            "padding": None,
            "meetings": [meeting.as_dict() for meeting in self.meetings],
            "refused_cycles": self.refused_cycles,
        }
        if self.padding:
            found["padding"] = {"loss": self.padding.loss, "reasons": list(self.padding.reasons)}
        if self.occupancy:
            found |= {
                "limit": self.occupancy.limit,
                "busy_cycles": {ENGINE_NAMES[e]: n for e, n in self.occupancy.busy.items()},
                "waiting_cycles": dict(self.occupancy.waits),
            }
        return found


@record(frozen=True, kw_only=True)
class Gain:
    """What the whole program costs without one optimization."""

    name: str
    meaning: str
    cycles: int | None
    """None: without it the model does not fit the config."""


@record(frozen=True, kw_only=True)
class Explanation:
    """A model on a config."""

    program: Program
    cycles: int
    layers: tuple[LayerExplanation, ...]
    gains: tuple[Gain, ...]

    @property
    def macs(self) -> int:
        return sum(layer.report.macs for layer in self.layers)

    @property
    def refused_cycles(self) -> int:
        """What meetings cost at most: the refused cycles of all instructions."""
        return sum(layer.refused_cycles for layer in self.layers)

    @property
    def ceiling_cycles(self) -> int:
        """The ceiling of the array, or of the depthwise unit beside it, over all layers."""
        padded = [layer.padding for layer in self.layers if layer.padding]
        return max(
            sum(p.ceiling_cycles for p in padded if p.is_on_unit == is_on_unit)
            for is_on_unit in (False, True)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON-able values."""
        config = self.program.config
        return {
            "coverage": coverage_json(self.program),
            "model": self.program.metadata["model"],
            "config": {"name": config.name, "digest": config.digest},
            "cycles_are": "the timing model's",
            "steps": steps_json(self.program),
            "islands": islands_json(self.program),
            "cycles": self.cycles,
            "macs": self.macs,
            "utilization": utilization(self.macs, self.cycles, config),
            "ceiling_cycles": self.ceiling_cycles,
            "refused_cycles": self.refused_cycles,
            "layers": [layer.as_dict() for layer in self.layers],
            "optimizations": [
                dataclasses.asdict(gain)
                | {"gained_cycles": None if gain.cycles is None else gain.cycles - self.cycles}
                for gain in self.gains
            ],
        }


def explain(
    model: ImportedModel, config: Config, *, latency: int = MEMORY_LATENCY, with_gains: bool = True
) -> Explanation:
    """Compile a model's sections and explain the program. Raises ModelError."""
    sections = run_sections(model, config)
    program = assemble(model, config, sections)
    timed = timeline(program, latency)
    found = occupancies(timed.spans)
    reports = iter(enumerate(layer_reports(program, timed.retirements)))
    layers = []
    first = 0
    for section in sections:
        refused = timed.refused[first : first + len(section.instructions)]
        first += len(refused)
        meetings = layer_meetings(section, refused)
        costs: Counter[int] = Counter()
        for task, cycles in zip(section.tasks, refused, strict=False):
            costs[task.layer] += cycles
        for place, node in enumerate(layers_of(section.graph)):
            number, report = next(reports)
            layers.append(
                LayerExplanation(
                    report=report,
                    shape=layer_shape(section.graph, node),
                    occupancy=found.get(number),
                    padding=_padding(node, report.macs, section, place),
                    maps=tuple(map_places(node, section)),
                    meetings=tuple(meetings.get(place, ())),
                    refused_cycles=costs[place],
                )
            )
    return Explanation(
        program=program,
        cycles=timed.cycles,
        layers=tuple(layers),
        gains=tuple(gains(model, config, latency)) if with_gains else (),
    )


def _padding(node: Node, macs: int, section: Section, number: int) -> Padding | None:
    if not isinstance(node, Conv):
        return None
    find = unit_padding if section.on_unit[number] else padding_of
    return find(node, macs, section)


def gains(model: ImportedModel, config: Config, latency: int) -> list[Gain]:
    """Compile with each optimization switched off and return what that costs."""
    meanings = option_meanings()
    found = []
    for item in dataclasses.fields(Options):
        if getattr(DEFAULT, item.name) is not True:
            continue
        options = dataclasses.replace(DEFAULT, **{item.name: False})
        try:
            program = compile_model(model, config, options)
            cycles: int | None = simulate(program, latency=latency).cycles
        except ModelError:
            cycles = None
        found.append(Gain(name=item.name, meaning=meanings.get(item.name, ""), cycles=cycles))
    return found


def option_meanings() -> dict[str, str]:
    """Return the sentences that stand below the fields of the compiler's options."""
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(compiler_options)).body
        if isinstance(node, ast.ClassDef) and node.name == Options.__name__
    )
    meanings = {}
    for statement, text in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(meaning))):
                    meanings[statement.target.id] = " ".join(meaning.split())
    return meanings


def map_places(node: Node, section: Section) -> list[MapPlace]:
    """Return where the layer's inputs and output live."""
    placement, graph = section.placement, section.graph
    roles = ["input", *["operand"] * (len(node.inputs) - 1), "output"]
    return [
        MapPlace(
            name=name,
            role=role,
            place="SRAM" if placement.places[name].storage in placement.sram else "DRAM",
            num_bytes=graph.maps[name].elements,
        )
        for name, role in zip((*node.inputs, node.output), roles, strict=True)
    ]


def layer_shape(graph: Graph, node: Node) -> str:
    """Return kernel, stride and groups where there are any, and the maps' shapes."""
    source, target = graph.maps[next(iter(node.inputs))], graph.maps[node.output]
    sizes = f"{_sizes(source.shape)} -> {_sizes(target.shape)}"
    if not isinstance(node, Conv | Pool):
        return sizes
    kernel = _sizes(node.kernel)
    if node.strides != (1, 1):
        kernel += f"/{node.strides[0]}" if len(set(node.strides)) == 1 else f"/{node.strides}"
    if isinstance(node, Conv) and node.groups > 1:
        kernel += f" g{node.groups}"
    return f"{kernel} {sizes}"


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
