"""Unary operators and Add, Sub, Mul, Div of activations and constants."""

from dataclasses import replace

import numpy as np

from tilewright.compiler.frontend.combination import KINDS, combine_activations, combine_stored
from tilewright.compiler.frontend.context import (
    Context,
    Values,
    constant,
    optional,
    scalar_quantization,
    shift_to_int8,
)
from tilewright.compiler.frontend.emit import store_results
from tilewright.compiler.frontend.extremes import take_extreme
from tilewright.compiler.frontend.folding import fold_into_linear
from tilewright.compiler.frontend.functions import (
    is_dequantized,
    is_function,
    is_open_linear,
    root_of,
)
from tilewright.compiler.frontend.handlers import Entry, handles, handles_quantized
from tilewright.compiler.frontend.linear import as_linear, scale_channels
from tilewright.compiler.frontend.pieces import FEW_PIECES, LEVELS, MANY_PIECES
from tilewright.compiler.frontend.rounded import combine_rounded, one_more
from tilewright.compiler.frontend.slopes import SLOPED, with_slope
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.store import (
    as_activation,
    dequantize_constant,
    dequantize_input,
    quantize_output,
)
from tilewright.compiler.frontend.sums import sum_as_linear
from tilewright.compiler.frontend.table import operator_results
from tilewright.compiler.frontend.values import (
    Combined,
    Constant,
    Dequantized,
    Linear,
    Quantized,
    Real,
    UnsupportedError,
    Value,
)
from tilewright.hw.spec.cycles import NEGATIVE_SCALE_CYCLES

BINARY = ("Add", "Div", "Mul", "Sub")
CLAMPS = ("Clip", "Max", "Min", "Relu")
TABLES = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu",
    "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mean", "Mish",
    "Mod", "Neg", "PRelu", "Pow", "Reciprocal", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Sinh", "Softplus", "Softsign", "Sqrt", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip
CONDITIONS = (
    "And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not",
    "Or", "Where", "Xor",
)  # fmt: skip
UNARY = (*CLAMPS, *TABLES)
LINES = ("Clip", "LeakyRelu", "Max", "Min", "PRelu", "Relu")
MICROSOFT_UNARY = ("FastGelu", "Gelu", "QuickGelu")


