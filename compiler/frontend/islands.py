"""Islands: the host operators of one level as an ONNX model, with reasons and an estimate."""

from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from tilewright.compiler import host_cost
from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.partition import Cut, Needs
from tilewright.compiler.frontend.source import Operator, Source
from tilewright.compiler.frontend.values import Constant
from tilewright.compiler.frontend.work import elements_of, macs_of
from tilewright.hw.spec.steps import HostOperator, Island
from tilewright.support.errors import ModelError

BORDER_REASONS = {
    "QuantizeLinear": "quantizes float values for the accelerator",
    "DequantizeLinear": "gives float values to the host",
}


def island_of(
    interpretation: Interpretation, needs: Needs, pieces: Cut, level: int, name: str
) -> Island:
    """Return the island of one level. Raises ModelError where a value's type is not known."""
    source = interpretation.context.source
    members = pieces.operators[level]
    made = {value for operator in members for value in operator.outputs if value}
    reads = sorted({value for operator in members for value in operator.reads} - made)
    constants = [value for value in reads if _constant(interpretation, value) is not None]
    inputs = [value for value in reads if value not in constants]
    outputs = sorted(made & _wanted_elsewhere(source, pieces, level))
    model = _model(interpretation, needs, members, (inputs, outputs, constants))
    operators = tuple(_host_operator(interpretation, operator) for operator in members)
    moved = _moved_bytes(needs, pieces, inputs, outputs)
    seconds = host_cost.HOST_CALL_SECONDS + host_cost.moving_seconds(moved)
    seconds += sum(operator.seconds for operator in operators)
    return Island(
        name=name,
        model=model.SerializeToString(deterministic=True),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        operators=operators,
        moved_bytes=moved,
        seconds=seconds,
    )


def _moved_bytes(needs: Needs, pieces: Cut, inputs: list[str], outputs: list[str]) -> int:
    """What sections hand to an island and take from it; an element has a byte."""
    given = sum(needs.stored[name].index.size for name in inputs if name in needs.stored)
    packs = (binding for part in pieces.parts for binding in part.packs.values())
    return given + sum(pack.stored.elements for pack in packs if pack.name in outputs)


def _wanted_elsewhere(source: Source, pieces: Cut, level: int) -> set[str]:
    """Values that other islands, sections or the model's user read."""
    wanted = {spec.name for spec in source.outputs}
    for other, operators in pieces.operators.items():
        if other != level:
            wanted.update(value for operator in operators for value in operator.reads)
    for part in pieces.parts:
        wanted.update(binding.name for binding in part.packs.values())
    return wanted


def _model(
    interpretation: Interpretation,
    needs: Needs,
    members: Iterable[Operator],
    values: tuple[list[str], list[str], list[str]],
) -> ModelProto:
    source = interpretation.context.source
    inputs, outputs, constants = values
    graph = helper.make_graph(
        [operator.proto for operator in members],
        "host",
        [_declare(source, needs, name) for name in inputs],
        [
            helper.make_empty_tensor_value_info(name)
            if name not in {spec.name for spec in source.outputs}
            else _declare(source, needs, name)
            for name in outputs
        ],
        [
            numpy_helper.from_array(array, name)
            for name in constants
            if (array := _constant(interpretation, name)) is not None
        ],
    )
    return helper.make_model(
        graph,
        opset_imports=list(source.model.opset_import),
        ir_version=source.model.ir_version,
        producer_name="tilewright",
    )


def _constant(interpretation: Interpretation, name: str) -> np.ndarray | None:
    value = interpretation.context.values.get(name)
    return value.array if isinstance(value, Constant) else None


def _declare(source: Source, needs: Needs, name: str) -> ValueInfoProto:
    dtype, shape = source.types.get(name, ("unknown", None))
    if name in needs.stored:
        value = needs.stored[name]
        dtype, shape = "uint8" if value.is_unsigned else "int8", value.index.shape
    if dtype == "unknown":
        raise ModelError(
            f"the type of {name!r} must be known where host and accelerator meet; give the model "
            "a value_info for it"
        )
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )


def _host_operator(interpretation: Interpretation, node: Operator) -> HostOperator:
    source = interpretation.context.source
    reason = interpretation.reasons.get(node.name) or BORDER_REASONS.get(
        node.op_type, "its result is only used by operators on the host"
    )
    macs, elements = macs_of(source, node), elements_of(source, node)
    return HostOperator(
        name=node.name,
        op_type=node.op_type,
        reason=reason,
        elements=elements,
        macs=macs,
        seconds=host_cost.operator_seconds(macs, elements),
    )
