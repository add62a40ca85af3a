"""Train, quantize and store the demo model: a small CNN for scikit-learn's bundled 8x8 digits.

    python examples/train_digits.py [OUTPUT_FOLDER]

Writes `digits.onnx` (int8, QDQ), `digits_inputs.npz` and `digits_labels.npz` (the held-out images
and their classes) into the folder, by default `flows/data`. Everything is seeded; the same
machine and package versions write the same bytes. Needs scikit-learn (`pip install
tilewright[examples]`); training itself is a few lines of NumPy and takes under a minute.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from sklearn.datasets import load_digits

Float = NDArray[np.float32]
Parameters = dict[str, Float]

SEED = 7
NUM_TEST = 360
NUM_CALIBRATION = 200
FIRST_CHANNELS, SECOND_CHANNELS, CLASSES = 16, 32, 10
EPOCHS, BATCH = 60, 32


def load_data() -> tuple[Float, NDArray[np.int64], Float, NDArray[np.int64]]:
    """Return training images [n, 1, 8, 8] in 0..1, their classes, and the same for the test."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    order = np.random.default_rng(SEED).permutation(len(images))
    train, test = order[NUM_TEST:], order[:NUM_TEST]
    return images[train], digits.target[train], images[test], digits.target[test]


def initial_parameters(random: np.random.Generator) -> Parameters:
    """He initialisation of conv1 (3x3), conv2 (3x3, stride 2) and the classifier."""
    shapes = {
        "conv1": (FIRST_CHANNELS, 1, 3, 3),
        "conv2": (SECOND_CHANNELS, FIRST_CHANNELS, 3, 3),
        "dense": (CLASSES, SECOND_CHANNELS * 4),
    }
    parameters: Parameters = {}
    for name, shape in shapes.items():
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        parameters[name] = random.normal(0, deviation, shape).astype(np.float32)
        parameters[f"{name}_bias"] = np.zeros(shape[0], np.float32)
    return parameters


def windows(images: Float, stride: int) -> Float:
    """Return the 3x3 windows of [n, c, h, w] padded by 1: [n, h', w', c * 9]."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    view = view[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    return np.ascontiguousarray(view).reshape(*view.shape[:3], -1)


def scatter_windows(gradient: Float, shape: tuple[int, ...], stride: int) -> Float:
    """Sum the gradients of `windows` back into images of `shape` [n, c, h, w]."""
    samples, channels, height, width = shape
    padded = np.zeros((samples, channels, height + 2, width + 2), np.float32)
    out_height, out_width = gradient.shape[1:3]
    parts = gradient.reshape(samples, out_height, out_width, channels, 3, 3)
    for ky in range(3):
        for kx in range(3):
            rows = slice(ky, ky + stride * out_height, stride)
            columns = slice(kx, kx + stride * out_width, stride)
            padded[:, :, rows, columns] += parts[..., ky, kx].transpose(0, 3, 1, 2)
    return padded[:, :, 1:-1, 1:-1]


def convolve(columns: Float, weight: Float, bias: Float) -> Float:
    """Return relu(windows x weight + bias) as [n, out channels, h', w']."""
    total = columns @ weight.reshape(len(weight), -1).T + bias
    return np.maximum(total, 0).transpose(0, 3, 1, 2)


def gradients(parameters: Parameters, images: Float, labels: NDArray[np.int64]) -> Parameters:
    """Return the gradients of the mean cross entropy by backpropagation."""
    samples = len(images)
    first_windows = windows(images, 1)
    first = convolve(first_windows, parameters["conv1"], parameters["conv1_bias"])
    second_windows = windows(first, 2)
    second = convolve(second_windows, parameters["conv2"], parameters["conv2_bias"])
    blocks = second.reshape(samples, SECOND_CHANNELS, 2, 2, 2, 2)
    pooled = blocks.max(axis=(3, 5))
    features = pooled.reshape(samples, -1)
    scores = features @ parameters["dense"].T + parameters["dense_bias"]
    scores -= scores.max(axis=1, keepdims=True)
    delta = np.exp(scores)
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(samples), labels] -= 1
    delta /= samples
    result = {"dense": delta.T @ features, "dense_bias": delta.sum(axis=0)}
    to_pooled = (delta @ parameters["dense"]).reshape(pooled.shape)[:, :, :, None, :, None]
    winners = (blocks == pooled[:, :, :, None, :, None]) & (blocks > 0)
    to_second = (winners * to_pooled).reshape(second.shape).transpose(0, 2, 3, 1)
    result |= weight_gradients("conv2", to_second, second_windows, parameters["conv2"].shape)
    to_windows = to_second @ parameters["conv2"].reshape(SECOND_CHANNELS, -1)
    to_first = scatter_windows(to_windows, first.shape, 2) * (first > 0)
    to_first = to_first.transpose(0, 2, 3, 1)
    result |= weight_gradients("conv1", to_first, first_windows, parameters["conv1"].shape)
    return result


def weight_gradients(name: str, delta: Float, columns: Float, shape: tuple[int, ...]) -> Parameters:
    """Return the gradients of a convolution's weight and bias."""
    flat = delta.reshape(-1, delta.shape[-1])
    weight = (flat.T @ columns.reshape(len(flat), -1)).reshape(shape)
    return {name: weight, f"{name}_bias": flat.sum(axis=0)}