@handles(
    Entry(
        operators=(*TABLES, *CONDITIONS),
        microsoft=MICROSOFT_UNARY,
        runs="256-entry table, exact",
        conditions="between DequantizeLinear and QuantizeLinear, MaxPool, Concat, Pad and layout "
        "changes in between allowed, other operands constants of one element; chains, `x * f(x)` "
        "and what Where chooses by conditions on x become one table, however they are written",
        cost="none behind a convolution that is read by it alone, else a pass",
    ),
    Entry(
        operators=CLAMPS,
        runs="clamp",
        conditions="anywhere in front of QuantizeLinear, or on int8 and uint8 behind it; bounds "
        "constants of one element",
        cost="none behind a layer that is read by it alone, else a pass",
    ),
    Entry(
        operators=TABLES,
        microsoft=MICROSOFT_UNARY,
        runs=f"{FEW_PIECES} or {MANY_PIECES} tables of the unrounded value, each of {LEVELS} "
        "levels, at most one step off (docs/compiler.md has the rates)",
        conditions="behind a convolution, matrix product, sum of two activations or mean of "
        "windows of one size without QuantizeLinear in between, chains and `x * f(x)` alike, "
        "however they are written (a sum or mean becomes a depthwise convolution); finite for "
        "every value and not too steep for the scale of the result; "
        f"{MANY_PIECES} tables where {FEW_PIECES} are too coarse for that",
        cost="as many drains, all but the first as those of a residual; of a sum, a "
        "depthwise convolution of up to 3 rows, a pass for the third one, and what Concat of the "
        "rows costs",
    ),
    Entry(
        operators=("HardSigmoid",),
        runs="bias, scale and clamp of the unrounded value",
        conditions="behind a convolution or product, however it is written",
        cost="none",
    ),
    Entry(
        operators=SLOPED,
        runs="scales of their own for negative sums, from the unrounded value",
        conditions="behind a convolution or product, clamps in between or behind it; a PRelu with "
        "a slope per channel, as a depthwise convolution, behind DequantizeLinear and behind a sum "
        "of two activations",
        cost=f"{NEGATIVE_SCALE_CYCLES} cycles a lane group of the drain; of a sum as for functions",
    ),
    Entry(
        operators=LINES,
        runs="scales of their own for values above and below 0",
        conditions="behind a sum or product of two activations or a mean, without QuantizeLinear "
        "in between: any expression (`Mul` and `Div` by constants, too) that is a line of one or "
        "two slopes >= 0 through 0, clamped",
        cost="none for one slope; for two a second pass like the first, and one that adds them up",
    ),
    Entry(
        operators=("Max", "Min"),
        runs="pooling of pairs",
        conditions="two activations, as for Add; of values not yet quantized, too",
        cost="what Concat of both along the pixels costs, and a pass over both; for Min two more",
    ),
)
def apply_unary(context: Context, node: Operator, values: Values) -> list[Value]:
    """An operator on one activation and constants of one element (PRelu: or one a channel).

    Behind a DequantizeLinear it becomes part of a table; behind any other operator clamps (Relu,
    Clip, Min, Max) are exact, and behind a convolution or product slopes (LeakyRelu, PRelu). What
    other functions of an unrounded value become is found out when it is stored (emit).
    """
    stored = [value for value in values if isinstance(value, Quantized)]
    if stored:
        return [_apply_to_stored(context, node, values, stored)]
    reals = [value for value in values if isinstance(value, Real)]
    others = [value for value in values if value is not None and not isinstance(value, Real)]
    if not reals:
        raise UnsupportedError("its input is not a dequantized activation")
    if node.op_type in SLOPED and values[0] is reals[0]:
        sloped = _sloped(context, node, values, reals[0])
        if sloped is not None:
            return [sloped]
    if any(not isinstance(value, Constant) or value.array.size != 1 for value in others):
        raise UnsupportedError("its other operand is not a constant of one element")
    ranks = [value.array.ndim for value in others if isinstance(value, Constant)]
    first = _with_rank(reals[0], max(ranks, default=0))
    is_clamp = node.op_type in CLAMPS and first.is_plain and not is_dequantized(first)
    if is_function(reals) and not (is_clamp and len(reals) == 1):
        return [
            replace(
                first,
                producer=root_of(first) or first.producer,
                tensor=node.outputs[0],
                is_plain=False,
                low=-np.inf,
                high=np.inf,
                names=(*first.names, node.name),
                root=None,
            )
        ]
    if len(reals) > 1:
        return [take_extreme(context, node, reals, others)]
    low, high = _clamp(node, values, first)
    return [
        replace(
            first,
            low=float(np.clip(first.low, low, high)),
            high=float(np.clip(first.high, low, high)),
            names=(*first.names, node.name),
            root=root_of(first),
        )
    ]


def _sloped(context: Context, node: Operator, values: Values, real: Real) -> Real | None:
    """LeakyRelu or PRelu of a convolution's or product's value, or with a slope per channel."""
    if isinstance(real.producer, Linear) and real.is_plain:
        try:
            return with_slope(node, values, real)
        except UnsupportedError:
            if root_of(real) is None or _has_wide_constants(values):
                raise
            return None
    if _has_wide_constants(values):
        producer = real.producer
        if isinstance(producer, Combined) and producer.kind == "add" and real.is_plain:
            total = sum_as_linear(context, producer, node.outputs[0])
            return with_slope(node, values, replace(real, producer=total))
        linear = as_linear(context, as_activation(context, real), node.name)
        return with_slope(node, values, replace(linear, names=real.names))
    return None


def _has_wide_constants(values: Values) -> bool:
    return any(isinstance(value, Constant) and value.array.size > 1 for value in values)


def _apply_to_stored(
    context: Context, node: Operator, values: Values, stored: list[Quantized]
) -> Quantized:
    """An operator on int8 or uint8 itself, between QuantizeLinear and DequantizeLinear (Clip)."""
    source = stored[0]
    others = [value for value in values if isinstance(value, Constant)]
    if len(stored) > 1 or any(value.array.size != 1 for value in others):
        raise UnsupportedError("its other operand is not a constant of one element")
    results = operator_results(context, node, source)
    target = replace(source, origin=node.outputs[0], is_border=False)
    return store_results(context, results, source, target, (node.name,))


