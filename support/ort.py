"""ONNX Runtime sessions: silent, errors in one line; optimizations are off unless asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilewright.support.errors import InputError, ModelError
from tilewright.support.ort_values import from_ort, is_foreign, to_ort

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

Array = NDArray[np.generic]

FATAL_ONLY = 4
LONGEST_MESSAGE = 300
FOREIGN = frozenset(
    f"tensor({name})"
    for name in (
        "bfloat16", "float4e2m1", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz",
        "float8e8m0", "int2", "int4", "uint2", "uint4",
    )
)  # fmt: skip
"""Types of tensors that ONNX Runtime gives no array for."""


def first_line(error: Exception) -> str:
    """Return an error's message in one line, without ONNX Runtime's status prefix.

    An error without a message gives the name of its type.
    """
    text = " ".join(str(error).split())
    _, separator, rest = text.partition(" : ")
    if separator and text.startswith("[ONNXRuntimeError]"):
        text = rest.split(" : ", 2)[-1]
    return text[:LONGEST_MESSAGE] or type(error).__name__


def open_session(
    model: bytes | str, threads: int = 0, what: str = "the model", *, optimized: bool = False
) -> "InferenceSession":
    """Open a model, its bytes or its path; `threads` 0 takes ONNX Runtime's default.

    It computes as written, or, `optimized`, as ONNX Runtime does by itself. Raises ModelError,
    naming `what`, where ONNX Runtime does not accept it.
    """
    options = _options("ORT_ENABLE_ALL" if optimized else "ORT_DISABLE_ALL")
    options.intra_op_num_threads = threads
    return _open(model, options, what)


def write_folded(model: bytes, target: Path) -> None:
    """Write the model with constants propagated and batch normalization in the weights.

    These are ONNX Runtime's basic optimizations. Raises ModelError where it refuses the model.
    """
    options = _options("ORT_ENABLE_BASIC")
    options.optimized_model_filepath = str(target)
    _open(model, options, "the model")


def _options(level: str) -> "SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = FATAL_ONLY
    return options


def _open(model: bytes | str, options: "SessionOptions", what: str) -> "InferenceSession":
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime refuses {what}: {first_line(error)}") from error


def run_session(
    session: "InferenceSession",
    feeds: Mapping[str, Array],
    outputs: Sequence[str] | None = None,
    what: str = "the inputs",
) -> dict[str, Array]:
    """Return the outputs (all, or those named) by name.

    Raises InputError, naming `what`, where ONNX Runtime stops.
    """
    names = list(outputs or (item.name for item in session.get_outputs()))
    try:
        results = _run(session, names, feeds)
    except Exception as error:  # as above
        raise InputError(f"ONNX Runtime refuses {what}: {first_line(error)}") from error
    return dict(zip(names, results, strict=True))


def _run(
    session: "InferenceSession", names: Sequence[str], feeds: Mapping[str, Array]
) -> list[Any]:
    types = {item.name: item.type for item in session.get_outputs()}
    foreign = any(types[name] in FOREIGN for name in names if name in types)
    if not foreign and not any(isinstance(v, np.ndarray) and is_foreign(v) for v in feeds.values()):
        return list(session.run(names, dict(feeds)))
    values = {name: to_ort(np.ascontiguousarray(array)) for name, array in feeds.items()}
    return [from_ort(value) for value in session.run_with_ort_values(names, values)]
