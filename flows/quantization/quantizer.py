"""From a float ONNX model to an int8 QDQ model, through ONNX Runtime's static quantizer."""

import contextlib
import itertools
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewright.flows.quantization.expressions import find_expressions
from tilewright.flows.quantization.graph_view import GraphView
from tilewright.flows.quantization.outline import function_names, outlined, restore
from tilewright.flows.quantization.selection import Selection, select
from tilewright.flows.runtime.tensors import Sample
from tilewright.support.errors import ModelError
from tilewright.support.files import missing
from tilewright.support.ort import first_line, open_session, run_session, write_folded

if TYPE_CHECKING:
    import onnx

MIN_OPSET = 13
"""The first ai.onnx opset whose QuantizeLinear has a scale per channel."""
TARGET_OPSET = 17
"""What older models are converted to."""
MIN_IR_VERSION = 8


@dataclass(frozen=True, kw_only=True)
class FloatInput:
    """Name, NumPy dtype name and static shape of a model input."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a model is quantized; weights are symmetric int8, activations int8."""

    per_tensor: bool = False
    """One weight scale a layer instead of one an output channel."""
    symmetric: bool = False
    """Activation zero points of 0."""


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
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"):
            raise ModelError(
                f"{path}: is quantized already (it has {node.op_type} {node.name!r}); "
                f"`tilewright compile` takes it as it is"
            )
    return model


def prepare(model: "onnx.ModelProto", *, fix_batch: bool = False) -> "onnx.ModelProto":
    """Return the model ready for calibration: static inputs, a recent opset, folded constants and
    batch normalization. `fix_batch` fixes a dynamic first dimension of an input to 1.

    Raises ModelError for other dynamic dimensions and for what ONNX Runtime refuses.
    """
    import onnx

    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    _drop_constant_inputs(prepared)
    if fix_batch:
        _fix_batch(prepared)
    inputs_of(prepared)
    return _folded(_converted(prepared))


def inputs_of(model: "onnx.ModelProto") -> tuple[FloatInput, ...]:
    """Return the inputs that are no constants. Raises ModelError for a dynamic dimension."""
    from onnx import helper

    constants = {item.name for item in model.graph.initializer}
    inputs = []
    for item in model.graph.input:
        if item.name in constants:
            continue
        tensor = item.type.tensor_type
        shape = tuple(int(dimension.dim_value) for dimension in tensor.shape.dim)
        if not tensor.HasField("shape") or min(shape, default=1) < 1:
            names = [d.dim_param or d.dim_value or "?" for d in tensor.shape.dim]
            raise ModelError(
                f"input {item.name!r} must have a static shape, got [{', '.join(map(str, names))}];"
                " --fix-batch fixes a dynamic first dimension to 1, other ones are fixed with "
                "`python -m onnxruntime.tools.make_dynamic_shape_fixed`"
            )
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
        inputs.append(FloatInput(name=item.name, dtype=dtype, shape=shape))
    return tuple(inputs)


def quantize(
    prepared: "onnx.ModelProto", samples: Sequence[Sample], options: Options
) -> "onnx.ModelProto":
    """Return the int8 QDQ form of a prepared model, calibrated (minimum and maximum) on samples.

    Raises ModelError when the quantizer fails.
    """
    view = GraphView(prepared)
    selection = select(view, find_expressions(view))
    expressions = selection.expressions
    quantized = _quantized(outlined(view, expressions), selection, samples, options)
    restore(quantized, view, expressions)
    return quantized


def _quantized(
    model: "onnx.ModelProto", selection: Selection, samples: Sequence[Sample], options: Options
) -> "onnx.ModelProto":
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        try:
            onnx.save(model, source)
            quantize_static(
                source,
                target,
                _reader(samples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[*selection.operators, *function_names(selection.expressions)],
                nodes_to_exclude=list(selection.excluded),
                per_channel=not options.per_tensor,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={
                    "ActivationSymmetric": options.symmetric,
                    "ForceQuantizeNoInputCheck": True,
                },
            )
        except Exception as error:  # the quantizer's exceptions have no common public base
            raise ModelError(f"ONNX Runtime cannot quantize it: {first_line(error)}") from None
        return onnx.load(target)


def run_model(model: "onnx.ModelProto", samples: Sequence[Sample]) -> list[Sample]:
    """Return the model's outputs on ONNX Runtime, graph optimizations off.

    Raises ModelError when ONNX Runtime refuses the model, InputError when it refuses a sample.
    """
    session = open_session(model.SerializeToString())
    return [run_session(session, sample) for sample in samples]


def _drop_constant_inputs(model: "onnx.ModelProto") -> None:
    """Models of IR version 3 list their constants as inputs, which no pass then folds."""
    constants = {item.name for item in model.graph.initializer}
    kept = [item for item in model.graph.input if item.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, MIN_IR_VERSION)


def _fix_batch(model: "onnx.ModelProto") -> None:
    """Set a dynamic first dimension of each input to 1, and its name wherever it occurs."""
    graph, names = model.graph, set()
    for item in graph.input:
        dimensions = item.type.tensor_type.shape.dim
        if dimensions and not dimensions[0].dim_value:
            names.add(dimensions[0].dim_param)
            dimensions[0].dim_value = 1
    for item in (*graph.input, *graph.output, *graph.value_info):
        for dimension in item.type.tensor_type.shape.dim:
            if dimension.dim_param and dimension.dim_param in names:
                dimension.dim_value = 1


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


def _reader(samples: Sequence[Sample]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the samples one by one."""

        def __init__(self) -> None:
            self.rest = iter(samples)

        def get_next(self) -> Sample | None:
            return next(self.rest, None)

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantizer's advice on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