@handles(
    Entry(
        operators=("Add", "Mul"),
        runs="element-wise, or a convolution's residual",
        conditions="two activations (Sum of two is Add), the smaller one repeated along the axes "
        "that it lacks (a gate `[1, C, 1, 1]`), or an activation and a quantized constant",
        cost="a pass of the second stage; of a residual, the drain takes as long",
    ),
    Entry(
        operators=("Add", "Mul", "Sub"),
        runs="a convolution's residual, with the unrounded value",
        conditions="behind a convolution or product, without QuantizeLinear in between (Relu, "
        "LeakyRelu or PRelu may be), and an activation of its shape, or repeated to it; so behind "
        "a mean of windows of one size or a sum of two activations",
        cost="as a residual; of a mean or sum as for functions",
    ),
    Entry(
        operators=("Add", "Mul", "Sub"),
        runs="element-wise, of operands rounded by themselves, to 8 bits or to 16, at most one "
        "step off (docs/compiler.md has the rates)",
        conditions="of values that no QuantizeLinear follows (gates of squeeze and excite, sums of "
        "convolutions, functions), where the result's scale is not too fine; in a product one is a "
        "convolution's value or a function of it, the other has a range that a function or a "
        "QuantizeLinear for another reader states",
        cost="as of two activations, and what each operand costs that is stored once more, in 16 "
        "bits twice and a depthwise convolution that adds the maps up",
    ),
    Entry(
        operators=("Sub",),
        runs="element-wise, the second operand negated through a table",
        conditions="two activations, as for Add",
        cost="as Add, and what a table costs",
    ),
    Entry(
        operators=BINARY,
        runs="joins the convolution, a depthwise one, or a table",
        conditions="with a constant per channel (see BatchNormalization); behind DequantizeLinear "
        "with a constant of one element: table",
        cost="none where it joins a convolution, else that of a depthwise one or of a table",
    ),
)
def combine(context: Context, node: Operator, values: Values) -> list[Value]:
    """Add, Sub, Mul or Div: of two activations, or of one and a constant."""
    constants = [value for value in values if isinstance(value, Constant)]
    reals = [value for value in values if isinstance(value, Real)]
    if len(constants) + len(reals) < len(values):
        raise UnsupportedError("an operand is neither constant nor an activation on the device")
    if constants and isinstance(reals[0].producer, Linear) and reals[0].is_plain:
        taken = fold_into_linear(node, values, reals[0], constants[0])
        if taken is not None:
            return [taken]
    if constants and constants[0].array.size > 1:
        if constants[0].quantized is not None and node.op_type in ("Add", "Mul"):
            return [_combine_with_constant(context, node, reals[0], constants[0])]
        linear = as_linear(context, as_activation(context, reals[0]), node.name)
        taken = fold_into_linear(node, values, linear, constants[0])
        assert taken is not None, "a function has constants of one element"
        return [taken]
    if constants or is_function(reals):
        return apply_unary(context, node, values)
    if node.op_type not in KINDS:
        raise UnsupportedError("of two activations sum, difference and product are supported")
    try:
        return [combine_activations(context, node, *reals)]
    except UnsupportedError:
        product, factors = one_more(context, node, reals) or (node, reals)
        rounded = combine_rounded(context, product, factors)
        if rounded is None:
            raise
        return [rounded]


