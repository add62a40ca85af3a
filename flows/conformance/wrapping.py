"""Float values between QuantizeLinear and DequantizeLinear, with the ranges of a case's data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tilewright.flows.conformance.scales import Scale, has_scale
from tilewright.flows.runtime.tensors import Array

INPUT_MARGIN, OUTPUT_MARGIN = 1.125, 1.25
"""How much wider the ranges of a model's inputs and outputs are than their data: an operator that
only moves data has another scale before it than behind it, and the accelerator something to do."""
WEIGHTS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (1,), "MatMul": (0, 1)}
"""Operators, and which of their inputs become int8 where they are constant."""


@dataclass(kw_only=True)
class Wrapping:
    """A model on its way to int8.

    values: by name, what the case has in the tensors of the model, those known.
    """

    model: ModelProto
    values: Mapping[str, Any]
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    inputs: list[ValueInfoProto] = field(default_factory=list)
    stored: dict[str, ValueInfoProto] = field(default_factory=dict)
    """By the name of a float value: its int8 tensor."""
    feeds: dict[str, Any] = field(default_factory=dict)
    """What goes into the resulting model, by name."""

    def wrap(self) -> ModelProto:
        """Return the model with int8 inputs, outputs, weights and values between operators.

        Values of other types stay as they are, and so do those with infinite elements in a model
        that has outputs of other types: whether something is infinite, say.
        """
        for item in self.model.graph.input:
            self._take_input(item)
        weights = self._store_weights()
        varying = {item.name for item in self.model.graph.input}
        for given in self.model.graph.node:
            node = NodeProto()
            node.CopyFrom(given)
            for place in WEIGHTS.get(node.op_type, ()):
                if place < len(node.input):
                    node.input[place] = weights.get(node.input[place], node.input[place])
            self.nodes.append(node)
            if not varying.isdisjoint(_reads(node)):
                varying.update(node.output)
                self._store_outputs(node)
        return self._finish()

    def _take_input(self, item: ValueInfoProto) -> None:
        values = self.values.get(item.name)
        if not self._can_store(values):
            self.inputs.append(item)
            self.feeds[item.name] = values
            return
        scale = Scale.of(values, INPUT_MARGIN)
        self._dequantize(self._declare(item.name, scale), values.dtype, item.name)
        self.inputs.append(self._int8(item.name, values.shape))
        self.feeds[self.inputs[-1].name] = scale.stored(values)

    def _store_outputs(self, node: NodeProto) -> None:
        for place, name in enumerate(node.output):
            values = self.values.get(name)
            if name and self._can_store(values):
                node.output[place] = f"{name}/float"
                self._store(name, values)

    def _can_store(self, values: Any) -> TypeGuard[Array]:
        return has_scale(values) and (self.is_float or bool(np.isfinite(values).all()))

    @cached_property
    def is_float(self) -> bool:
        """Whether all outputs of the model can be int8."""
        return all(has_scale(self.values.get(item.name)) for item in self.model.graph.output)

    def _store(self, name: str, values: Array) -> None:
        """Quantize `name`/float, and give `name` what that stands for."""
        given = f"{name}/float"
        if values.dtype == np.float64:
            given = self._cast(given, f"{name}/float32", TensorProto.FLOAT)
        self.stored[name] = self._int8(name, values.shape)
        is_output = name in {item.name for item in self.model.graph.output}
        scale = Scale.of(values, OUTPUT_MARGIN if is_output else 1.0)
        stored, *parameters = self._declare(name, scale)
        self.nodes.append(helper.make_node("QuantizeLinear", [given, *parameters], [stored]))
        self._dequantize([stored, *parameters], values.dtype, name)

    def _store_weights(self) -> dict[str, str]:
        """Make constant weights int8; return by name what they are when dequantized."""
        constants = {item.name: item for item in self.model.graph.initializer}
        found: dict[str, str] = {}
        for node in self.model.graph.node:
            for name in (
                node.input[p] for p in WEIGHTS.get(node.op_type, ()) if p < len(node.input)
            ):
                values = numpy_helper.to_array(constants[name]) if name in constants else None
                if name in found or not has_scale(values):
                    continue
                found[name] = f"{name}/weights"
                scale = Scale.symmetric(values)
                item = numpy_helper.from_array(scale.stored(values), f"{name}/int8")
                self.initializers.append(item)
                self._dequantize(self._declare(name, scale), values.dtype, found[name])
        return found

    def _declare(self, name: str, scale: Scale) -> list[str]:
        """Return the names of the int8 tensor, its scale and its zero point, which are made."""
        names = [f"{name}/int8", f"{name}/scale", f"{name}/zero_point"]
        self.initializers.append(numpy_helper.from_array(scale.scale, names[1]))
        zero_point = np.array(scale.zero_point, np.int8)
        self.initializers.append(numpy_helper.from_array(zero_point, names[2]))
        return names

    def _dequantize(self, read: list[str], dtype: np.dtype[Any], result: str) -> None:
        is_double = dtype == np.float64
        made = f"{result}/narrow" if is_double else result
        self.nodes.append(helper.make_node("DequantizeLinear", read, [made]))
        if is_double:
            self._cast(made, result, TensorProto.DOUBLE)

    def _cast(self, name: str, result: str, kind: int) -> str:
        self.nodes.append(helper.make_node("Cast", [name], [result], to=kind))
        return result

    def _int8(self, name: str, shape: tuple[int, ...]) -> ValueInfoProto:
        return helper.make_tensor_value_info(f"{name}/int8", TensorProto.INT8, shape)

    def _finish(self) -> ModelProto:
        result = onnx.ModelProto()
        result.CopyFrom(self.model)
        graph = result.graph
        outputs = [self.stored.get(item.name, item) for item in self.model.graph.output]
        for place, items in ((graph.node, self.nodes), (graph.input, self.inputs),
                             (graph.output, outputs)):  # fmt: skip
            del place[:]
            place.extend(items)
        graph.initializer.extend(self.initializers)
        del graph.value_info[:]
        return result


def _reads(node: NodeProto) -> set[str]:
    """What a node reads, and what its subgraphs may read."""
    names = set(node.input)
    for item in node.attribute:
        for graph in (*item.graphs, *((item.g,) if item.type == item.GRAPH else ())):
            for inner in graph.node:
                names |= _reads(inner)
    return names
