"""A case as a quantized model: operator set, constants, Q/DQ, and what goes in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper
from onnx.version_converter import convert_version

from tilewright.flows.conformance.cases import Case
from tilewright.flows.conformance.freezing import freeze, frozen_inputs
from tilewright.flows.conformance.wrapping import Wrapping
from tilewright.support.errors import TilewrightError
from tilewright.support.ort import open_session, run_session
from tilewright.support.records import record

QUANTIZING_OPSETS = range(10, 28)
"""Operator sets whose QuantizeLinear ONNX Runtime has."""
CONVERTED_OPSET = 13
"""What older operator sets become, as the importer's message asks for."""
HALF_OPSET = 19
"""The first operator set whose QuantizeLinear reads float16."""
OLDEST_IR = 8


@record(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A model, and its inputs by name."""

    model: ModelProto
    feeds: Mapping[str, Any]
    stored: Mapping[str, ValueInfoProto]
    """What is int8 in the model and not in the case, by name."""


def prepare(case: Case) -> Prepared:
    """Freeze what is constant in practice, and quantize what is float."""
    model = _with_opset(onnx.load_from_string(case.model))
    given = {item.name for item in model.graph.initializer}
    names = [item.name for item in model.graph.input if item.name not in given]
    feeds = dict(zip(names, case.inputs, strict=True))
    base = model if case.base is None else onnx.load_from_string(case.base)
    frozen = freeze(model, frozen_inputs(base), feeds)
    rest = {item.name: feeds[item.name] for item in frozen.graph.input if item.name in feeds}
    outputs = {
        item.name: value
        for item, value in zip(frozen.graph.output, case.outputs, strict=True)
        if isinstance(value, np.ndarray)
    }
    wrapping = Wrapping(model=frozen, values=outputs | rest | _values(frozen, rest))
    wrapped = wrapping.wrap()
    stored = {item.name: item for item in wrapping.stored.values()}
    return Prepared(model=wrapped, feeds=wrapping.feeds, stored=stored)


def _with_opset(model: ModelProto) -> ModelProto:
    """The model in an operator set that has QuantizeLinear."""
    if not any(item.domain in ("", "ai.onnx") for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", max(QUANTIZING_OPSETS)))
    version = max(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if version < min(QUANTIZING_OPSETS):
        model = convert_version(model, CONVERTED_OPSET)
    elif version < HALF_OPSET and _has_half(model):
        model = convert_version(model, HALF_OPSET)
    for item in model.opset_import:
        if item.domain in ("", "ai.onnx"):
            item.version = min(item.version, max(QUANTIZING_OPSETS))
    model.ir_version = max(model.ir_version, OLDEST_IR)
    return model


def _has_half(model: ModelProto) -> bool:
    kinds = (item.type.tensor_type.elem_type for item in model.graph.input)
    return TensorProto.FLOAT16 in kinds


def _values(model: ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """What ONNX Runtime computes for each value of the model; none where it refuses it."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {item.name for item in model.graph.output}
    made = (name for node in model.graph.node for name in node.output if name)
    exposed.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in made if name not in known
    )
    try:
        return run_session(open_session(exposed.SerializeToString(), threads=1), feeds)
    except TilewrightError:
        return {}
