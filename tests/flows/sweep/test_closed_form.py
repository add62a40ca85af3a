"""Cycles in closed form order configs as a replay does."""

import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest
from random_graphs import GraphMaker

from tilewright.compiler.compile import compile_model
from tilewright.compiler.frontend.importer import model_of_graph
from tilewright.flows.bench.networks import make_network
from tilewright.flows.models import import_file
from tilewright.flows.sweep.closed_form import closed_form, model_sizes
from tilewright.flows.sweep.job import Model
from tilewright.flows.sweep.running import Runner
from tilewright.flows.sweep.space import Space
from tilewright.flows.sweep.store import opened
from tilewright.flows.sweep.sweep import Sweep
from tilewright.hw.spec.config import PRESETS
from tilewright.sim.timing import simulate

DIGITS = Path(str(files("tilewright.flows") / "data" / "digits.onnx"))


def configs():
    ranges = {"rows": (4, 8, 16), "cols": (4, 12, 16), "lanes": (2, 4)}
    space = Space(bases=(PRESETS["edge"],), ranges=ranges)
    return [candidate.config for candidate in space.candidates() if candidate.config]


def rank_correlation(first, second):
    """Spearman's, of values without ties that matter."""
    ranks = [
        np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (first, second)
    ]
    return np.corrcoef(*ranks)[0, 1]


def correlation_with_replay(model):
    sizes = model_sizes(model)
    quick = [closed_form(sizes, config, 64).cycles for config in configs()]
    replayed = [simulate(compile_model(model, config), latency=64).cycles for config in configs()]
    return rank_correlation(quick, replayed)


def test_the_closed_form_orders_configs_as_the_replay_does():
    assert correlation_with_replay(import_file(DIGITS)) > 0.9


def test_so_it_does_with_a_depthwise_layer_a_pooling_and_a_residual():
    maker = GraphMaker(1, (3, 12, 12))
    stem = maker.conv(maker.input, 24, (3, 3), pads=(1, 1, 1, 1))
    filtered = maker.conv(stem, 24, (3, 3), pads=(1, 1, 1, 1), groups=24)
    pooled = maker.pool(maker.conv(filtered, 24, residual=stem), "max", (2, 2), strides=(2, 2))
    model = model_of_graph(maker.graph(maker.conv(pooled, 40)))
    assert correlation_with_replay(model) > 0.9


def test_its_result_has_cycles_work_and_coverage_only():
    result = closed_form(model_sizes(import_file(DIGITS)), PRESETS["nano"], 64)
    assert result.macs == import_file(DIGITS).coverage.macs_accelerator
    assert result.utilization == pytest.approx(result.macs / result.cycles / 16)
    assert (result.estimated_cycles, result.counts, result.error) == (None, None, "")


@pytest.mark.campaign
def test_a_thousand_configs_a_second_are_ranked_for_resnet50(tmp_path):
    onnx.save(make_network("resnet50"), tmp_path / "m.onnx")
    ranges = {"rows": (4, 8, 12, 16, 32), "cols": (4, 8, 12, 16, 32), "queue_depth": (2, 4, 8, 16)}
    sweep = Sweep(
        models=(Model(path=tmp_path / "m.onnx", name="m"),),
        space=Space(bases=(PRESETS["base"], PRESETS["edge"]), ranges=ranges),
    )
    points = sweep.points()
    with opened(None) as store, Runner(sweep, store, 1) as runner:
        runner.in_closed_form(points[0])  # reads the model
        start = time.process_time()
        found = [runner.in_closed_form(point) for point in points]
        seconds = time.process_time() - start
    assert all(point.result.cycles for point in found)
    assert len(found) / seconds >= 1000
