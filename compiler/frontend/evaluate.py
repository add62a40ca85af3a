"""Evaluate a few ONNX nodes with ONNX Runtime, every optimization disabled."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, OperatorSetIdProto, helper

from tilewright.support.errors import InputError, ModelError
from tilewright.support.ort import open_session, run_session

Array = NDArray[np.generic]

RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
"""Operators that no evaluation speaks for: each one gives another result."""


def run_model(model: ModelProto, feeds: Mapping[str, Array], threads: int = 0) -> list[Array]:
    """Run `model` on `feeds` and return all its outputs."""
    session = open_session(model.SerializeToString(deterministic=True), threads)
    given = {name: np.asarray(feed) for name, feed in feeds.items()}
    try:
        return list(run_session(session, given).values())
    except InputError as error:
        raise ModelError(f"a part of the model cannot be run: {error}") from error


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
