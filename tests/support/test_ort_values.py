"""Types that NumPy lacks go into ONNX Runtime and come out of it, bit for bit."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper

from tilewright.support.ort import open_session, run_session

NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")


def casting(dtype: np.dtype, shape: list[int]) -> bytes:
    """Return a model: y = x as float32; z = f, float32, as `dtype`."""
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    values = {"x": kind, "f": onnx.TensorProto.FLOAT, "y": onnx.TensorProto.FLOAT, "z": kind}
    infos = {name: helper.make_tensor_value_info(name, k, shape) for name, k in values.items()}
    nodes = [
        helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Cast", ["f"], ["z"], to=kind),
    ]
    graph = helper.make_graph(nodes, "casts", [infos["x"], infos["f"]], [infos["y"], infos["z"]])
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("shape", [(3,), (2, 4), (0,)])
def test_values_keep_their_bits(name, shape):
    dtype = np.dtype(getattr(ml_dtypes, name))
    floats = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    given = floats.astype(dtype)
    session = open_session(casting(dtype, list(shape)))
    found = run_session(session, {"x": given, "f": floats})
    assert np.array_equal(found["y"], floats)
    assert found["z"].dtype == dtype
    assert found["z"].shape == shape
    assert found["z"].tobytes() == given.tobytes()
