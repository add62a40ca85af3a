"""ONNX Runtime on the same model: equal, or one step beside where a value lies between two."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tilewright.flows.conformance.preparing import Prepared
from tilewright.flows.runtime.tensors import Array
from tilewright.support.ort import open_session, run_session
from tilewright.support.ort_values import is_foreign
from tilewright.support.records import record

TIES = {"float16": 3 / 8, "float32": 1 / 128}
"""By the narrowest type of a model's scales, in steps: how far from the middle between two steps a
value may lie that can be rounded either way. The accelerator's biases are whole steps of
its accumulators; float16 has 11 bits, an eighth of one of 255 steps, and a product is rounded three
times, operands and result, or in float32 where ONNX Runtime casts a run of operators as a whole."""
CHECKED = "/checked"


@record(frozen=True, kw_only=True)
class Verdict:
    """Why the values are wrong, if they are, and how many lie one step beside at a tie."""

    reason: str = ""
    ties: int = 0


def judge(given: Mapping[str, Array], prepared: Prepared) -> Verdict:
    """Compare a case's outputs with ONNX Runtime's. Raises ModelError, InputError."""
    return _judge(given, prepared.model, prepared.feeds)


def with_every_value(prepared: Prepared) -> Prepared:
    """Return the case with every int8 value that a QuantizeLinear makes as an output."""
    model = ModelProto()
    model.CopyFrom(prepared.model)
    known = {item.name for item in model.graph.output}
    model.graph.output.extend(
        prepared.stored[name] for name in _quantizers(model) if name not in known
    )
    return Prepared(model=model, feeds=prepared.feeds, stored=prepared.stored)


def judge_each(given: Mapping[str, Array], prepared: Prepared) -> Verdict:
    """Compare each value of `with_every_value` with what ONNX Runtime makes of those before it.

    Raises ModelError, InputError.
    """
    model = ModelProto()
    model.CopyFrom(prepared.model)
    names = _quantizers(model)
    for node in names.values():
        node.output[0] += CHECKED
    for item in model.graph.output:
        if item.name in names:
            model.graph.input.append(item)
    outputs = [item.name for item in model.graph.output]
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_empty_tensor_value_info(name + CHECKED if name in names else name)
        for name in outputs
    )
    renamed = {name + CHECKED if name in names else name: value for name, value in given.items()}
    feeds = {name: value for name, value in given.items() if name in names}
    return _judge(renamed, model, feeds | dict(prepared.feeds))


def same(value: Array, other: Array) -> bool:
    """Whether two arrays are equal to the bit, any NaN being like any other."""
    if value.dtype != other.dtype or value.shape != other.shape:
        return False
    if is_foreign(value):
        return value.tobytes() == other.tobytes()
    return np.array_equal(value, other, equal_nan=value.dtype.kind in "fc")


def _judge(given: Mapping[str, Array], model: ModelProto, feeds: Mapping[str, Any]) -> Verdict:
    expected = _witness(model, feeds)
    ties = 0
    for name, value in sorted(given.items()):
        other = np.asarray(expected[name])
        if same(value, other):
            continue
        if value.dtype != other.dtype or value.shape != other.shape:
            kinds = f"{value.dtype}{list(value.shape)}, not {other.dtype}{list(other.shape)}"
            return Verdict(reason=f"output {name!r} is {kinds}")
        different = np.asarray(value != other)
        if not _are_ties(different, (value, other), _quantizers(model).get(name), model, expected):
            which = f"{different.sum()} of {different.size} elements"
            reason = f"output {name.removesuffix(CHECKED)!r}: {which} differ from ONNX Runtime's"
            return Verdict(reason=reason)
        ties += int(different.sum())
    return Verdict(ties=ties)


def _witness(model: ModelProto, feeds: Mapping[str, Any]) -> dict[str, Array]:
    """Outputs, and of those that a QuantizeLinear makes what it reads."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    known = {item.name for item in exposed.graph.output}
    before = {node.input[0] for node in _quantizers(model).values()}
    exposed.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in sorted(before - known)
    )
    return run_session(open_session(exposed.SerializeToString(), threads=1), feeds)


def _quantizers(model: ModelProto) -> dict[str, NodeProto]:
    """By output name."""
    return {node.output[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}


def _are_ties(
    different: Array,
    values: tuple[Array, Array],
    quantizer: NodeProto | None,
    model: ModelProto,
    expected: Mapping[str, Array],
) -> bool:
    """Whether two values of a QuantizeLinear are one step apart, and half way between where so."""
    scales = {item.name: item for item in model.graph.initializer}
    if quantizer is None or quantizer.input[1] not in scales:
        return False
    first, second = (value[different].astype(np.int64) for value in values)
    if np.abs(first - second).max() > 1:
        return False
    read = expected[quantizer.input[0]]
    scale = numpy_helper.to_array(scales[quantizer.input[1]]).astype(np.float64)
    steps = (read.astype(np.float64) / scale)[different]
    distance = np.abs(np.abs(steps - np.rint(steps)) - 0.5)
    is_narrow = any(item.data_type == TensorProto.FLOAT16 for item in model.graph.initializer)
    return bool(distance.max() <= TIES["float16" if is_narrow else "float32"])
