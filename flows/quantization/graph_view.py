"""Who makes and who reads each tensor of a float ONNX graph."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Array = NDArray[np.generic]


class GraphView:
    """A graph's nodes in its order, its constants and the types of its tensors, for looking up."""

    def __init__(self, model: "onnx.ModelProto") -> None:
        from onnx import numpy_helper, shape_inference

        graph = shape_inference.infer_shapes(model).graph
        self.model = model
        self.nodes = list(model.graph.node)
        self.constants: dict[str, Array] = {
            item.name: numpy_helper.to_array(item) for item in graph.initializer
        }
        self.outputs = frozenset(item.name for item in graph.output)
        self.values = {item.name: item for item in (*graph.input, *graph.output, *graph.value_info)}
        self.makers = {name: node for node in self.nodes for name in filter(None, node.output)}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.input)):
                self._readers[name].append(node)

    def readers(self, tensor: str) -> "list[onnx.NodeProto]":
        """The nodes that read `tensor`, once each."""
        return self._readers.get(tensor, [])

    def is_read_once(self, tensor: str) -> bool:
        """Whether one node reads `tensor` and nothing else needs it."""
        return len(self.readers(tensor)) == 1 and tensor not in self.outputs

    def is_float(self, tensor: str) -> bool:
        """Whether `tensor` is known to be float32."""
        from onnx import TensorProto

        item = self.values.get(tensor)
        return item is not None and item.type.tensor_type.elem_type == TensorProto.FLOAT

    def rank(self, tensor: str) -> int | None:
        """The number of axes of `tensor`, None where it is not known."""
        item = self.values.get(tensor)
        if item is None or not item.type.tensor_type.HasField("shape"):
            return None
        return len(item.type.tensor_type.shape.dim)

    def data_inputs(self, node: "onnx.NodeProto") -> list[str]:
        """The inputs of `node` that are computed at run time, once each."""
        names = dict.fromkeys(filter(None, node.input))
        return [name for name in names if name not in self.constants]

    def neighbors(self, node: "onnx.NodeProto") -> "Iterator[onnx.NodeProto]":
        """The nodes that make what `node` reads, and those that read what it makes."""
        for name in self.data_inputs(node):
            if name in self.makers:
                yield self.makers[name]
        for name in filter(None, node.output):
            yield from self.readers(name)
