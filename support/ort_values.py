"""Tensors of types that NumPy lacks (bfloat16, float8, int4 ...) into ONNX Runtime and out of it.

Arrays have the types of the package ml_dtypes, as those that onnx reads; ONNX Runtime takes their
bits, several elements a byte where they are narrower than one.
"""

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import OrtValue

Array = NDArray[Any]

REGISTERED = 2
"""`isbuiltin` of a type that another package has told NumPy of."""


def is_foreign(array: Array) -> bool:
    """Whether NumPy itself lacks the type of `array`."""
    return array.dtype.isbuiltin == REGISTERED


def to_ort(array: Array) -> "OrtValue":
    """Return the tensor that holds `array`."""
    from onnx import numpy_helper
    from onnxruntime import OrtValue

    if not is_foreign(array):
        return OrtValue.ortvalue_from_numpy(array)
    tensor = numpy_helper.from_array(array)
    storage = np.zeros(array.shape, f"u{array.dtype.itemsize}")
    flat = storage.reshape(-1).view(np.uint8)
    flat[: len(tensor.raw_data)] = np.frombuffer(tensor.raw_data, np.uint8)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(storage, tensor.data_type)


def from_ort(value: "OrtValue") -> Any:
    """Return an array; of what is no tensor, what ONNX Runtime gives."""
    from onnx import TensorProto, helper, numpy_helper

    if not value.is_tensor():
        return value.numpy()
    kind = value.element_type()
    if helper.tensor_dtype_to_np_dtype(kind).isbuiltin != REGISTERED:
        return value.numpy()
    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    return numpy_helper.to_array(TensorProto(data_type=kind, dims=value.shape(), raw_data=raw))
