"""Models of which nothing can run: one line says what they are and what works instead."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.frontend.importer import import_model
from tilewright.compiler.frontend.source import load_source
from tilewright.support.errors import ModelError

QUANTIZE = "`tilewright quantize FLOAT.onnx --calibration DATA.npz -o INT8.onnx`"


def model_of(*nodes, **constants):
    """A model x [1, 4] -> y [1, 4] with opset imports of every domain that occurs."""
    given = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(list(nodes), "test", ends[:1], ends[1:], given)
    domains = {node.domain for node in nodes} | {""}
    opsets = [helper.make_opsetid(domain, 1 if domain else 17) for domain in sorted(domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def message_of(model):
    with pytest.raises(ModelError) as error:
        import_model(model)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_qonnx():
    quant = helper.make_node(
        "Quant", ["x", "scale", "zero", "bits"], ["y"], domain="qonnx.custom_op.general"
    )
    model = model_of(quant, scale=np.float32(1), zero=np.float32(0), bits=np.float32(4))
    assert "in QONNX form (Quant operators); convert it" in message_of(model)


def test_dynamic_quantization():
    quantize = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], "first")
    back = helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"])
    message = message_of(model_of(quantize, back))
    assert "dynamically quantized: DynamicQuantizeLinear 'first'" in message
    assert QUANTIZE in message


def test_weights_only():
    back = helper.make_node("DequantizeLinear", ["w", "scale"], ["real"])
    product = helper.make_node("MatMul", ["x", "real"], ["y"])
    message = message_of(model_of(back, product, w=np.ones((4, 4), np.int8), scale=np.float32(1)))
    assert message.startswith("only the weights are quantized")
    assert QUANTIZE in message


def test_packed_weights_only():
    product = helper.make_node(
        "MatMulNBits", ["x", "w", "scale"], ["y"], domain="com.microsoft", K=4, N=4, bits=4,
        block_size=16,
    )  # fmt: skip
    constants = {"w": np.zeros((4, 1, 8), np.uint8), "scale": np.ones(4, np.float32)}
    assert message_of(model_of(product, **constants)).startswith("only the weights are quantized")


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("com.amd.quark", "quantized by operators of Quark (AnyQuantizeLinear 'q')"),
        ("com.vai.quantize", "quantized by operators of Vitis AI's quantizer (AnyQuantizeLinear"),
        ("my.own", "AnyQuantizeLinear 'q' of the domain 'my.own' is none"),
    ],
)
def test_operators_that_onnx_does_not_have(domain, expected):
    node = helper.make_node("AnyQuantizeLinear", ["x"], ["y"], "q", domain=domain)
    assert expected in message_of(model_of(node))


def test_activations_that_are_quantized_only_in_front():
    back = helper.make_node("DequantizeLinear", ["x", "scale"], ["real"])
    sigmoid = helper.make_node("Sigmoid", ["real"], ["y"], "last")
    model = model_of(back, sigmoid, scale=np.float32(1))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    assert "put a QuantizeLinear and DequantizeLinear behind Sigmoid 'last'" in message_of(model)


def test_external_data_that_is_missing(tmp_path):
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = tmp_path / "model.onnx"
    model = model_of(product, w=np.ones((4, 4), np.float32))
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ModelError, match="keep those files beside the model"):
        load_source(path)


@pytest.mark.parametrize("kind", ["int16", "uint16"])
def test_activations_of_16_bits(kind):
    names = ["scale", "zero"]
    quantize = helper.make_node("QuantizeLinear", ["x", *names], ["q"], domain="com.microsoft")
    back = helper.make_node("DequantizeLinear", ["q", *names], ["y"], domain="com.microsoft")
    model = model_of(quantize, back, scale=np.float32(1), zero=np.zeros((), kind))
    message = message_of(model)
    assert f"activations are {kind}, activations must be int8 or uint8" in message
    assert QUANTIZE in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"PK\x03\x04\x00\x00", r"torch\.onnx\.export"),
        (b"\x1c\0\0\0TFL3\0\0", "tf2onnx"),
        (b"<!DOCTYPE html>", "HTML"),
    ],
)
def test_files_of_another_kind(tmp_path, content, message):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_source(path)
