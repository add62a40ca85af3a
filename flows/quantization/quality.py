"""How far an int8 model is from the float model, layer by layer, on ONNX Runtime.

A layer is what stands between two QuantizeLinear: its value in the float model is the signal, the
difference of what follows its QuantizeLinear in the int8 model, with all that earlier layers
contribute, is the noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewright.flows.accuracy import Labels, top_accuracy
from tilewright.flows.quantization.graph_view import GraphView
from tilewright.flows.runtime.tensors import Sample
from tilewright.flows.signal_noise import SignalToNoise
from tilewright.support.ort import open_session, run_session
from tilewright.support.records import record

if TYPE_CHECKING:
    from onnx import ModelProto

LAYER_SAMPLES = 16
"""The samples at most that layers are measured on."""


@dataclass(kw_only=True)
class Layer(SignalToNoise):
    """A tensor of the float model that the int8 model stores as int8."""

    name: str
    operators: tuple[str, ...]
    """The types of the operators that compute it from what is stored before."""
    stored: str
    """The int8 model's tensor behind the pair of QuantizeLinear and DequantizeLinear."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "name": self.name,
            "operators": list(self.operators),
            "elements": self.elements,
            "signal": self.signal,
            "noise": self.noise,
            "signal_to_noise_db": self.decibels,
        }


@record(frozen=True, kw_only=True)
class Accuracy:
    """The share of samples whose label has the largest score, in both models."""

    output: str
    samples: int
    float32: float
    int8: float


@record(frozen=True, kw_only=True)
class Quality:
    """The layers in the model's order, and the outputs of every sample by both models."""

    layers: list[Layer]
    layer_samples: int
    """The samples that the layers were measured on."""
    given: list[Sample]
    expected: list[Sample]

    def output(self, name: str) -> Layer:
        """Return an output over all samples."""
        layer = Layer(name=name, operators=(), stored=name)
        for given, expected in zip(self.given, self.expected, strict=True):
            layer.add(given[name], expected[name])
        return layer

    def same_largest(self, name: str) -> int:
        """Return in how many samples an output has its largest element at the same place."""
        pairs = zip(self.given, self.expected, strict=True)
        return sum(
            int(given[name].argmax() == expected[name].argmax()) for given, expected in pairs
        )

    def accuracy(self, labels: Labels) -> Accuracy:
        """Return the accuracy by the first output. Raises InputError for labels without a score."""
        name = next(iter(self.expected[0]))
        return Accuracy(
            output=name,
            samples=int((labels >= 0).sum()),
            float32=top_accuracy([sample[name] for sample in self.expected], labels),
            int8=top_accuracy([sample[name] for sample in self.given], labels),
        )


def measure(prepared: "ModelProto", quantized: "ModelProto", samples: Sequence[Sample]) -> Quality:
    """Run both models on the samples; the first LAYER_SAMPLES of them count for the layers.

    Raises ModelError when ONNX Runtime refuses a model, InputError when it refuses a sample.
    """
    layers = layers_of(prepared, quantized)
    outputs = [item.name for item in prepared.graph.output]
    int8 = open_session(_with_outputs(quantized, [layer.stored for layer in layers]))
    float32 = open_session(_with_outputs(prepared, [layer.name for layer in layers]))
    runs = []
    for number, sample in enumerate(samples):
        names = None if number < LAYER_SAMPLES else outputs
        given, expected = run_session(int8, sample, names), run_session(float32, sample, names)
        for layer in layers if names is None else []:
            layer.add(given[layer.stored], expected[layer.name])
        runs.append([{name: tensors[name] for name in outputs} for tensors in (given, expected)])
    return Quality(
        layers=layers,
        layer_samples=min(len(samples), LAYER_SAMPLES),
        given=[given for given, _ in runs],
        expected=[expected for _, expected in runs],
    )


def layers_of(prepared: "ModelProto", quantized: "ModelProto") -> list[Layer]:
    """Return the float model's tensors that the int8 model stores, in the model's order."""
    view, int8 = GraphView(prepared), GraphView(quantized)
    stored = {}
    for node in int8.nodes:
        if node.op_type == "QuantizeLinear":
            for reader in int8.readers(node.output[0]):
                names = [n for n in (node.input[0], reader.output[0]) if n in view.values]
                stored[names[0]] = reader.output[0]
    order = [name for node in view.nodes for name in node.output if name in stored]
    return [
        Layer(name=name, operators=_operators(view, name, stored), stored=stored[name])
        for name in order
    ]


def _operators(view: GraphView, tensor: str, stored: dict[str, str]) -> tuple[str, ...]:
    """The types of the operators between `tensor` and what is stored before, in order."""
    found = set()
    pending = [tensor]
    while pending:
        maker = view.makers.get(pending.pop())
        if maker is not None and maker.name not in found:
            found.add(maker.name)
            pending.extend(name for name in view.data_inputs(maker) if name not in stored)
    return tuple(node.op_type for node in view.nodes if node.name in found)


def _with_outputs(model: "ModelProto", names: Sequence[str]) -> bytes:
    """The model with further tensors as outputs."""
    from onnx import ModelProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    there = {item.name for item in copy.graph.output}
    copy.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name not in there
    )
    return bytes(copy.SerializeToString())
