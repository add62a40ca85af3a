"""What the emission of a value has to know: where it goes, and how it is stored."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.frontend.context import Context
from tilewright.compiler.graph.graph import Node
from tilewright.hw.spec.tensor import Quantization, Shape

Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Request:
    """Name, quantization, ONNX nodes, int8 clamp, and which function of the producer's value."""

    def __init__(
        self,
        context: Context,
        name: str,
        quantization: Quantization,
        sources: tuple[str, ...],
        bounds: tuple[int, int],
        function: Function = np.asarray,
    ) -> None:
        self.context = context
        self.builder = context.builder
        self.name = name
        self.quantization = quantization
        self.sources = sources
        self.low, self.high = bounds
        self.function = function

    @property
    def node_name(self) -> str:
        return self.sources[0] if self.sources else self.name

    def map(self, shape: Shape, name: str = "") -> str:
        return self.builder.add_map(name or self.name, shape, self.quantization)

    def append(self, node: Node) -> str:
        self.builder.add(node)
        return node.output
