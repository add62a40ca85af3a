"""What ONNX Runtime's quantizer is told about single tensors (its TensorQuantOverrides)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tilewright.flows.quantization.graph_view import GraphView
from tilewright.flows.quantization.selection import MOVING
from tilewright.support.errors import InputError

if TYPE_CHECKING:
    from onnx import NodeProto

Overrides = dict[str, list[dict[str, Any]]]

SHARING = (*MOVING, "MaxPool", "AveragePool")
"""Operators whose result the quantizer stores with the scale and zero point of their input."""


def parse_activations(texts: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """Return operator types, and whether what they read is symmetric. Raises InputError."""
    kinds = {"symmetric": True, "asymmetric": False}
    pairs = []
    for text in texts:
        operator, _, kind = text.partition("=")
        if not operator or kind not in kinds:
            raise InputError(
                f"--activations needs OPERATOR=symmetric or OPERATOR=asymmetric, got {text!r}"
            )
        pairs.append((operator, kinds[kind]))
    return tuple(pairs)


def weight_overrides(view: GraphView, per_tensor: bool) -> Overrides:
    """Return the axes of the output channels of weights that the quantizer does not find itself.

    A depthwise ConvTranspose has them on axis 0, one with other groups on no axis of its own (its
    weights have one scale); MatMul on the last axis, or on the last but one for a left constant.
    """
    if per_tensor:
        return {}
    overrides: Overrides = {}
    for node in view.nodes:
        for name, axis in _axes(view, node):
            overrides[name] = [{"symmetric": True} | ({} if axis is None else {"axis": axis})]
    return overrides


def _axes(view: GraphView, node: "NodeProto") -> list[tuple[str, int | None]]:
    """The weights of a node and the axis of their output channels, None for no axis."""
    weights = [(at, name) for at, name in enumerate(node.input[:2]) if name in view.constants]
    if node.op_type == "MatMul":
        ranks = [view.constants[name].ndim for _, name in weights]
        pairs = zip(weights, ranks, strict=True)
        return [(name, rank - 2 + at) for (at, name), rank in pairs if rank >= 2]
    groups = next((item.i for item in node.attribute if item.name == "group"), 1)
    if node.op_type != "ConvTranspose" or groups == 1 or not weights:
        return []
    name = weights[-1][1]
    return [(name, 0 if view.constants[name].shape[1] == 1 else None)]


def activation_overrides(
    view: GraphView, by_operator: Sequence[tuple[str, bool]], symmetric: bool
) -> Overrides:
    """Return which activations are symmetric where that differs from the rest of the model.

    by_operator: whether what operators of a type read is symmetric; where several types read one
    tensor, symmetric wins. Raises InputError for a type that the model does not have.
    """
    types = sorted({node.op_type for node in view.nodes})
    chosen: dict[str, bool] = {}
    for operator, is_symmetric in by_operator:
        if operator not in types:
            raise InputError(
                f"--activations {operator}: the prepared model has no such operator; it has "
                f"{', '.join(types)}"
            )
        for node in view.nodes:
            if node.op_type == operator:
                for name in view.data_inputs(node):
                    for tensor in _sharing(view, name):
                        chosen[tensor] = chosen.get(tensor, False) or is_symmetric
    return {
        name: [{"symmetric": value}]
        for name, value in chosen.items()
        if value != symmetric and view.is_float(name)
    }


def _sharing(view: GraphView, tensor: str) -> list[str]:
    """The tensor, and those whose scale and zero point it shares."""
    tensors = [tensor]
    while (maker := view.makers.get(tensors[-1])) is not None and maker.op_type in SHARING:
        tensors.append(maker.input[0])
    return tensors
