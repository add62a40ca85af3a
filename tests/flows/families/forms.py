"""The int8 forms in which people have these networks, one a quantizer, on random samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from tensorrt import quantized_like_tensorrt
from vitis import PRODUCTS, quantized_like_vitis

from tilewright.flows.quantization.flow import Request, quantize_file

FIRST_OPSET_OF_AXES = 13
Sample = dict[str, np.ndarray]


class Reader(CalibrationDataReader):
    """Gives the samples one by one."""

    def __init__(self, samples: list[Sample]) -> None:
        self.rest = iter(samples)

    def get_next(self) -> Sample | None:
        return next(self.rest, None)


def draw(model: ModelProto, *, seed: int) -> Sample:
    """A value for each input."""
    random = np.random.default_rng(seed)
    sizes = {
        item.name: [dimension.dim_value for dimension in item.type.tensor_type.shape.dim]
        for item in model.graph.input
    }
    return {name: random.normal(size=size).astype(np.float32) for name, size in sizes.items()}


def by_tilewright(path: Path) -> ModelProto:
    """`tilewright quantize`."""
    return quantize_file(Request(model=path, samples=2)).model


def by_onnxruntime(path: Path) -> ModelProto:
    """quantize_static as its documentation shows it: uint8 activations with zero points."""
    return _static(path, QuantFormat.QDQ, QuantType.QUInt8, QuantType.QInt8)


def in_operators(path: Path) -> ModelProto:
    """quantize_static to QLinear operators, uint8 weights with zero points."""
    return _static(path, QuantFormat.QOperator, QuantType.QUInt8, QuantType.QUInt8)


def by_vitis(path: Path) -> ModelProto:
    """Vitis AI's quantizer."""
    model = onnx.load(path)
    return quantized_like_vitis(model, draw(model, seed=1))


def by_tensorrt(path: Path) -> ModelProto:
    """TensorRT's tools: nothing is quantized but what convolutions, products and sums read."""
    model = onnx.load(path)
    return quantized_like_tensorrt(model, draw(model, seed=1))


def by_inputs(path: Path) -> ModelProto:
    """PaddleSlim's and ModelOpt's: what convolutions and products read is quantized, nothing else.

    int8, symmetric, weights by channel where the operator set has scales along an axis.
    """
    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    opset = onnx.load(prepared).opset_import[0].version
    return _static(
        prepared, QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt8,
        per_channel=opset >= FIRST_OPSET_OF_AXES,
        op_types_to_quantize=[*PRODUCTS],
        extra_options={"ActivationSymmetric": True, "OpTypesToExcludeOutputQuantization": PRODUCTS},
    )  # fmt: skip


def _static(
    path: Path,
    quant_format: QuantFormat,
    activations: QuantType,
    weights: QuantType,
    **options: Any,
) -> ModelProto:
    target = path.with_suffix(".quantized.onnx")
    samples = [draw(onnx.load(path), seed=seed) for seed in (1, 2)]
    quantize_static(
        path, target, Reader(samples), quant_format=quant_format, activation_type=activations,
        weight_type=weights, **options,
    )  # fmt: skip
    return onnx.load(target)


FORMS: dict[str, Callable[[Path], ModelProto]] = {
    "tilewright": by_tilewright,
    "inputs": by_inputs,
    "onnxruntime": by_onnxruntime,
    "operators": in_operators,
    "tensorrt": by_tensorrt,
    "vitis": by_vitis,
}
