"""Einsum of an activation and a constant against ONNX Runtime."""

import numpy as np
import pytest

EQUATIONS = {
    "btc,cd->btd": ((1, 6, 8), (8, 5), 1),
    "btc,dc->btd": ((1, 6, 8), (5, 8), 0),
    "btc,chd->bhtd": ((1, 6, 8), (8, 2, 5), None),
    "bthd,hde->bte": ((1, 6, 2, 4), (2, 4, 5), 2),
    "bhtd,hde->bhte": ((1, 2, 6, 4), (2, 4, 5), None),
    "...c,cd": ((1, 6, 8), (8, 5), 1),
    "bchw,oc->bohw": ((1, 8, 4, 5), (6, 8), 0),
    "b c h w, o c -> b h w o": ((1, 8, 4, 5), (6, 8), 0),
}


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("is_first", [True, False])
def test_products_are_on_the_accelerator(make_builder, agree, equation, is_first):
    shape, weights, axis = EQUATIONS[equation]
    builder = make_builder(seed=1)
    value = builder.activation(shape)
    operands = [value, builder.weight(weights, axis, 2.0**-8)]
    if not is_first:
        left, _, result = equation.partition("->")
        equation = ",".join(reversed(left.split(","))) + "->" + (result or "...d")
        operands.reverse()
    value = builder.node("Einsum", operands, equation=equation)
    bias = builder.constant(np.ones(1, np.float32) / 8)
    builder.output(builder.quantize(builder.node("Relu", [builder.node("Add", [value, bias])])))
    imported = agree(builder)
    assert len(imported.steps) == 1
    assert imported.coverage.macs_total == imported.coverage.macs_accelerator > 0


@pytest.mark.parametrize("equation", ["btc,cd->bd", "bct,cd->td", "btt,td->btd"])
def test_other_equations_are_left_to_the_host(make_builder, agree, equation):
    builder = make_builder(seed=2)
    value = builder.requantized(
        builder.node("Conv", [builder.activation((1, 4, 4)), builder.weight((4, 4, 1))])
    )
    value = builder.node("Einsum", [value, builder.weight((4, 5))], equation=equation)
    builder.output(builder.quantize(value))
    reasons = {item.op_type: item.reason for item in agree(builder).host_operators}
    assert "no matrix product" in reasons["Einsum"]


@pytest.mark.parametrize("shape", [(8, 5), (1, 8, 5), (2, 8, 5)])
@pytest.mark.parametrize("axis", [0, None])
def test_a_constant_left_operand_of_a_product(make_builder, agree, shape, axis):
    builder = make_builder(seed=3)
    value = builder.activation(shape)
    value = builder.node("MatMul", [builder.weight((6, 8), axis, 2.0**-8), value])
    value = builder.node("Relu", [value])
    builder.output(builder.quantize(value))
    assert len(agree(builder).steps) == 1
