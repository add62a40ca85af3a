"""One job of a sweep: read once for all configs, or for its own where it must be."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tilewright.flows.models import compile_file
from tilewright.flows.sweep.job import Job, Model, Setup
from tilewright.flows.sweep.measure import keep_reading, measure
from tilewright.hw.spec.config import PRESETS
from tilewright.sim.timing import simulate


def mean_of_many_pixels(path):
    """Write a model of a convolution and, beside it, a mean over 96x96 pixels."""
    weight = np.random.default_rng(0).integers(-128, 128, (2, 2, 3, 3), np.int8)
    constants = {"one": np.float32(1), "scale": np.float32(2**-9), "w": weight, "zero": np.int8(0)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "one", "zero"], ["map"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["weight"]),
        helper.make_node("Conv", ["map", "weight"], ["sums"]),
        helper.make_node("QuantizeLinear", ["sums", "one", "zero"], ["y"]),
        helper.make_node("GlobalAveragePool", ["map"], ["means"]),
        helper.make_node("QuantizeLinear", ["means", "one", "zero"], ["z"]),
    ]
    x, y, z = (
        helper.make_tensor_value_info(name, TensorProto.INT8, [1, 2, size, size])
        for name, size in (("x", 96), ("y", 94), ("z", 1))
    )
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "means", [x], [y, z], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def test_a_pooling_that_one_config_lacks_the_memory_for_is_measured_as_it_compiles(tmp_path):
    path, reading = tmp_path / "means.onnx", tmp_path / "reading"
    mean_of_many_pixels(path)
    setup = Setup()
    keep_reading(path, setup, reading)
    for config in (PRESETS["base"], PRESETS["nano"]):
        job = Job(model=Model(path=path, name="means"), config=config, setup=setup, latency=64)
        result = measure(job, reading)
        program = compile_file(path, config).program
        assert (result.error, result.cycles) == ("", simulate(program, latency=64).cycles)
