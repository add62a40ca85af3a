"""What a model is that the accelerator cannot run anything of, in one line, and what works."""

import re
from collections.abc import Mapping

from tilewright.compiler.frontend.inference import MICROSOFT
from tilewright.compiler.frontend.source import Operator, Source

QUANTIZE = "`tilewright quantize FLOAT.onnx --calibration DATA.npz -o INT8.onnx`"
QONNX = "qonnx.custom_op.general"
DYNAMIC = (
    "ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul",
    "MatMulInteger", "MatMulIntegerToFloat",
)  # fmt: skip
PACKED_WEIGHTS = ("GatherBlockQuantized", "MatMulBnb4", "MatMulFpQ4", "MatMulNBits")
OF_QUANTIZERS = {"com.amd.quark": "Quark", "com.vai.quantize": "Vitis AI's quantizer"}
"""Domains of operators that other tools quantize with."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", MICROSOFT)
NO_BYTES = re.compile("activations must be int8 or uint8, got ([a-z0-9_]+)")


def refusal(source: Source, reasons: Mapping[str, str]) -> str:
    """Why nothing of `source` runs on the accelerator; `reasons` by operator name."""
    quantized = any(_is_quantizing(node) for node in source.operators)
    dynamic = next((node.label for node in source.operators if node.op_type in DYNAMIC), "")
    if any(node.domain.startswith(QONNX) for node in source.operators):
        return (
            "the model is in QONNX form (Quant operators); convert it to QuantizeLinear, Clip and "
            "DequantizeLinear with `qonnx-convert MODEL.onnx` of the package qonnx"
        )
    if dynamic:
        return (
            f"the model is dynamically quantized: {dynamic} finds its scales at run time, the "
            f"accelerator needs them beforehand; quantize the float model with {QUANTIZE}"
        )
    kinds = [found[1] for reason in reasons.values() if (found := NO_BYTES.search(reason))]
    if kinds:
        return (
            f"the model's activations are {kinds[0]}, activations must be int8 or uint8; quantize "
            f"the float model with {QUANTIZE}"
        )
    foreign = next((node for node in source.operators if node.domain not in DOMAINS), None)
    if foreign and foreign.domain in OF_QUANTIZERS:
        return (
            f"the model is quantized by operators of {OF_QUANTIZERS[foreign.domain]} "
            f"({foreign.label}); let that write its format QDQ, 8 bits, with QuantizeLinear and "
            "DequantizeLinear of ONNX"
        )
    if not quantized and foreign:
        return (
            f"the model is not quantized by operators of ONNX, and {foreign.label} of the domain "
            f"{foreign.domain!r} is none; export it without and make it int8 with {QUANTIZE}"
        )
    if not quantized and any(_reads_activation(node, source) for node in source.operators):
        last = next(node for node in reversed(source.operators) if node.op_type != "Identity")
        return (
            "its activations are dequantized but no result is quantized; put a QuantizeLinear and "
            f"DequantizeLinear behind {last.label}"
        )
    if not quantized and any(_has_weights(node) for node in source.operators):
        return (
            "only the weights are quantized, the activations are float; quantize the float model "
            f"with {QUANTIZE}"
        )
    if not quantized:
        return f"the model is not quantized; make it int8 with {QUANTIZE}"
    for node in source.operators:
        if node.name in reasons:
            reason = reasons[node.name]
            return f"no operator of the model can run on the accelerator; {node.label}: {reason}"
    return "no operator of the model needs the accelerator"


def _is_quantizing(node: Operator) -> bool:
    return node.op_type == "QuantizeLinear" or node.op_type.startswith(("QLinear", "QGemm"))


def _reads_activation(node: Operator, source: Source) -> bool:
    """Whether it dequantizes what is no constant."""
    return node.op_type == "DequantizeLinear" and node.inputs[0] in {
        item.name for item in source.inputs
    }


def _has_weights(node: Operator) -> bool:
    return node.op_type == "DequantizeLinear" or node.op_type in PACKED_WEIGHTS
