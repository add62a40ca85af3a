"""Evaluate a few ONNX nodes with ONNX Runtime, every optimization disabled."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, OperatorSetIdProto, helper

from tilewright.support.errors import ModelError

Array = NDArray[np.generic]

FATAL_ONLY = 4


def first_line(error: Exception) -> str:
    """Return an error's message in one line, without ONNX Runtime's status prefix."""
    text = " ".join(str(error).split())
    prefix, separator, rest = text.partition(" : ")
    while separator and prefix.startswith("[ONNXRuntimeError]"):
        text = rest.split(" : ", 2)[-1]
        break
    return text[:300]


def open_session(model: bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open `model` with all graph optimizations disabled; `threads` 0 takes the default.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = FATAL_ONLY
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime refuses the model: {first_line(error)}") from error


def run_model(model: ModelProto, feeds: Mapping[str, Array], threads: int = 0) -> list[Array]:
    """Run `model` on `feeds` and return all its outputs."""
    session = open_session(model.SerializeToString(deterministic=True), threads)
    try:
        return list(session.run(None, {name: np.asarray(feed) for name, feed in feeds.items()}))
    except Exception as error:  # see open_session
        raise ModelError(f"ONNX Runtime cannot run the model: {first_line(error)}") from error


def run_nodes(
    nodes: Sequence[NodeProto],
    feeds: Mapping[str, Array],
    outputs: Iterable[str],
    opsets: Sequence[OperatorSetIdProto],
) -> list[Array]:
    """Run `nodes` in the given (topological) order; `feeds` holds every value they do not make."""
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype), np.shape(value)
        )
        for name, value in feeds.items()
    ]
    results = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph(list(nodes), "evaluate", inputs, results)
    model = helper.make_model(graph, opset_imports=list(opsets), ir_version=8)
    return run_model(model, feeds, threads=1)
