"""Convolutions' values that the host reads, in two maps: the accelerator computes them."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference
from onnx import helper
from unquantized import convolved, gated, quantized

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.options import ImportOptions
from tilewright.hw.spec.config import PRESETS

FEW = 0.12
"""The part of the results that may be one step off."""
SECTIONS = ImportOptions(keep_sections=True)


def squeezed(builder, function, scale):
    """What the gate opens is a function, and nothing near it is quantized."""
    value = convolved(builder, function=function)
    quantized(builder, builder.node("Mul", [value, gated(builder, value)]), scale)


def swish_in_parts(builder):
    value = convolved(builder)
    three, zero, six = (builder.constant(np.float32(number)) for number in (3, 0, 6))
    clipped = builder.node("Clip", [builder.node("Add", [value, three]), zero, six])
    value = builder.node("Div", [builder.node("Mul", [value, clipped]), six])
    opened = builder.node("Mul", [value, gated(builder, value)])
    quantized(builder, builder.node("AveragePool", [opened], kernel_shape=[2, 2]), 0.04)


def softmax(builder):
    quantized(builder, builder.node("Softmax", [convolved(builder)], axis=1), 2.0**-8, -128)


def two_branches(builder):
    """A gated linear unit, and a sum with what the host makes of a stored value."""
    gate = builder.node("Sigmoid", [convolved(builder)])
    product = builder.node("Mul", [convolved(builder), gate])
    stored = builder.node("Softmax", [builder.activation((1, 8, 12, 12))], axis=1)
    quantized(builder, builder.node("Add", [product, stored]), 0.05)


CASES = {
    "Relu": lambda builder: squeezed(builder, "Relu", 0.03),
    "HardSwish": lambda builder: squeezed(builder, "HardSwish", 0.03),
    "SiLU": lambda builder: squeezed(builder, "SiLU", 0.03),
    "parts": swish_in_parts,
    "softmax": softmax,
    "branches": two_branches,
}


@pytest.mark.parametrize("build", CASES.values(), ids=CASES)
def test_the_accelerator_takes_all_multiplications(make_builder, agree, build):
    builder = make_builder(seed=1, is_exact=False)
    build(builder)
    imported = agree(builder, fraction=FEW)
    assert imported.coverage.macs_accelerator == imported.coverage.macs_total > 0
    reasons = [item.reason for item in imported.host_operators]
    assert "adds up the two halves of a convolution's value" in reasons
    expected = run_on_reference(imported, builder.feeds)
    given = run_on_iss(compile_model(imported, PRESETS["nano"]), builder.feeds)
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array)


def test_what_the_accelerator_lacks_keeps_its_reason(make_builder):
    builder = make_builder(seed=2, is_exact=False)
    softmax(builder)
    imported = import_model(builder.model())
    reasons = {item.op_type: item.reason for item in imported.host_operators}
    assert reasons["Softmax"] == "the accelerator has no softmax unit"
    assert imported.coverage.operators_total == len(builder.nodes) - 1, "weights are constant"


def float_output(builder):
    builder.output(builder.node("Softmax", [convolved(builder)], axis=1), "float32")


def too_fine_a_scale(builder):
    squeezed(builder, "HardSwish", 2.0**-12)


def unknown_operator(builder):
    value = builder.node("LpNormalization", [convolved(builder)], axis=1)
    quantized(builder, value, 2.0**-7)


def jumps(builder):
    """However small the error, a value next to a jump may be on its other side."""
    quantized(builder, builder.node("Round", [convolved(builder)]), 0.9)


def branch(builder):
    """An If reads the value from within."""
    value = convolved(builder)
    zero = builder.constant(np.zeros(1, np.float32))
    condition = builder.node("Greater", [builder.activation((1,)), zero])
    output = helper.make_tensor_value_info("chosen", 1, None)
    graphs = [
        helper.make_graph([helper.make_node(kind, [value], ["chosen"])], kind, [], [output])
        for kind in ("Exp", "Relu")
    ]
    both = dict(zip(("then_branch", "else_branch"), graphs, strict=True))
    quantized(builder, builder.node("If", [condition], **both), 0.05)


@pytest.mark.parametrize("build", [float_output, too_fine_a_scale, unknown_operator, jumps, branch])
def test_where_a_step_cannot_be_promised_the_host_computes_it(make_builder, agree, build):
    """The other convolution is quantized."""
    builder = make_builder(seed=3)
    build(builder)
    builder.output(builder.quantize(convolved(builder)))
    imported = agree(builder)
    assert imported.coverage.macs_accelerator < imported.coverage.macs_total
    assert not any("two halves" in item.reason for item in imported.host_operators)


def test_sections_that_do_not_pay_stay_with_the_host(make_builder):
    """The second one, of which the accelerator would hand over a little."""
    builder = make_builder(seed=4, is_exact=False)
    value = builder.node("Softmax", [convolved(builder, (1, 8, 40, 40))], axis=1)
    value = builder.node("MaxPool", [value], kernel_shape=[40, 40])
    value = builder.requantized(value, 2.0**-7)
    value = builder.node("Conv", [value, builder.weight((8, 8, 1, 1), around=2.0**-8)])
    quantized(builder, builder.node("Softmax", [value], axis=1), 2.0**-8, -128)
    model = builder.model()
    kept = import_model(model, PRESETS["base"], SECTIONS)
    assert len(kept.sections) == 2
    imported = import_model(model, PRESETS["base"])
    assert len(imported.sections) == 1
    names = [item.name for item in imported.host_operators if "two halves" in item.reason]
    assert names == ["conv_9/handed sum"]
    expected, given = (run_on_reference(item, builder.feeds) for item in (kept, imported))
    for name, array in expected.items():
        assert np.abs(given[name].astype(int) - array).max() <= 1