@handles_quantized(combine, microsoft=("QLinearAdd", "QLinearMul"))
def combine_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearAdd, QLinearMul (com.microsoft): a, as, az, b, bs, bz, cs, cz."""
    constants = [dequantize_constant(values, at) for at in (0, 3)]
    stored = [at for at in (0, 3) if not isinstance(values[at], Constant)]
    reals = [dequantize_input(context, values, at) for at in stored]
    given = next((item for item in constants if item is not None), None)
    if given is not None:
        real = _combine_with_constant(context, node, reals[0], given)
    else:
        first, second = (as_activation(context, item) for item in reals)
        real = combine_stored(context, KINDS[node.op_type], first, second, node.name)
    return [quantize_output(context, node, real, values, 6)]


@handles(
    Entry(
        operators=("BatchNormalization",),
        runs="joins the convolution, or a depthwise one",
        conditions="better folded before quantizing: the offset of the depthwise form is rounded, "
        "to 1/1000 of an input step as a rule, which the compiler notes",
        cost="none where it joins a convolution, else that of a depthwise one",
    )
)
def normalize_batch(context: Context, node: Operator, values: Values) -> list[Value]:
    """BatchNormalization: X, scale, B, mean, variance; folded into a Conv or a depthwise one."""
    if node.attribute("training_mode", 0) or not node.attribute("spatial", 1):
        raise UnsupportedError("it must use the given mean and variance of each channel")
    real = values[0]
    if not isinstance(real, Real) or not is_open_linear(real):
        real = as_linear(context, as_activation(context, real), node.name)
    gain, offset, mean, variance = (
        constant(values, position, "parameter").astype(np.float64) for position in range(1, 5)
    )
    gain = gain / np.sqrt(variance + float(node.attribute("epsilon", 1e-5)))
    along = (1, -1, *([1] * (real.index.ndim - 2)))
    scaled = scale_channels(real, gain.reshape(along), (offset - mean * gain).reshape(along))
    return [replace(scaled, names=(*real.names, node.name), root=None)]


@handles_quantized(apply_unary, microsoft=("QLinearLeakyRelu", "QLinearSigmoid"))
def apply_unary_quantized(context: Context, node: Operator, values: Values) -> list[Value]:
    """QLinearSigmoid, QLinearLeakyRelu (com.microsoft): X, xs, xz, ys, yz."""
    real = dequantize_input(context, values, 0)
    assert isinstance(real.producer, Dequantized)
    source = real.producer.source
    zero_point = constant(values, 4, "zero point") if optional(values, 4) else None
    quantization, is_unsigned = scalar_quantization(
        constant(values, 3, "scale"), zero_point, node.label, True
    )
    target = Quantized(
        origin=node.outputs[0],
        index=source.index,
        quantization=quantization,
        is_unsigned=is_unsigned,
    )
    results = operator_results(context, node, source)
    return [store_results(context, results, source, target, (node.name,))]


def _combine_with_constant(context: Context, node: Operator, real: Real, factor: Constant) -> Real:
    """Combine an activation with a quantized constant, stored as a feature map like it."""
    stored = factor.quantized
    if stored is None or stored.raw.dtype not in (np.int8, np.uint8):
        raise UnsupportedError("its constant operand is not quantized to int8 or uint8")
    quantization, _ = scalar_quantization(
        stored.scale, stored.zero_point.astype(stored.raw.dtype), node.label
    )
    source = as_activation(context, real)
    builder = context.builder
    map_name, index = builder.natural(source)
    try:
        full = np.broadcast_to(shift_to_int8(stored.raw), index.shape)
    except ValueError:
        raise UnsupportedError(
            f"its constant of shape {list(stored.raw.shape)} enlarges {list(index.shape)}"
        ) from None
    data = np.empty(index.size, np.int8)
    data[index.reshape(-1)] = full.reshape(-1)
    shape = builder.maps[map_name].shape
    constant_map = builder.add_constant(
        f"{node.outputs[0]}/constant", data.reshape(shape), quantization
    )
    producer = Combined(
        kind=KINDS[node.op_type], first=map_name, second=constant_map, sources=(source,)
    )
    return Real(producer=producer, index=index, names=(node.name,))


def _with_rank(real: Real, rank: int) -> Real:
    """`real` with axes of one element in front, up to `rank` (NumPy's broadcasting)."""
    missing = max(rank - real.index.ndim, 0)
    return replace(real, index=real.index.reshape((1,) * missing + real.index.shape))


def _clamp(node: Operator, values: Values, real: Real) -> tuple[float, float]:
    """The bounds of a clamping operator behind a producer that is not yet quantized."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    numbers = [float(v.array.reshape(-1)[0]) for v in values if isinstance(v, Constant)]
    if node.op_type == "Min":
        return -np.inf, min(numbers)
    if node.op_type == "Max":
        return max(numbers), np.inf
    if node.op_type == "Clip":
        low, high = node.attribute("min", -np.inf), node.attribute("max", np.inf)
        if optional(values, 1) is not None:
            low = constant(values, 1, "bound").reshape(-1)[0]
        if optional(values, 2) is not None:
            high = constant(values, 2, "bound").reshape(-1)[0]
        return float(min(low, high)), float(high)  # in ONNX the upper bound has the last word
    raise UnsupportedError(
        f"it works on the float result of {real.names[0]!r}; a table needs QuantizeLinear and "
        "DequantizeLinear between the two"
    )
