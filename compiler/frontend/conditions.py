"""If operators whose condition is known when the model is read become the branch that is taken."""

from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from tilewright.compiler.frontend.evaluate import RANDOM, Array, run_nodes
from tilewright.compiler.frontend.inference import infer_shapes, shape_of


def inline_conditions(model: ModelProto) -> ModelProto:
    """`model` with its shapes inferred, and without If operators of constant conditions.

    A condition is constant that depends on constants and on shapes only, and not on chance.
    """
    inferred = infer_shapes(model)
    for position, node in enumerate(inferred.graph.node):
        if node.op_type != "If" or node.domain:
            continue
        condition = _Conditions(inferred).value_of(node.input[0])
        if condition is not None:
            return inline_conditions(_with_branch(inferred, position, bool(condition.all())))
    return inferred


class _Conditions:
    """What is constant in a graph, found when it is asked for."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.opsets = list(model.opset_import)
        self.makers = {name: node for node in graph.node for name in node.output}
        self.known = {item.name: item for item in graph.initializer}
        described = (*graph.input, *graph.value_info)
        self.shapes = {item.name: shape_of(item) for item in described}

    def value_of(self, name: str) -> Array | None:
        """The value of `name`; None: it is not constant."""
        nodes: dict[str, NodeProto] = {}
        feeds: dict[str, Array] = {}
        pending = [name]
        while pending:
            current = pending.pop()
            node = self.makers.get(current)
            if current in feeds or current in nodes:
                continue
            if current in self.known:
                feeds[current] = numpy_helper.to_array(self.known[current])
            elif node is None or node.op_type in RANDOM or _has_graphs(node):
                return None
            elif node.op_type == "Shape" and self.shapes.get(node.input[0]) is not None:
                given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
                shape = np.array(self.shapes[node.input[0]], np.int64)
                feeds[current] = shape[given.get("start", 0) : given.get("end")]
            else:
                nodes[current] = node
                pending.extend(filter(None, node.input))
        if name in feeds:
            return feeds[name]
        ordered = [node for node in self.makers.values() if any(o in nodes for o in node.output)]
        unique = {id(node): node for node in ordered}
        (result,) = run_nodes(list(unique.values()), feeds, [name], self.opsets)
        return result


def _has_graphs(node: NodeProto) -> bool:
    return any(item.HasField("g") or item.graphs for item in node.attribute)


def _with_branch(model: ModelProto, position: int, is_taken: bool) -> ModelProto:
    """`model` with the branch of the If at `position` in its place."""
    result = ModelProto()
    result.CopyFrom(model)
    node = model.graph.node[position]
    wanted = "then_branch" if is_taken else "else_branch"
    branch = next(item.g for item in node.attribute if item.name == wanted)
    made = (*(item.name for item in branch.initializer),
            *(name for inner in branch.node for name in inner.output))  # fmt: skip
    prefix = node.name or node.output[0]
    names = {name: f"{prefix}/{name}" for name in made if name}
    inlined = []
    for inner in branch.node:
        copied = NodeProto()
        copied.CopyFrom(inner)
        copied.name = f"{prefix}/{inner.name}" if inner.name else ""
        _rename(copied, names)
        inlined.append(copied)
    for value, output in zip(branch.output, node.output, strict=True):
        inlined.append(helper.make_node("Identity", [names.get(value.name, value.name)], [output]))
    for item in branch.initializer:
        result.graph.initializer.add().CopyFrom(item)
        result.graph.initializer[-1].name = names[item.name]
    rest = list(result.graph.node)
    result.graph.ClearField("node")
    result.graph.node.extend([*rest[:position], *inlined, *rest[position + 1 :]])
    return result


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    """Rename the values of `node`, and those that its subgraphs read, by `names`."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for item in node.attribute:
        for graph in (*item.graphs, *([item.g] if item.HasField("g") else [])):
            _rename_graph(graph, names)


def _rename_graph(graph: GraphProto, names: Mapping[str, str]) -> None:
    for inner in graph.node:
        _rename(inner, names)
    for value in graph.output:
        value.name = names.get(value.name, value.name)
