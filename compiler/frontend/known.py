"""Values that depend on constants and on shapes only."""

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper

from tilewright.compiler.frontend.evaluate import RANDOM, Array, run_nodes


def shape_of(item: ValueInfoProto) -> tuple[int, ...] | None:
    """The static shape; None where it is not known."""
    tensor = item.type.tensor_type
    dimensions = tensor.shape.dim
    is_static = tensor.HasField("shape") and all(d.HasField("dim_value") for d in dimensions)
    return tuple(d.dim_value for d in dimensions) if is_static else None


class Known:
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
