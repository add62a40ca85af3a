"""Add, Mul and unary operators in QDQ form against ONNX Runtime."""

import numpy as np
import pytest

from tilewright.compiler.compile import list_instructions
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.graph.graph import Conv, Elementwise, Requantize
from tilewright.compiler.limits import MAX_DILATION
from tilewright.hw.spec.config import PRESETS
from tilewright.sim.timing.machine import simulate

# name: (operators behind DequantizeLinear as (type, constants, attributes))
UNARY = {
    "relu": [("Relu", [], {})],
    "clip": [("Clip", [-1.0, 2.5], {})],
    "leaky_relu": [("LeakyRelu", [], {"alpha": 0.1})],
    "sigmoid": [("Sigmoid", [], {})],
    "tanh": [("Tanh", [], {})],
    "hard_swish": [("HardSwish", [], {})],
    "hard_sigmoid": [("HardSigmoid", [], {"alpha": 0.25})],
    "elu": [("Elu", [], {"alpha": 0.7})],
    "softplus": [("Softplus", [], {})],
    "erf": [("Erf", [], {})],
    "sqrt_of_abs": [("Abs", [], {}), ("Sqrt", [], {})],
    "sqrt_of_negative": [("Sqrt", [], {})],
    "exp_of_neg": [("Neg", [], {}), ("Exp", [], {})],
    "scaled": [("Mul", [0.3], {}), ("Add", [1.0], {}), ("Div", [1.7], {})],
    "power": [("Pow", [2.0], {})],
    "bounded": [("Max", [-0.5], {}), ("Min", [1.5], {})],
    "parametric_relu": [("PRelu", [0.2], {})],
    "arc_cosine": [("Acos", [], {})],
    "arc_sine": [("Asin", [], {})],
    "arc_tangent": [("Atan", [], {})],
    "tangent": [("Tan", [], {})],
    "hyperbolic_cosine": [("Cosh", [], {})],
    "hyperbolic_sine": [("Sinh", [], {})],
    "hyperbolic_areas": [("Abs", [], {}), ("Asinh", [], {}), ("Acosh", [], {}), ("Atanh", [], {})],
    "shrink": [("Shrink", [], {"bias": 0.5, "lambd": 1.0})],
    "remainder": [("Mod", [0.75], {"fmod": 1})],
    "sum_and_mean": [("Sum", [0.5], {}), ("Mean", [0.25, 2.0], {})],
}


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("case", UNARY)
def test_unary_chain_is_exact(make_builder, agree, case, dtype):
    builder = make_builder(seed=1, dtype=dtype, is_exact=False)
    value = builder.activation((1, 8, 4, 8))
    for op_type, constants, attributes in UNARY[case]:
        operands = [builder.constant(np.float32(number)) for number in constants]
        value = builder.node(op_type, [value, *operands], **attributes)
    builder.output(builder.quantize(value, around=2.0**-5))
    imported = agree(builder)
    assert [type(node) for node in imported.sections[0].graph.nodes] == [Requantize]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("compare", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
@pytest.mark.parametrize("logic", ["And", "Or", "Xor"])
def test_a_choice_by_conditions_is_one_table(make_builder, agree, dtype, compare, logic):
    builder = make_builder(seed=1, dtype=dtype, is_exact=False)
    value = builder.activation((1, 8, 4, 8))
    bounds = [builder.constant(np.float32(number)) for number in (0.0, 1.5)]
    first = builder.node(compare, [value, bounds[0]])
    second = builder.node("Not", [builder.node("Less", [bounds[1], value])])
    scaled = builder.node("Mul", [value, builder.constant(np.float32(0.1))])
    chosen = builder.node("Where", [builder.node(logic, [first, second]), value, scaled])
    flag = builder.node("Cast", [builder.node("IsNaN", [value])], to=1)
    builder.output(builder.quantize(builder.node("Add", [chosen, flag]), around=2.0**-5))
    imported = agree(builder)
    assert [type(node) for node in imported.sections[0].graph.nodes] == [Requantize]


def test_a_condition_that_is_an_output_stays_on_the_host(make_builder, agree):
    builder = make_builder(seed=2)
    value = builder.requantized(builder.node("Neg", [builder.activation((1, 3, 4, 4))]))
    flags = builder.node("Less", [value, builder.constant(np.float32(0.5))])
    builder.output(builder.node("Cast", [flags], to=3))
    builder.output(builder.quantize(value))
    assert [item.op_type for item in agree(builder).host_operators] == [
        "DequantizeLinear", "Less", "Cast",
    ]  # fmt: skip


def test_a_condition_on_stored_values_stays_on_the_host(make_builder, agree):
    builder = make_builder(seed=2, dtype="int8")
    quantization = builder.quantization(2.0**-4)
    value = builder.node("Neg", [builder.activation((1, 3, 4, 4))])
    stored = builder.node("QuantizeLinear", [value, *quantization])
    flags = builder.node("Less", [stored, builder.constant(np.int8(3))])
    builder.output(builder.node("Cast", [flags], to=3))
    builder.output(stored)
    reasons = {item.op_type: item.reason for item in agree(builder).host_operators}
    assert reasons["Less"] == "it makes bool of what the device holds"


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_gelu_is_exact(make_builder, agree, domain):
    builder = make_builder(seed=2, is_exact=False, opset=20)
    value = builder.node("Gelu", [builder.activation((1, 8, 4, 8))], domain=domain)
    builder.output(builder.quantize(value, around=2.0**-5))
    agree(builder)


def test_swish_of_two_paths_is_one_table_in_the_conv(make_builder, agree):
    builder = make_builder(seed=3)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.requantized(builder.node("Conv", inputs))
    value = builder.node("Mul", [value, builder.node("Sigmoid", [value])])
    builder.output(builder.quantize(value))
    (node,) = agree(builder).sections[0].graph.nodes
    assert isinstance(node, Conv)
    assert node.epilogue.table is not None


def test_quantized_sigmoid_times_its_input_is_a_product(make_builder, agree):
    builder = make_builder(seed=4)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    value = builder.requantized(builder.node("Conv", inputs))
    gate = builder.requantized(builder.node("Sigmoid", [value]), around=2.0**-8)
    builder.output(builder.quantize(builder.node("Mul", [value, gate])))
    kinds = [type(node) for node in agree(builder, fraction=0.05).sections[0].graph.nodes]
    assert kinds == [Conv, Requantize, Elementwise]


def test_relu_with_its_own_quantization_clamps_the_conv(make_builder, agree):
    builder = make_builder(seed=5)
    inputs = [builder.activation((1, 3, 6, 6)), builder.weight((4, 3, 3, 3), 0)]
    quantization = builder.quantization(2.0**-3)
    value = builder.node("QuantizeLinear", [builder.node("Conv", inputs), *quantization])
    value = builder.node("Relu", [builder.dequantize(value, quantization)])
    builder.output(builder.node("QuantizeLinear", [value, *quantization]))
    (node,) = agree(builder).sections[0].graph.nodes
    assert (node.epilogue.low, node.epilogue.table) == (node.epilogue.quantization.zero_point, None)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("op_type", ["Add", "Mul", "Sum"])
@pytest.mark.parametrize("is_clamped", [False, True])
def test_two_activations_equal_onnxruntime(make_builder, agree, op_type, dtype, is_clamped):
    builder = make_builder(seed=6, dtype=dtype)
    first, second = (builder.activation((1, 5, 4, 3)) for _ in range(2))
    value = builder.node(op_type, [first, second])
    if is_clamped:
        value = builder.node("Relu", [value])
    builder.output(builder.quantize(value, around=2.0**-4))
    (node,) = agree(builder, fraction=0.05 if op_type == "Mul" else 0).sections[0].graph.nodes
    assert isinstance(node, Elementwise)


@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_two_activations_with_any_scale_differ_rarely(make_builder, agree, op_type):
    builder = make_builder(seed=7, is_exact=False)
    first, second = (builder.activation((1, 16, 16, 16)) for _ in range(2))
    builder.output(builder.quantize(builder.node(op_type, [first, second]), around=2.0**-4))
    agree(builder, fraction=1e-3)


@pytest.mark.parametrize("op_type", ["Add", "Mul"])
def test_sum_of_two_convs_is_the_later_ones_residual(make_builder, agree, op_type):
    builder = make_builder(seed=8)
    source = builder.activation((1, 3, 6, 6))
    paths = [
        builder.requantized(builder.node("Conv", [source, builder.weight((4, 3, 3, 3), 0)]))
        for _ in range(2)
    ]
    value = builder.node("Relu", [builder.node(op_type, paths)])
    builder.output(builder.quantize(value))
    # The product's zero point is added before rounding (QLinearMul): ties may round the other way.
    first, second = agree(builder, fraction=0.05 if op_type == "Mul" else 0).sections[0].graph.nodes
    assert first.residual is None
    assert second.residual.kind == {"Add": "add", "Mul": "multiply"}[op_type]
    assert second.residual.other == first.output


def test_conv_read_twice_keeps_its_own_output(make_builder, agree):
    builder = make_builder(seed=9)
    inputs = [builder.activation((1, 4, 6, 6)), builder.weight((4, 4, 1, 1), 0)]
    value = builder.requantized(builder.node("Conv", inputs))
    doubled = builder.node("Add", [value, builder.node("Relu", [value])])
    source = builder.requantized(builder.activation((1, 4, 6, 6)))
    other = builder.node("Add", [value, source])
    builder.output(builder.quantize(doubled))
    builder.output(builder.quantize(other))
    kinds = [type(node).__name__ for node in agree(builder).sections[0].graph.nodes]
    assert sorted(kinds) == ["Conv", "Elementwise", "Requantize", "Requantize"]


def test_rescaling_is_exact_at_ties(make_builder, agree):
    builder = make_builder(seed=10, is_exact=False)
    value = builder.requantized(builder.activation((1, 16, 4, 4)), around=0.1)
    builder.output(builder.quantize(value, around=0.05))
    agree(builder)


def test_function_of_an_unquantized_product_is_left_to_the_host(make_builder, agree):
    builder = make_builder(seed=11)
    inputs = [builder.activation((1, 4, 6, 6)), builder.weight((4, 4, 1, 1), 0)]
    value = builder.requantized(builder.node("Conv", inputs))
    value = builder.node("Mul", [value, builder.activation((1, 4, 6, 6))])
    builder.output(builder.quantize(builder.node("Sigmoid", [value])))
    reasons = {item.op_type: item.reason for item in agree(builder, fraction=0.02).host_operators}
    assert "is no line of one slope or two; put a" in reasons["QuantizeLinear"]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("op_type", ["Add", "Mul"])
@pytest.mark.parametrize("shape", [(7,), (3, 1), (3, 7)])
def test_quantized_constant_operand_is_an_input_map(make_builder, agree, op_type, shape, dtype):
    builder = make_builder(seed=12, dtype=dtype)
    value = builder.node("MatMul", [builder.activation((1, 3, 6)), builder.weight((6, 7), 1)])
    raw = builder.constant(builder.integers(shape))
    operand = builder.dequantize(raw, builder.quantization(2.0**-4))
    value = builder.node(op_type, [operand, builder.requantized(value)])
    builder.output(builder.quantize(value))
    imported = agree(builder, fraction=0.1 if op_type == "Mul" else 0)
    (node,) = imported.sections[0].graph.nodes
    assert node.residual.other in imported.sections[0].constants


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("is_first", [False, True])
def test_float_constant_per_channel_is_a_depthwise_conv(make_builder, agree, op_type, is_first):
    builder = make_builder(seed=13)
    numbers = np.array([-0.5, 0.25, 2.0], np.float32).reshape(1, 3, 1, 1)
    operands = [builder.activation((1, 3, 4, 4)), builder.constant(numbers)]
    if is_first and op_type != "Div":
        operands.reverse()
    builder.output(builder.quantize(builder.node(op_type, operands)))
    (node,) = agree(builder).sections[0].graph.nodes
    assert (type(node), node.groups) == (Conv, 3)


def test_batch_normalization_of_a_stored_activation_is_a_depthwise_conv(make_builder, agree):
    builder = make_builder(seed=14, is_exact=False)
    numbers = [builder.random.normal(size=8), *(builder.random.uniform(0.5, 2, (3, 8)))]
    parameters = [builder.constant(array.astype(np.float32)) for array in numbers]
    value = builder.node("BatchNormalization", [builder.activation((1, 8, 16, 16)), *parameters])
    builder.output(builder.quantize(builder.node("Relu", [value]), around=2.0**-5))
    imported = agree(builder, fraction=0.002)
    assert [type(node) for node in imported.sections[0].graph.nodes] == [Conv]
    assert "no multiple of input scale * weight scale" in imported.notes[0]


@pytest.mark.parametrize(("op_type", "is_stored"), [("Mul", True), ("Max", True), ("Max", False)])
def test_a_constant_of_more_axes_gives_the_result_as_many(make_builder, agree, op_type, is_stored):
    builder = make_builder(seed=20)
    value = builder.node("Conv", [builder.activation((1, 3, 5, 5)), builder.weight((4, 3, 1, 1))])
    value = builder.requantized(value) if is_stored else value
    value = builder.node(op_type, [value, builder.constant(np.full((1,) * 6, 0.5, np.float32))])
    builder.output(builder.quantize(value))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("op_type", ["Max", "Min"])
@pytest.mark.parametrize("shape", [(1, 6, 4, 5), (1, 6, 1, 1)])
def test_the_larger_or_smaller_of_two_maps(make_builder, agree, op_type, shape):
    builder = make_builder(seed=31, dtype="uint8")
    first, second = builder.activation((1, 6, 4, 5)), builder.activation(shape)
    value = builder.requantized(builder.node(op_type, [first, second]), 2.0**-5)
    builder.output(builder.quantize(builder.node("Conv", [value, builder.weight((3, 6, 1, 1))])))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("op_type", ["Max", "Min"])
@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (1, 6, 4, 5, 1), (6, 20), (1, 5, 24), (120,)])
def test_the_larger_or_smaller_of_values_of_any_shape(make_builder, agree, op_type, shape):
    builder = make_builder(seed=32)
    value = builder.node("Conv", [builder.activation((1, 3, 4, 5)), builder.weight((6, 3, 1, 1))])
    value = builder.requantized(value, 2.0**-2)
    change = "Expand" if len(shape) == 4 else "Reshape"
    value = builder.node(change, [value, builder.constant([*shape])])
    value = builder.node(op_type, [value, builder.activation(shape)])
    builder.output(builder.quantize(value))
    assert agree(builder).host_operators == ()


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_the_larger_or_smaller_of_maps_that_are_wider_than_a_window(make_builder, agree, op_type):
    builder = make_builder(seed=33)
    parts = [builder.activation((1, 3, 2, MAX_DILATION + 1)) for _ in range(2)]
    builder.output(builder.quantize(builder.node(op_type, parts)))
    assert agree(builder).host_operators == ()


def cycles_of_larger(builder, height, width):
    """A program's cycles at `edge`, for a pixel."""
    source = builder.activation((1, 8, height, width))
    parts = [builder.node("Conv", [source, builder.weight((8, 8, 1, 1))]) for _ in range(2)]
    value = builder.node("Max", [builder.requantized(part) for part in parts])
    value = builder.node("Conv", [builder.requantized(value), builder.weight((8, 8, 1, 1))])
    builder.output(builder.quantize(value))
    program = list_instructions(import_model(builder.model()), PRESETS["edge"])
    return simulate(program).cycles / (height * width)


def test_both_maps_stay_in_activation_sram(make_builder):
    """However many pixels they have: their rows, not their pixels, must not be more than 4095."""
    below, above = (cycles_of_larger(make_builder(seed=34), 64, width) for width in (63, 64))
    assert above < 1.02 * below < 11
