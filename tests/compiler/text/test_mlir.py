"""The generic form: names, strings, numbers and arrays survive xDSL's parser."""

import math

import numpy as np
import pytest
from reading import attributes_of, operations, parse

from tilewright.compiler.text.mlir import Names, Operation, Printer, Value, binary32, string

TEXTS = ["", "a/b:0", 'quote " and \\ backslash', "tab\tand\nnewline", "größe“", "\x00\x7f", "%x#1"]


def round_trip(value, *, with_weights: bool = False):
    operation = Operation(name="tw.test", attributes={"value": value})
    module = Operation(name="builtin.module", body=(operation,))
    text = Printer(with_weights=with_weights).text(module)
    (found,) = operations(parse(text))
    return attributes_of(found)["value"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_string_survives(text):
    assert round_trip(text) == text
    assert string(text).isascii()


@pytest.mark.parametrize("value", [0, -(2**63), 2**32 - 1, True, False, (1, -2), ("a", "b"), ()])
def test_integers_flags_and_sequences_survive(value):
    found = round_trip(value)
    assert found == value
    assert type(found) is type(value)


def test_nested_records_survive():
    value = {"a": {"b": (1, 2)}, "c/d": ({"e": "f"},)}
    assert round_trip(value) == value


def test_binary32_values_survive_to_the_bit():
    random = np.random.default_rng(1)
    patterns = random.integers(0, 2**32, 3000, dtype=np.uint32)
    values = [v for v in patterns.view(np.float32) if np.isfinite(v)]
    values += [np.float32(v) for v in (0.0, -0.0, 1e-45, 1e-5, 1.0, 1e10, 3.4028235e38)]
    found = round_trip(tuple(float(v) for v in values))
    assert np.array(found, np.float32).tobytes() == np.array(values, np.float32).tobytes()


def test_infinity_is_its_bit_pattern():
    assert binary32(math.inf) == "0x7F800000 : f32"
    assert round_trip(-math.inf) == -math.inf


def test_value_beyond_binary32_is_our_mistake():
    with pytest.raises(AssertionError, match="is no binary32 value"):
        binary32(0.1)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(1,), (2, 3), (4, 3, 2, 2), (0,)])
def test_arrays_survive_with_weights(dtype, shape):
    array = (np.random.default_rng(2).normal(size=shape) * 50).astype(dtype)
    found = round_trip(array, with_weights=True)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array)


def test_arrays_are_type_and_digest_without_weights():
    first, second = (round_trip(np.full((2, 3), value, np.int8)) for value in (1, 2))
    assert first["type"] == "tensor<2x3xi8>"
    assert first["digest"] != second["digest"]


def test_names_are_legal_and_unique():
    names = Names()
    texts = [*TEXTS, "a/b/0", "a_b_0", "a:b/0", "0", "0", "a_b_0_2"]
    taken = [names.take(text) for text in texts]
    assert len(set(taken)) == len(texts)
    operation = Operation(
        name="tw.test", results=tuple(Value(name=name, type="i8") for name in taken)
    )
    (found,) = operations(parse(Printer().text(operation)))
    assert len(found.results) == len(texts)
