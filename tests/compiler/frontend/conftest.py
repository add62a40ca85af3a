"""Small quantized ONNX models, and their comparison with ONNX Runtime as written."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from model_runs import run_on_reference
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tilewright.compiler.frontend.importer import ImportedModel, import_model

TYPES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}


class ModelBuilder:
    """Builds a model node by node; scales are powers of two where `is_exact`.

    With such scales ONNX Runtime's float arithmetic is exact, so that results must be equal.
    """

    def __init__(self, *, seed: int, dtype: str = "int8", is_exact: bool = True, opset: int = 17):
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.is_exact = is_exact
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.feeds: dict[str, np.ndarray] = {}
        self.count = 0

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"

    def constant(self, array: Any, name: str = "constant") -> str:
        name = self.name(name)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op_type: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        output = self.name(op_type.lower())
        self.nodes.append(
            helper.make_node(op_type, inputs, [output], output, domain=domain, **attributes)
        )
        return output

    def scale(self, shape: tuple[int, ...] = (), around: float = 2.0**-5) -> np.ndarray:
        if self.is_exact:
            factor = 2.0 ** self.random.integers(-1, 2, shape)
        else:
            factor = self.random.uniform(0.5, 2.0, shape)
        return np.asarray(around * factor, np.float32)

    def zero_point(self, value: int | None = None) -> np.ndarray:
        """A zero point given for int8; uint8 gets 128 more."""
        value = int(self.random.integers(-20, 20)) if value is None else value
        return np.array(value + (128 if self.dtype == "uint8" else 0), self.dtype)

    def integers(self, shape: tuple[int, ...], dtype: str | None = None) -> np.ndarray:
        limits = np.iinfo(dtype or self.dtype)
        return self.random.integers(limits.min, limits.max + 1, shape).astype(limits.dtype)

    def quantization(self, around: float = 2.0**-5, zero_point: int | None = None) -> list[str]:
        return [self.constant(self.scale((), around)), self.constant(self.zero_point(zero_point))]

    def stored_input(self, shape: tuple[int, ...]) -> str:
        name = self.name("input")
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[self.dtype], shape))
        self.feeds[name] = self.integers(shape)
        return name

    def activation(
        self, shape: tuple[int, ...], around: float = 2.0**-5, zero_point: int | None = None
    ) -> str:
        """A dequantized model input."""
        return self.dequantize(self.stored_input(shape), self.quantization(around, zero_point))

    def set_extremes(self) -> None:
        """Fill the first channels of the inputs with every combination of smallest and largest."""
        for number, feed in enumerate(self.feeds.values()):
            limits = np.iinfo(feed.dtype)
            for channel in range(2 ** len(self.feeds)):
                feed[:, channel] = limits.max if channel >> number & 1 else limits.min

    def dequantize(self, name: str, quantization: list[str]) -> str:
        return self.node("DequantizeLinear", [name, *quantization])

    def quantize(self, name: str, around: float = 2.0**-3, zero_point: int | None = None) -> str:
        return self.node("QuantizeLinear", [name, *self.quantization(around, zero_point)])

    def requantized(self, name: str, around: float = 2.0**-3, zero_point: int | None = None) -> str:
        """QuantizeLinear and DequantizeLinear with one scale."""
        quantization = self.quantization(around, zero_point)
        return self.dequantize(self.node("QuantizeLinear", [name, *quantization]), quantization)

    def weight(
        self, shape: tuple[int, ...], axis: int | None = None, around: float = 2.0**-6
    ) -> str:
        """Dequantized int8 weights, per channel along `axis` where given."""
        channels = () if axis is None else (shape[axis],)
        stored = self.constant(self.integers(shape, "int8"), "weight")
        scale = self.constant(self.scale(channels, around))
        zero_point = self.constant(np.zeros(channels, np.int8))
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", [stored, scale, zero_point], **attributes)

    def output(self, name: str, dtype: str | None = None) -> str:
        self.outputs.append((name, TYPES[dtype or self.dtype]))
        return name

    def model(self) -> ModelProto:
        outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in self.outputs]
        graph = helper.make_graph(self.nodes, "test", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        sizes = {key: list(value.shape) for key, value in onnx_outputs(model, self.feeds).items()}
        for item in model.graph.output:
            kind = item.type.tensor_type.elem_type
            item.CopyFrom(helper.make_tensor_value_info(item.name, kind, sizes[item.name]))
        return model


def onnx_outputs(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def assert_agreement(builder: ModelBuilder, *, fraction: float = 0.0) -> ImportedModel:
    """Import the model and compare it with ONNX Runtime.

    At most `fraction` of the elements may differ, by one step; none with exact scales.
    """
    model = builder.model()
    imported = import_model(model)
    expected, given = onnx_outputs(model, builder.feeds), run_on_reference(imported, builder.feeds)
    assert set(expected) == set(given)
    for name, array in expected.items():
        assert given[name].dtype == array.dtype
        assert given[name].shape == array.shape
        steps = np.abs(given[name].astype(np.float64) - array.astype(np.float64))
        assert steps.max() <= (1 if fraction else 0)
        assert np.count_nonzero(steps) <= fraction * steps.size
    return imported


@pytest.fixture
def make_builder() -> Callable[..., ModelBuilder]:
    return ModelBuilder


@pytest.fixture
def agree() -> Callable[..., ImportedModel]:
    return assert_agreement
