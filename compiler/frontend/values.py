"""What the importer knows about an ONNX value: constant, quantized, real or left to the host.

Every value on the device carries an `index`: an integer array of the value's ONNX shape whose
entries are positions in the flat feature map that stores it. Layout
operators only change the index.
"""

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.tensor import Quantization, Shape
from tilewright.support.errors import ModelError
from tilewright.support.records import record

Array = NDArray[np.generic]
Index = NDArray[np.int64]


class UnsupportedError(ModelError):
    """The accelerator lacks this; the importer leaves the node to the host with this reason."""


@record(frozen=True, kw_only=True, eq=False)
class Constant:
    """A constant; `quantized` is the integer form it was dequantized from, if any."""

    array: Array
    quantized: "QuantizedConstant | None" = None


@record(frozen=True, kw_only=True, eq=False)
class QuantizedConstant:
    """real = (raw - zero_point) * scale; scale and zero point are scalars or run along `axis`."""

    raw: Array
    scale: NDArray[np.float32]
    zero_point: Array
    axis: int


@record(frozen=True, kw_only=True, eq=False)
class Quantized:
    """An int8 or uint8 activation stored in a feature map, or (`is_border`) given by the host.

    `origin` names the feature map, or the ONNX tensor that the host provides. An unsigned value
    is stored with value and zero point reduced by 128, and `quantization` is that of the store.
    """

    origin: str
    index: Index
    quantization: Quantization
    is_unsigned: bool
    is_border: bool = False


@record(frozen=True, kw_only=True, eq=False)
class Dequantized:
    """The float value of a quantized activation, before or behind unary operators."""

    source: Quantized

    @property
    def sources(self) -> tuple[Quantized, ...]:
        return (self.source,)


@record(frozen=True, kw_only=True, eq=False)
class Linear:
    """A convolution or matrix product with constant weights; see graph.Conv for the fields.

    `weight` has zero point 0 and may exceed int8 by up to one bit.
    """

    source: Quantized
    feature_map: str
    weight: NDArray[np.int16]
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.float64]
    """Real bias divided by (input scale * weight scale), not yet rounded."""
    slope: NDArray[np.float32] | None = None
    """What a result below 0 is multiplied by, of each output channel; None: 1."""
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    shape: Shape

    @property
    def sources(self) -> tuple[Quantized, ...]:
        return (self.source,)

    @property
    def steps(self) -> NDArray[np.float64]:
        """What a step of each channel's accumulator is worth."""
        return np.float64(self.source.quantization.scale) * self.weight_scale


@record(frozen=True, kw_only=True, eq=False)
class Combined:
    """The sum or product of two activations stored in maps of one shape."""

    kind: Literal["add", "multiply"]
    first: str
    second: str
    sources: tuple[Quantized, ...]


@record(frozen=True, kw_only=True, eq=False)
class LinearCombined:
    """A convolution's value, not rounded, plus or times an activation in a map of its shape."""

    kind: Literal["add", "multiply"]
    linear: Linear
    other: str
    sources: tuple[Quantized, ...]


@record(frozen=True, kw_only=True, eq=False)
class Pooled:
    """A pooled activation; see graph.Pool for the fields."""

    kind: Literal["max", "average"]
    source: Quantized
    feature_map: str
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    count_include_pad: bool = False
    is_global: bool = False
    shape: Shape

    @property
    def sources(self) -> tuple[Quantized, ...]:
        return (self.source,)


@record(frozen=True, kw_only=True, eq=False)
class Joined:
    """Activations and constants concatenated along an axis of their maps (graph.Concat)."""

    sources: tuple[Quantized, ...]
    parts: "tuple[str | NDArray[np.float32], ...]"
    """Maps; constants in the shape of a map, not yet quantized."""
    axis: int


@record(frozen=True, kw_only=True, eq=False)
class Padded:
    """An activation padded by (top, left, bottom, right) with the real number `value`."""

    source: Quantized
    want: Index
    """The source's index in its map's shape."""
    pads: tuple[int, int, int, int]
    value: float
    shape: Shape

    @property
    def sources(self) -> tuple[Quantized, ...]:
        return (self.source,)


@record(frozen=True, kw_only=True, eq=False)
class Deferred:
    """An operator that commutes with quantizing, behind float values that are not stored yet.

    Once the quantization is known, `inners` are stored with it, and `then` applied to them. Or
    `made` says what the value is for that quantization.
    """

    inners: "tuple[Real, ...]"
    then: 'Callable[[Sequence[Quantized]], "Real"] | None' = None
    made: "Callable[[Quantization], Real] | None" = None
    wrong: Callable[[Quantization], float] = lambda quantization: 0.0
    """By how much what is `made` for a quantization is wrong at most, before it is rounded."""
    fine: "Fine | None" = None

    @property
    def sources(self) -> tuple[Quantized, ...]:
        return tuple(source for inner in self.inners for source in inner.producer.sources)


@record(frozen=True, kw_only=True, eq=False)
class Fine:
    """What a value, not yet quantized, can be without rounding; with many tables or few."""

    largest: float
    error: Callable[[bool], float]
    """By how much that is wrong at most."""
    real: "Callable[[bool], Real]"
    """A convolution's value."""


Producer = Deferred | Dequantized | Linear | Combined | LinearCombined | Pooled | Joined | Padded


@record(frozen=True, kw_only=True, eq=False)
class Real:
    """A float value that the device computes once a QuantizeLinear says how to store it.

    `low` and `high` clamp the producer's value. Where it is not `is_plain`, `tensor` names the ONNX
    value instead, from which the unary operators are followed back to the producer's.
    """

    producer: Producer
    index: Index
    tensor: str = ""
    is_plain: bool = True
    low: float = -np.inf
    high: float = np.inf
    is_fine: bool = False
    """As many tables are taken as a function can have."""
    less: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of a function: what is taken from it, a line by how much it rises below 0 and from there on,
    and a number."""
    names: tuple[str, ...] = field(default=())
    """The ONNX nodes behind this value, for reports."""
    root: Producer | None = None
    """Of whose value, as it is, this one is a function, where `producer` is another one (it took up
    a constant) or its value is clamped."""


@record(frozen=True, kw_only=True)
class Host:
    """A value the host computes; `reason` is why an operator that reads it stays there, too."""

    reason: str


Value = Constant | Quantized | Real | Host


def sources_of(value: Value) -> tuple[Quantized, ...]:
    """The quantized activations that `value` is computed from."""
    if isinstance(value, Quantized):
        return (value,)
    return value.producer.sources if isinstance(value, Real) else ()
