"""What a model is that the accelerator cannot run anything of, in one line, and what works."""

from collections.abc import Mapping

from tilewright.compiler.frontend.source import Operator, Source

QUANTIZE = "`tilewright quantize FLOAT.onnx --calibration DATA.npz -o INT8.onnx`"
QONNX = "qonnx.custom_op.general"
DYNAMIC = (
    "ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul",
    "MatMulInteger", "MatMulIntegerToFloat",
)  # fmt: skip
PACKED_WEIGHTS = ("GatherBlockQuantized", "MatMulBnb4", "MatMulFpQ4", "MatMulNBits")
WIDE = ("int16", "uint16")


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
    wide = [kind for kind in WIDE if any(f"got {kind}" in reason for reason in reasons.values())]
    if wide:
        return (
            f"the model's activations are {wide[0]}, activations must be int8 or uint8; quantize "
            f"the float model with {QUANTIZE}"
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


def _has_weights(node: Operator) -> bool:
    return node.op_type == "DequantizeLinear" or node.op_type in PACKED_WEIGHTS
