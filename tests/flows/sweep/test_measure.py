"""One job of a sweep: read once for all configs, or for its own where it must be."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tilewright.compiler.graph.graph import Conv
from tilewright.flows.models import compile_file
from tilewright.flows.report.coverage import coverage_of
from tilewright.flows.report.report import layer_reports
from tilewright.flows.sweep.energy import count
from tilewright.flows.sweep.job import Job, Model, Setup
from tilewright.flows.sweep.measure import _kept, keep_reading, measure
from tilewright.flows.sweep.space import Space
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


def test_a_replay_takes_no_weights_from_a_reading(digits, tmp_path):
    reading, setup = tmp_path / "reading", Setup()
    keep_reading(digits, setup, reading)
    imported = _kept(reading)
    nodes = [node for section in imported.sections for node in section.graph.nodes]
    convolutions = [node for node in nodes if isinstance(node, Conv)]
    assert convolutions
    kept, other = reading.read_bytes(), tmp_path / "other"
    for node in convolutions:
        weights = node.weight.tobytes()
        assert kept.count(weights) == 1
        kept = kept.replace(weights, bytes(len(weights)))
    other.write_bytes(kept)
    job = Job(model=Model(path=digits, name="digits"), config=PRESETS["nano"], setup=setup,
              latency=64)  # fmt: skip
    assert dataclasses.replace(measure(job, other), compile_seconds=0, run_seconds=0) == (
        dataclasses.replace(measure(job, reading), compile_seconds=0, run_seconds=0)
    )


@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (7, 12), (16, 16), (24, 6)])
def test_a_replay_has_the_figures_of_the_compiled_program(digits, tmp_path, rows, cols):
    reading, setup = tmp_path / "reading", Setup()
    keep_reading(digits, setup, reading)
    config = Space().candidate(PRESETS["base"], {"rows": rows, "cols": cols}).config
    job = Job(model=Model(path=digits, name="digits"), config=config, setup=setup, latency=32)
    result = measure(job, reading)
    program = compile_file(digits, config).program
    timing = simulate(program, latency=32)
    reports = layer_reports(program, timing.retirements)
    assert result.error == ""
    assert (result.cycles, result.instructions) == (timing.cycles, program.num_instructions)
    assert [(layer.name, layer.cycles) for layer in result.layers] == [
        (report.name, report.cycles) for report in reports
    ]
    assert result.counts == count(program, result.macs)
    assert result.coverage == coverage_of(program)
    assert sum(result.buckets["matrix"].values()) == timing.cycles - 2
    assert result.buckets == {
        engine.name.lower(): {bucket.name.lower(): cycles for bucket, cycles in buckets.items()}
        for engine, buckets in timing.buckets.items()
    }
