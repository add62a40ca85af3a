"""Sections and islands: where a model is cut, what each part reads, what is worth a section."""

import numpy as np
import pytest
from model_runs import run_on_iss, run_on_reference

from tilewright.compiler import host_cost
from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.options import ImportOptions
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.steps import Island

LARGE, SMALL = 16, 2


def convolved(builder, value, channels, outputs):
    product = builder.node("Conv", [value, builder.weight((outputs, channels, 1, 1), 0)])
    return builder.requantized(product)


def hosted(builder, value):
    """Something between two activations that only the host computes."""
    return builder.requantized(builder.node("Softmax", [value], axis=1), around=2.0**-8)


def kinds(imported):
    return ["island" if isinstance(step, Island) else "section" for step in imported.steps]


def test_host_operator_in_the_middle_makes_two_sections(make_builder, agree):
    builder = make_builder(seed=1, is_exact=False)
    value = convolved(builder, builder.activation((1, 4, 6, 6)), 4, 8)
    value = convolved(builder, hosted(builder, value), 8, 3)
    builder.output(builder.node("Softmax", [value], axis=1), "float32")
    imported = import_model(builder.model())
    assert kinds(imported) == ["section", "island", "section", "island"]
    assert [step.name for step in imported.steps] == ["section0", "island0", "section1", "island1"]
    operators = [operator.op_type for operator in imported.islands[0].operators]
    assert operators == ["DequantizeLinear", "Softmax", "QuantizeLinear"]


def test_parallel_branches_share_sections(make_builder):
    builder = make_builder(seed=2, is_exact=False)
    source = builder.activation((1, 4, 6, 6))
    first = hosted(builder, convolved(builder, source, 4, 4))
    second = convolved(builder, source, 4, 4)
    total = builder.requantized(builder.node("Add", [first, second]))
    builder.output(builder.quantize(builder.node("Relu", [convolved(builder, total, 4, 4)])))
    builder.output(builder.quantize(builder.node("Relu", [convolved(builder, second, 4, 4)])))
    imported = import_model(builder.model())
    assert kinds(imported) == ["section", "island", "section"]
    carried = {tensor.name for tensor in imported.sections[1].inputs}
    assert carried & {tensor.name for tensor in imported.sections[0].outputs}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("preset", ["nano", "base"])
def test_random_chain_of_sections_equals_the_reference(make_builder, seed, preset):
    builder = make_builder(seed=seed, is_exact=False, dtype=["int8", "uint8"][seed % 2])
    values = [builder.activation((1, 4, 5, 7))]
    for _ in range(8):
        value = values[int(builder.random.integers(len(values)))]
        match int(builder.random.integers(4)):
            case 0:
                values.append(hosted(builder, value))
            case 1:
                other = values[int(builder.random.integers(len(values)))]
                values.append(builder.requantized(builder.node("Add", [value, other])))
            case 2:
                turned = builder.node("Transpose", [value], perm=[0, 1, 3, 2])
                values.append(convolved(builder, turned, 4, 4))
                values[-1] = builder.node("Transpose", [values[-1]], perm=[0, 1, 3, 2])
            case _:
                values.append(convolved(builder, value, 4, 4))
    builder.output(builder.quantize(builder.node("Relu", [convolved(builder, values[-1], 4, 4)])))
    builder.output(builder.quantize(builder.node("Relu", [convolved(builder, values[4], 4, 4)])))
    imported = import_model(builder.model())
    for first, second in zip(kinds(imported), kinds(imported)[1:], strict=False):
        assert (first, second) != ("island", "island")
    given = run_on_iss(compile_model(imported, PRESETS[preset]), builder.feeds)
    for name, expected in run_on_reference(imported, builder.feeds).items():
        np.testing.assert_array_equal(given[name], expected)


def small_behind_large(builder):
    value = convolved(builder, builder.activation((1, 64, LARGE, LARGE)), 64, 64)
    value = builder.requantized(builder.node("ReduceMean", [value], axes=[2, 3], keepdims=1))
    value = builder.requantized(builder.node("Softmax", [value], axis=1), around=2.0**-8)
    return convolved(builder, value, 64, SMALL)


def test_a_section_that_costs_more_than_it_saves_joins_the_host(make_builder):
    builder = make_builder(seed=3, is_exact=False)
    value = hosted(builder, small_behind_large(builder))
    builder.output(builder.quantize(builder.node("Relu", [value])))
    model = builder.model()
    kept = import_model(model, PRESETS["nano"], ImportOptions(keep_sections=True))
    joined = import_model(model, PRESETS["nano"])
    assert (len(kept.sections), len(joined.sections)) == (3, 2)
    reasons = {operator.reason for operator in joined.host_operators}
    assert any("--keep-sections keeps it" in reason for reason in reasons)
    assert joined.coverage.macs_accelerator < kept.coverage.macs_accelerator
    expected = run_on_reference(kept, builder.feeds)
    for name, given in run_on_reference(joined, builder.feeds).items():
        assert np.abs(given.astype(int) - expected[name]).max() <= 1


def test_strict_keeps_sections_that_cost_more_than_they_save(make_builder, monkeypatch):
    builder = make_builder(seed=4, is_exact=False)
    value = convolved(builder, builder.activation((1, 4, 6, 6)), 4, 4)
    turned = builder.node("Transpose", [value], perm=[0, 2, 3, 1])
    builder.output(builder.quantize(builder.node("Relu", [convolved(builder, turned, 6, 4)])))
    model = builder.model()
    monkeypatch.setattr(host_cost, "START_SECONDS", 1.0)
    assert len(import_model(model, PRESETS["nano"]).sections) == 1
    strict = import_model(model, PRESETS["nano"], ImportOptions(strict=True))
    assert (len(strict.sections), strict.islands) == (2, ())
