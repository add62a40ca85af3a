"""Float ONNX files as the quantizer takes them: recent, folded, every node with a name."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.flows.quantization.shapes import fix_batch, fix_shapes, inputs_of
from tilewright.support.errors import ModelError
from tilewright.support.files import missing
from tilewright.support.ort import first_line, write_folded

if TYPE_CHECKING:
    import onnx

MIN_OPSET = 13
"""The first ai.onnx opset whose QuantizeLinear has a scale per channel."""
TARGET_OPSET = 17
"""What older models are converted to."""
MIN_IR_VERSION = 8
FLOAT_FILE = "quantize the float model that it was made from"
QUANTIZED = (
    (
        ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul"),
        f"is dynamically quantized; {FLOAT_FILE}",
    ),
    (("MatMulNBits", "MatMulBnb4"), f"has quantized weights and float activations; {FLOAT_FILE}"),
    (("Quant", "BipolarQuant"), f"is a QONNX model, quantized already; {FLOAT_FILE}"),
    (
        ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm"),
        "is quantized already; `tilewright compile` takes it as it is",
    ),
    (("DequantizeLinear",), f"has quantized weights and float activations; {FLOAT_FILE}"),
)
"""Operators of models that are no float models, and what to do about each kind, in this order."""


def load_model(path: Path) -> "onnx.ModelProto":
    """Read a float ONNX file. Raises ModelError when it is missing, malformed or quantized."""
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise ModelError(missing(path, "a float ONNX model"))
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path}: not a readable ONNX model: {error}") from None
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path}: not a valid ONNX model: {first_line(error)}") from None
    _refuse_quantized(path, {node.op_type: node for node in reversed(model.graph.node)})
    return model


def _refuse_quantized(path: Path, operators: "dict[str, onnx.NodeProto]") -> None:
    """Raise ModelError where an operator, by its type, is one of a quantized model."""
    for operators_of, what in QUANTIZED:
        for name in operators_of:
            if name in operators:
                raise ModelError(f"{path}: {what} (it has {name} {operators[name].name!r})")


def prepare(
    model: "onnx.ModelProto",
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    one_sample: bool = False,
) -> "onnx.ModelProto":
    """Return the model ready for calibration: a recent opset, folded constants and batch
    normalization, inputs whose axis 0 alone may be symbolic.

    shapes: sizes of symbolic dimensions, shapes of inputs, by name. `one_sample` sets a symbolic
    axis 0 of inputs to 1. Raises ModelError for other symbolic dimensions and for what ONNX Runtime
    refuses.
    """
    import onnx

    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    _drop_constant_inputs(prepared)
    fix_shapes(prepared, shapes or {})
    if one_sample:
        fix_batch(prepared)
    inputs_of(prepared)
    return _folded(_converted(prepared))


def _drop_constant_inputs(model: "onnx.ModelProto") -> None:
    """Models of IR version 3 list their constants as inputs, which no pass then folds."""
    constants = {item.name for item in model.graph.initializer}
    kept = [item for item in model.graph.input if item.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, MIN_IR_VERSION)


def _converted(model: "onnx.ModelProto") -> "onnx.ModelProto":
    from onnx import version_converter

    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 1)
    if opset >= MIN_OPSET:
        return model
    try:
        return version_converter.convert_version(model, TARGET_OPSET)
    except Exception as error:  # ConvertError is no subclass of a public exception
        raise ModelError(
            f"opset {opset} must be at least {MIN_OPSET} and cannot be converted: "
            f"{first_line(error)}; export the model anew"
        ) from None


def _folded(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return the model with constants propagated and batch normalization in the weights."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        write_folded(model.SerializeToString(), path)
        folded = onnx.load(path)
    _flatten_biases(folded)
    _name_nodes(folded)
    return folded


def _name_nodes(model: "onnx.ModelProto") -> None:
    """Give every node a name of its own: the first one with a name keeps it."""
    taken: set[str] = set()
    for node in model.graph.node:
        stem = node.name or node.op_type
        names = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(1)))
        node.name = next(name for name in names if name not in taken)
        taken.add(node.name)


def _flatten_biases(model: "onnx.ModelProto") -> None:
    """Give the biases [1, n] of Gemm operators the shape [n], the one that the quantizer takes."""

    users = Counter(name for node in model.graph.node for name in node.input)
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        bias = constants.get(node.input[2]) if node.op_type == "Gemm" and node.input[2:] else None
        if bias is not None and users[bias.name] == 1 and len(bias.dims) == 2 and bias.dims[0] == 1:
            del bias.dims[0]
