"""Cut a model into sections of the accelerator and islands of the host, which alternate.

The level of a graph node or host operator is the highest level of what it reads, one more where
host and accelerator change: host operators have even levels, graph nodes odd ones. What has one
level is one island, or one section: no path between two of its nodes leads through another level,
so a section is convex, and it is as large as can be without waiting for a later one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tilewright.compiler.frontend.builder import host_name, natural_index
from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.values import Constant, Quantized
from tilewright.compiler.graph.graph import Graph
from tilewright.hw.spec.binding import Binding
from tilewright.support.records import record

Member = tuple[str, str]
"""("map", name of the map that a graph node makes) or ("host", name of an operator)."""


@dataclass(kw_only=True)
class Needs:
    """What the outputs of a model depend on."""

    operators: set[str] = field(default_factory=set)
    """Names of the operators that the host runs."""
    stored: dict[str, Quantized] = field(default_factory=dict)
    """By ONNX name: what the accelerator stores and the host reads."""
    moved: set[str] = field(default_factory=set)
    """Maps that the host reads to write them into another map, in another order."""


def find_needs(interpretation: Interpretation, names: Sequence[str]) -> Needs:
    """Walk back from the values `names`, through host operators and through graph nodes.

    The host makes those that are constant.
    """
    context = interpretation.context
    builder = context.builder
    makers, moved = {node.output: node for node in builder.nodes}, builder.moved
    result = Needs()
    done: set[Member] = set()
    pending: list[Member] = [("value", name) for name in names]
    while pending:
        kind, name = item = pending.pop()
        if item in done:
            continue
        done.add(item)
        if kind == "value":
            value, producer = context.values.get(name), context.producers.get(name)
            if isinstance(value, Quantized) and not value.is_border:
                result.stored[name] = value
                pending.append(("map", value.origin))
            elif producer is not None and (name in names or not isinstance(value, Constant)):
                result.operators.add(producer.name)
                pending.extend(("value", read) for read in producer.reads)
        elif name in makers:
            pending.extend(("map", read) for read in makers[name].inputs)
        elif name in builder.packs:
            tensor = builder.packs[name].name
            if tensor in moved:
                result.moved.add(moved[tensor])
                pending.append(("map", moved[tensor]))
            else:
                pending.append(("value", tensor))
    return result


@record(frozen=True, kw_only=True)
class Part:
    """The graph nodes of one level, as a graph of their own, and how its maps are bound."""

    level: int
    graph: Graph
    packs: Mapping[str, Binding]
    """By input map: what the host writes into it."""

    @property
    def made(self) -> set[str]:
        """The maps that its nodes make."""
        return {node.output for node in self.graph.nodes}


@record(frozen=True, kw_only=True)
class Cut:
    """Sections by odd level, host operators by even level."""

    parts: tuple[Part, ...]
    operators: Mapping[int, tuple[Operator, ...]]
    moved: frozenset[str]
    """Maps that the host reads to write them, as they are or reordered, for another section."""


def cut(interpretation: Interpretation, needs: Needs, graph: Graph) -> Cut:
    """Return the sections and islands of a graph whose outputs are those that `needs` lists."""
    levels = _Levels(interpretation, graph)
    by_level: dict[int, list[Operator]] = {}
    for operator in interpretation.context.source.operators:
        if operator.name in needs.operators:
            by_level.setdefault(levels.of(("host", operator.name)), []).append(operator)
    numbers = {node.output: levels.of(("map", node.output)) for node in graph.nodes}
    parts = [
        _part(interpretation, graph, level, numbers) for level in sorted(set(numbers.values()))
    ]
    moved = interpretation.context.builder.moved
    packed = {binding.name for part in parts for binding in part.packs.values()}
    return Cut(
        parts=tuple(parts),
        moved=frozenset(moved[name] for name in packed & moved.keys()),
        operators={level: tuple(members) for level, members in sorted(by_level.items())},
    )


class _Levels:
    """Levels by member, found when they are asked for."""

    def __init__(self, interpretation: Interpretation, graph: Graph) -> None:
        self.context = interpretation.context
        self.makers = {node.output: node for node in graph.nodes}
        self.by_name = {operator.name: operator for operator in self.context.source.operators}
        self.moved = self.context.builder.moved
        self.found: dict[Member, int] = {}

    def of(self, member: Member) -> int:
        pending = [member]
        while pending:
            current = pending[-1]
            before = [] if current in self.found else self._before(current)
            missing = [other for other, _ in before if other not in self.found]
            if missing:
                pending.extend(missing)
                continue
            pending.pop()
            if current not in self.found:
                base = 1 if current[0] == "map" else 0
                reached = (self.found[other] + step for other, step in before)
                self.found[current] = max((base, *reached))
        return self.found[member]

    def _before(self, member: Member) -> list[tuple[Member, int]]:
        """What `member` reads, and by how much its level is at least higher."""
        kind, name = member
        if kind == "host":
            reads = (self._maker(read) for read in self.by_name[name].reads)
            return [(maker, int(maker[0] == "map")) for maker in reads if maker is not None]
        found = []
        for read in self.makers[name].inputs:
            binding = self.context.builder.packs.get(read)
            if read in self.makers:
                found.append((("map", read), 0))
            elif binding is not None and binding.name in self.moved:
                found.append((("map", self.moved[binding.name]), 2))
            elif binding is not None:
                maker = self._maker(binding.name)
                if maker is not None:
                    found.append((maker, 2 if maker[0] == "map" else 1))
        return found

    def _maker(self, name: str) -> Member | None:
        value, producer = self.context.values.get(name), self.context.producers.get(name)
        if isinstance(value, Quantized) and not value.is_border:
            return ("map", value.origin) if value.origin in self.makers else None
        if producer is None or isinstance(value, Constant):
            return None
        return ("host", producer.name)


def _part(
    interpretation: Interpretation, graph: Graph, level: int, numbers: Mapping[str, int]
) -> Part:
    builder = interpretation.context.builder
    nodes = tuple(node for node in graph.nodes if numbers[node.output] == level)
    made = {node.output for node in nodes}
    read = dict.fromkeys(name for node in nodes for name in node.inputs if name not in made)
    later = {name for node in graph.nodes if numbers[node.output] > level for name in node.inputs}
    carried = (node.output for node in nodes if node.output in later)
    packs = {
        name: builder.packs.get(name) or _carried(graph, name)
        for name in read
        if name not in builder.constants
    }
    own = dict.fromkeys((*(name for name in graph.outputs if name in made), *carried))
    maps = {name: graph.maps[name] for name in (*read, *(node.output for node in nodes))}
    part = replace(graph, nodes=nodes, maps=maps, inputs=tuple(read), outputs=tuple(own))
    return Part(level=level, graph=part, packs=packs)


def _carried(graph: Graph, name: str) -> Binding:
    """How a section gets a map that an earlier one made: as it is."""
    stored = graph.maps[name]
    return Binding.of(host_name(name), stored, natural_index(stored.shape), is_unsigned=False)
