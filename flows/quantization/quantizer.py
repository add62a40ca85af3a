"""From a float ONNX model to an int8 QDQ model, through ONNX Runtime's static quantizer."""

import contextlib
import itertools
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.flows.quantization.expressions import find_expressions
from tilewright.flows.quantization.graph_view import GraphView
from tilewright.flows.quantization.outline import function_names, outlined, restore
from tilewright.flows.quantization.overrides import (
    Overrides,
    activation_overrides,
    weight_overrides,
)
from tilewright.flows.quantization.selection import Selection, select
from tilewright.flows.quantization.shapes import fix_batch, fix_shapes, inputs_of
from tilewright.flows.runtime.tensors import Sample
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


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a model is quantized; weights are symmetric int8, activations int8."""

    per_tensor: bool = False
    """One weight scale a layer instead of one an output channel."""
    symmetric: bool = False
    """Activation zero points of 0."""
    by_operator: tuple[tuple[str, bool], ...] = ()
    """Whether what operators of a type read has zero points of 0, in place of `symmetric`."""


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


def quantize(
    prepared: "onnx.ModelProto", samples: Sequence[Sample], options: Options
) -> "onnx.ModelProto":
    """Return the int8 QDQ form of a prepared model, calibrated (minimum and maximum) on samples.

    Raises ModelError when the quantizer fails, and when no operator is one that it quantizes.
    """
    view = GraphView(prepared)
    selection = select(view, find_expressions(view))
    if len(selection.excluded) == len(view.nodes):
        types = ", ".join(sorted({node.op_type for node in view.nodes})) or "none"
        raise ModelError(
            f"nothing to quantize: a Conv, a matrix product, a pooling or the like is needed; the "
            f"operators are {types}"
        )
    expressions = selection.expressions
    overrides = weight_overrides(view, options.per_tensor) | activation_overrides(
        view, options.by_operator, options.symmetric
    )
    model = outlined(view, expressions)
    quantized = _quantized(model, selection, samples, options, _known(overrides, model))
    restore(quantized, view, expressions)
    return quantized


def _quantized(
    model: "onnx.ModelProto",
    selection: Selection,
    samples: Sequence[Sample],
    options: Options,
    overrides: Overrides,
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
                    "TensorQuantOverrides": overrides,
                },
            )
        except Exception as error:  # the quantizer's exceptions have no common public base
            raise ModelError(f"ONNX Runtime cannot quantize it: {first_line(error)}") from None
        return onnx.load(target)


def _known(overrides: Overrides, model: "onnx.ModelProto") -> Overrides:
    """The overrides of tensors that the model has: those inside of expressions are gone."""
    graph = model.graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return {name: value for name, value in overrides.items() if name in names}


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
