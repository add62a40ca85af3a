"""If operators whose condition is known when the model is read become the branch that is taken.

So do the shapes that it computes become constants: see `shaping`.
"""

from collections.abc import Mapping

from onnx import GraphProto, ModelProto, NodeProto, helper

from tilewright.compiler.frontend.inference import infer_shapes
from tilewright.compiler.frontend.known import Known
from tilewright.compiler.frontend.shaping import fix_shaping_operands


def inline_conditions(model: ModelProto) -> ModelProto:
    """`model` with all shapes that can be known, and without If operators of constant conditions.

    A condition is constant that depends on constants and on shapes only, and not on chance.
    """
    inferred = infer_shapes(model)
    for position, node in enumerate(inferred.graph.node):
        if node.op_type != "If" or node.domain:
            continue
        condition = Known(inferred).value_of(node.input[0])
        if condition is not None:
            return inline_conditions(_with_branch(inferred, position, bool(condition.all())))
    return inline_conditions(inferred) if fix_shaping_operands(inferred) else inferred


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