def shifted(images: Float, random: np.random.Generator) -> Float:
    """Shift each image by -1, 0 or 1 pixel each way: the data set is small."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y, x = random.integers(0, 3, (2, len(images)))
    return np.stack([p[:, j : j + 8, i : i + 8] for p, j, i in zip(padded, y, x, strict=True)])


def train(images: Float, labels: NDArray[np.int64]) -> Parameters:
    """Adam with a falling step size."""
    random = np.random.default_rng(SEED)
    parameters = initial_parameters(random)
    mean = {name: np.zeros_like(value) for name, value in parameters.items()}
    square = {name: np.zeros_like(value) for name, value in parameters.items()}
    step = 0
    for epoch in range(EPOCHS):
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = random.permutation(len(images))
        for chosen in np.array_split(order, len(images) // BATCH):
            step += 1
            slopes = gradients(parameters, shifted(images[chosen], random), labels[chosen])
            for name, slope in slopes.items():
                mean[name] += 0.1 * (slope - mean[name])
                square[name] += 0.001 * (slope**2 - square[name])
                ratio = (mean[name] / (1 - 0.9**step)) / (
                    np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8
                )
                parameters[name] = (parameters[name] - rate * ratio).astype(np.float32)
    return parameters


def float_model(parameters: Parameters) -> onnx.ModelProto:
    """Return the trained network as a float ONNX model, image [1, 1, 8, 8] -> scores [1, 10]."""
    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "conv1", "conv1_bias"], ["c1"], name="conv1", **pads),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node(
            "Conv", ["r1", "conv2", "conv2_bias"], ["c2"], name="conv2", strides=[2, 2], **pads
        ),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node(
            "MaxPool", ["r2"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "dense", "dense_bias"], ["scores"], name="dense", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in parameters.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


class Calibration(CalibrationDataReader):
    """Feeds images one by one to the quantizer."""

    def __init__(self, images: Float) -> None:
        self._images: Iterator[Float] = iter(images)

    def get_next(self) -> dict[str, Float] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def quantize(model: onnx.ModelProto, images: Float, path: Path) -> None:
    """Write the model in int8: QDQ, per-channel weights, asymmetric activations."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            path,
            Calibration(images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


def accuracy(path: Path, images: Float, labels: NDArray[np.int64]) -> float:
    """Return the share of images that ONNX Runtime, optimizations off, classifies correctly."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    scores = [session.run(None, {"image": image[None]})[0][0] for image in images]
    return float(np.mean(np.argmax(scores, axis=1) == labels))


def main() -> None:
    """Train, quantize, check and write."""
    parser = argparse.ArgumentParser(description="Train the demo model on 8x8 digits.")
    default = Path(__file__).resolve().parent.parent / "flows" / "data"
    parser.add_argument("output", nargs="?", type=Path, default=default)
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    train_images, train_labels, test_images, test_labels = load_data()
    model = float_model(train(train_images, train_labels))
    quantize(model, train_images[:NUM_CALIBRATION], folder / "digits.onnx")
    np.savez_compressed(folder / "digits_inputs.npz", image=test_images[:, None])
    np.savez_compressed(folder / "digits_labels.npz", labels=test_labels.astype(np.int64))
    correct = accuracy(folder / "digits.onnx", test_images, test_labels)
    print(f"int8 accuracy on {len(test_images)} held-out images: {correct:.1%}")
    assert correct > 0.95


if __name__ == "__main__":
    main()
