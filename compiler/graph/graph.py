"""The quantized graph: feature maps and the operators that the accelerator executes.

Every activation is an int8 feature map, a tensor with `MAP_AXES`. The accelerator's back end, the
reference interpreter and the reports all read this one form. `numerics` defines each operator's
arithmetic.
"""

from collections.abc import Iterator
from dataclasses import field, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.numerics import WeightSums, weight_sums
from tilewright.hw.spec.tensor import Quantization, Tensor
from tilewright.support.records import record


@record(frozen=True, kw_only=True, eq=False)
class Piece:
    """A range of a function of the unrounded value: 256 levels, `step` apart, 128 at `middle`."""

    middle: float
    step: float
    results: NDArray[np.int8]
    """Of every level; below the range that of the first one holds, above it that of the last."""


@record(frozen=True, kw_only=True)
class Epilogue:
    """Stage 1 of the vector unit: requantize to `quantization`, clamp, then an optional table.

    With a table, the clamped int8 value is the table's index and `result` is the quantization of
    the table's entries; without one, `result` equals `quantization`. `pieces` in place of a table
    are of the value that is not rounded, each from where the one before ends; see graph.pieces.
    """

    quantization: Quantization
    low: int = -128
    high: int = 127
    table: NDArray[np.int8] | None = None
    table_quantization: Quantization | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def result(self) -> Quantization:
        return self.table_quantization or self.quantization


@record(frozen=True, kw_only=True)
class Residual:
    """Stage 2 of the vector unit: combine the epilogue's int8 result with another feature map.

    unrounded: combine what the epilogue's scale makes of the sums before it is rounded, in steps of
    that scale; the int8 result is 1 then, by the epilogue's clamp.
    """

    kind: Literal["add", "multiply"]
    other: str
    low: int = -128
    high: int = 127
    unrounded: bool = False


@record(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator; `source` names the ONNX nodes it came from, for reports and errors."""

    name: str
    output: str
    source: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        raise NotImplementedError


@record(frozen=True, kw_only=True, eq=False)
class Conv(Node):
    """Convolution, Gemm or MatMul with constant weights, its epilogue and residual.

    `weight` is int8 [output channels, input channels / groups, kernel height, kernel width],
    `bias` int32 [output channels] (raw: the input zero point is not folded in), `weight_scale`
    float32 [output channels]; a sum below 0 takes `negative_scale` in its place where that is given
    (LeakyRelu, PRelu of the unrounded value: the weight's scale times the slope). `pads` are (top,
    left, bottom, right); padding feeds the input's zero point.
    """

    input: str
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_scale: NDArray[np.float32]
    negative_scale: NDArray[np.float32] | None = None
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    epilogue: Epilogue
    residual: Residual | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,) if self.residual is None else (self.input, self.residual.other)

    @property
    def kernel(self) -> tuple[int, int]:
        return (self.weight.shape[2], self.weight.shape[3])

    def with_channels(self, order: NDArray[np.int64]) -> Self:
        """Return it with the output channels of these numbers, in this order."""
        negative = self.negative_scale
        return replace(
            self,
            weight=self.weight[order],
            bias=self.bias[order],
            weight_scale=self.weight_scale[order],
            negative_scale=None if negative is None else negative[order],
        )

    @cached_property
    def weight_sums(self) -> WeightSums:
        """Of each output channel, for every config for which the model is compiled."""
        return weight_sums(self.weight)

    @property
    def weight_scales(self) -> NDArray[np.float32]:
        """float32 [1 or 2, output channels]: the first of two rows is that of sums below 0."""
        scales = [self.weight_scale]
        if self.negative_scale is not None:
            scales.insert(0, self.negative_scale)
        return np.stack(scales)


@record(frozen=True, kw_only=True, eq=False)
class Pool(Node):
    """Max or average pooling. An average divides by the window's area, or by the number of its
    pixels inside the feature map where `count_include_pad` is false (ONNX AveragePool);
    GlobalAveragePool is an average whose kernel is the whole map. Max ignores padding.
    """

    kind: Literal["max", "average"]
    input: str
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    count_include_pad: bool = False
    is_global: bool = False
    """GlobalAveragePool: the ratio is fl(sx / fl(sy * N)) as for any average."""
    low: int = -128
    high: int = 127

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@record(frozen=True, kw_only=True, eq=False)
class Elementwise(Node):
    """Add or multiply two feature maps of one shape, each with its own quantization."""

    kind: Literal["add", "multiply"]
    first: str
    second: str
    low: int = -128
    high: int = 127

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.first, self.second)


@record(frozen=True, kw_only=True, eq=False)
class Requantize(Node):
    """A unary operator: rescale by fl(sx / sy), clamp, then an optional table (see Epilogue).

    A pure table keeps the input's quantization in `epilogue.quantization`: the rescale is exact.
    """

    input: str
    epilogue: Epilogue

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@record(frozen=True, kw_only=True, eq=False)
class Concat(Node):
    """Concatenation along an axis of the maps: 0 channels, 1 rows, 2 columns.

    All inputs have the output's quantization.
    """

    parts: tuple[str, ...]
    axis: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.parts


@record(frozen=True, kw_only=True, eq=False)
class Pad(Node):
    """Constant spatial padding (top, left, bottom, right) with the int8 `value`."""

    input: str
    pads: tuple[int, int, int, int]
    value: int

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@record(frozen=True, kw_only=True, eq=False)
class Resample(Node):
    """Pixels of the input by row and column: (y, x) of the output is (rows[y], columns[x]).

    With `phases` (vertical, horizontal) the input holds vertical * horizontal groups of channels of
    one size; pixel (y, x) takes the first channels of group
    (y mod vertical) * horizontal + x mod horizontal.
    """

    input: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    phases: tuple[int, int] = (1, 1)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def num_phases(self) -> int:
        """Groups of channels of the input."""
        return self.phases[0] * self.phases[1]


@record(frozen=True, kw_only=True, eq=False)
class View(Node):
    """The same bytes with another height and width (their product and the channels stay)."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@record(frozen=True, kw_only=True)
class Graph:
    """Feature maps by name and nodes in topological order; inputs and outputs by name."""

    maps: dict[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = field(default="graph")

    def macs(self, node: Node) -> int:
        """Return the multiply-accumulates of a node; only convolutions have any."""
        if not isinstance(node, Conv):
            return 0
        return node.weight.size * self.maps[node.output].pixels

    @cached_property
    def views(self) -> dict[str, str]:
        """The input of every View, by its output."""
        return {node.output: node.input for node in self.nodes if isinstance(node, View)}

    def root_of(self, name: str) -> str:
        """The map of which `name` is a view, perhaps by others; itself where it is none."""
        while name in self.views:
            name = self.views[name]
        return name

    def consumers(self, name: str) -> Iterator[Node]:
        """Yield the nodes that read the feature map `name`."""
        return (node for node in self.nodes if name in node.inputs)
