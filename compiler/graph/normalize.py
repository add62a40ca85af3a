"""Make a graph placeable: copies where a feature map would need two layouts.

A copy is a 1x1 convolution with the identity matrix (exact: scale 1, zero point kept), because
the array can move any channel to any slot. After this pass:

1. a part of a concatenation is computed by one layer, has no other concatenation and sits plain;
   of rows and columns, it is no output of the graph, and a view of it has its pixels side by side;
2. the operands of element-wise operators and residuals, and the graph's outputs, sit plain;
3. no graph output is a graph input;
4. what a Resample puts in between each other sits plain, each group in words of its own.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from tilewright.compiler.graph.align_phases import align_phases
from tilewright.compiler.graph.graph import (
    Concat,
    Conv,
    Elementwise,
    Epilogue,
    Graph,
    Node,
    Pad,
    Pool,
    Requantize,
    Resample,
    View,
)
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.tensor import Tensor


def keeps_slots(node: Node) -> bool:
    """Whether a node's output has its channels at the slots of its (first) input."""
    if isinstance(node, Resample):
        return node.num_phases == 1
    return isinstance(node, Pool | Requantize | Pad | Elementwise)


def is_contiguous(part: Tensor, whole: Tensor) -> bool:
    """Whether a part of rows or columns has its pixels side by side in each block of the whole."""
    return part.height == 1 or part.width == whole.width


def normalize(graph: Graph, config: Config) -> Graph:
    """Return an equivalent graph for which the four conditions of this module hold."""
    return _Normalizer(align_phases(graph, config.rows), config).run()


class _Normalizer:
    def __init__(self, graph: Graph, config: Config) -> None:
        self.graph = graph
        self.rows = config.rows
        self.maps = dict(graph.maps)
        self.nodes: list[Node] = []
        self.plain: dict[str, bool] = dict.fromkeys(graph.inputs, True)
        self.producer: dict[str, Node] = {}
        self.used_parts: set[str] = set()

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self._add(self._rewritten(node))
        outputs = tuple(self._plain_output(name) for name in self.graph.outputs)
        return replace(self.graph, maps=self.maps, nodes=tuple(self.nodes), outputs=outputs)

    def _add(self, node: Node) -> None:
        self.nodes.append(node)
        self.producer[node.output] = node
        if isinstance(node, Concat):
            aligned = all(self.maps[p].channels % self.rows == 0 for p in node.parts[:-1])
            self.plain[node.output] = aligned
        elif isinstance(node, View) or keeps_slots(node):
            self.plain[node.output] = self.plain[next(iter(node.inputs))]
        else:
            self.plain[node.output] = True

    def _rewritten(self, node: Node) -> Node:
        if isinstance(node, Concat):
            own = self._part if node.axis == 0 else partial(self._framed, self.maps[node.output])
            return replace(node, parts=tuple(own(name) for name in node.parts))
        if isinstance(node, Elementwise):
            return replace(node, first=self._plain(node.first), second=self._plain(node.second))
        if isinstance(node, Resample) and node.num_phases > 1:
            return replace(node, input=self._plain(node.input))
        if isinstance(node, Conv) and node.residual is not None:
            other = self._plain(node.residual.other)
            if other != node.residual.other:  # what a node remembers would be lost
                return replace(node, residual=replace(node.residual, other=other))
        return node

    def _part(self, name: str) -> str:
        producer = self.producer.get(name)
        movable = producer is not None and not isinstance(producer, View | Concat)
        if movable and self.plain[name] and name not in self.used_parts:
            self.used_parts.add(name)
            return name
        copy = self._copy(name)
        self.used_parts.add(copy)
        return copy

    def _framed(self, whole: Tensor, name: str) -> str:
        """A map of the same values that can be some of the rows or columns of `whole`."""
        root = self.graph.root_of(name)
        maker = self.producer.get(root)
        is_fixed = maker is None or isinstance(maker, Concat) or not self.plain[root]
        is_fixed = is_fixed or root in map(self.graph.root_of, self.graph.outputs)
        if not is_contiguous(self.maps[name], whole):
            is_fixed = is_fixed or root in map(self.graph.root_of, self.graph.views)
        if not is_fixed and root not in self.used_parts:
            self.used_parts.add(root)
            return name
        copy = self._pixels(name) if self.plain[name] else self._copy(name)
        self.used_parts.add(copy)
        return copy

    def _plain(self, name: str) -> str:
        return name if self.plain[name] else self._copy(name)

    def _plain_output(self, name: str) -> str:
        is_input = self.graph.root_of(name) in self.graph.inputs
        return self._copy(name) if is_input or not self.plain[name] else name

    def _copied(self, name: str) -> str:
        """Add a map like `name` and return its name."""
        count = sum(1 for known in self.maps if known.startswith(f"{name}.copy"))
        output = f"{name}.copy{count}"
        self.maps[output] = replace(self.maps[name], name=output)
        return output

    def _pixels(self, name: str) -> str:
        """A copy of a plain map by the vector unit."""
        output = self._copied(name)
        self._add(Pool(name=output, output=output, kind="max", input=name, kernel=(1, 1)))
        return output

    def _copy(self, name: str) -> str:
        source = self.maps[name]
        output = self._copied(name)
        channels = source.channels
        self._add(
            Conv(
                name=output,
                output=output,
                source=(),
                input=name,
                weight=np.eye(channels, dtype=np.int8)[:, :, None, None],
                bias=np.zeros(channels, np.int32),
                weight_scale=np.ones(channels, np.float32),
                epilogue=Epilogue(quantization=source.quantization),
            )
        )
        return output
