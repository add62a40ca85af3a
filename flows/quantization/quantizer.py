"""From a prepared float model to an int8 QDQ model, through ONNX Runtime's static quantizer."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
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
from tilewright.flows.runtime.tensors import Sample
from tilewright.support.errors import ModelError
from tilewright.support.ort import first_line
from tilewright.support.records import record

if TYPE_CHECKING:
    import onnx


@record(frozen=True, kw_only=True)
class Options:
    """How a model is quantized; weights are symmetric int8, activations int8."""

    per_tensor: bool = False
    """One weight scale a layer instead of one an output channel."""
    symmetric: bool = False
    """Activation zero points of 0."""
    by_operator: tuple[tuple[str, bool], ...] = ()
    """Whether what operators of a type read has zero points of 0, in place of `symmetric`."""


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
