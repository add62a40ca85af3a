"""`tilewright explain`: ceilings, padding, limits and gains; occupancies of spans made by hand."""

import json

import onnx
import pytest

from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.models import import_file
from tilewright.flows.report.display import shorten
from tilewright.flows.report.explanation import explain, option_meanings
from tilewright.flows.report.occupancy import Occupancy, occupancies
from tilewright.flows.report.spans import Span
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.isa import Engine

NANO = PRESETS["nano"]


@pytest.fixture
def kernel(tmp_path):
    """Return a function that explains a single-layer model."""

    def make(kind, *sizes, config=NANO):
        path = tmp_path / "kernel.onnx"
        onnx.save(make_kernel(kind, sizes), path)
        return explain(import_file(path), config, with_gains=False)

    return make


@pytest.mark.parametrize(
    ("kind", "sizes", "ceiling", "loss", "reasons"),
    [
        ("conv", (8, 4, 3, 6, 6), 2 * 9 * 36, 0, []),
        ("conv", (5, 4, 3, 6, 6), 2 * 9 * 36, 3 / 8, ["5 of 8 rows used (4 would take 1 of the 2"]),
        ("conv", (8, 7, 1, 6, 6), 2 * 2 * 36, 1 / 8, ["7 of 8 columns used"]),
        ("depthwise", (8, 3, 6, 6), 2 * 9 * 36, 3 / 4, ["8 groups: each output channel uses 1 of"]),
        ("gemm", (2, 8, 8), 4 * 4, 0, ["2 of 4 cycles used: a weight tile takes 4 to load"]),
    ],
)
def test_ceiling_and_padding(kernel, kind, sizes, ceiling, loss, reasons):
    found = kernel(kind, *sizes, config=NANO.replace(depthwise_taps=0))
    (layer,) = found.layers
    assert layer.padding.ceiling_cycles == found.ceiling_cycles == ceiling
    assert layer.padding.loss == pytest.approx(loss)
    assert len(layer.padding.reasons) == len(reasons)
    for reason, beginning in zip(layer.padding.reasons, reasons, strict=True):
        assert reason.startswith(beginning)
    assert found.cycles >= ceiling
    assert layer.ceiling_utilization == pytest.approx(
        found.macs / (ceiling * NANO.rows * NANO.cols)
    )


@pytest.mark.parametrize(("taps", "cycles"), [(1, 3 * 3 * 36), (3, 3 * 6 * 8)])
def test_ceiling_of_the_depthwise_unit(kernel, taps, cycles):
    found = kernel("depthwise", 6, 3, 6, 6, config=NANO.replace(depthwise_taps=taps))
    (layer,) = found.layers
    assert layer.report.operator == "Depthwise"
    assert layer.padding.ceiling_cycles == found.ceiling_cycles == 2 * cycles
    used = 6 * 9 * 36 / (2 * cycles * NANO.rows * taps)
    assert layer.ceiling_utilization == pytest.approx(used) == 1 - layer.padding.loss
    (reason,) = layer.padding.reasons
    columns = {1: 18, 3: 8}[taps]
    assert f"unit, 4 x {taps} multipliers: {columns} columns read for 6 outputs" in reason


def test_reasons_and_hosted_operators_are_counted_in_words(kernel, tilewright, make_model):
    (layer,) = kernel("depthwise", 4, 1, 1, 1).layers
    assert layer.padding.reasons[0].endswith("1 column read for 1 output of a row")
    words = ("--preset", "nano", "--no-gains")
    assert "1 section on the accelerator" in tilewright("explain", make_model(), *words).out


def test_seventeen_channels_cost_twice(kernel):
    base = PRESETS["base"]
    (even,) = kernel("conv", 16, 16, 3, 14, 14, config=base).layers
    (odd,) = kernel("conv", 17, 16, 3, 14, 14, config=base).layers
    assert odd.padding.ceiling_cycles == 2 * even.padding.ceiling_cycles
    assert odd.padding.reasons == ("17 of 32 rows used (16 would take 1 of the 2 passes)",)
    assert even.padding.reasons == ()


def test_shape_and_places(kernel):
    (layer,) = kernel("depthwise", 8, 3, 6, 6).layers
    assert layer.shape == "3x3 g8 8x6x6 -> 8x6x6"
    assert [(item.role, item.place, item.num_bytes) for item in layer.maps] == [
        ("input", "DRAM", 288),
        ("output", "DRAM", 288),
    ]


def test_wide_layers_are_limited_by_the_array_and_vectors_by_loads(kernel):
    (conv,) = kernel("conv", 16, 16, 3, 16, 16).layers
    assert conv.occupancy.limit == "array"
    config = Config(name="wide", rows=16, cols=16, axi_data_bits=64)
    (gemm,) = kernel("gemm", 1, 512, 256, config=config).layers
    assert gemm.occupancy.limit == "load"


def span(engine, layer, start, free, retired, held_by=None):
    return Span(
        engine=engine, layer=layer, start=start, free=free, retired=retired, held_by=held_by
    )


SPANS = (
    span(Engine.LOAD, 0, 0, 10, 20),
    span(Engine.MATRIX, 0, 20, 90, 95, held_by=Engine.LOAD),
    span(Engine.LOAD, 1, 10, 80, 90),
    span(Engine.VECTOR, 0, 95, 100, 100, held_by=Engine.MATRIX),
    span(Engine.VECTOR, 1, 100, 130, 140),
    span(Engine.STORE, 1, 140, 150, 160, held_by=Engine.VECTOR),
)


def test_occupancies_cut_the_run_into_windows():
    first, second = (occupancies(SPANS)[layer] for layer in (0, 1))
    assert (first.start, first.end, second.start, second.end) == (0, 100, 100, 160)
    assert first.busy == {Engine.LOAD: 80, Engine.MATRIX: 70, Engine.VECTOR: 5}
    assert first.waits == {"load": 20, "drain": 10}
    assert (first.engine, second.engine) == (Engine.MATRIX, Engine.VECTOR)
    assert second.busy == {Engine.VECTOR: 30, Engine.STORE: 10}
    assert second.waits == {"drain": 30}


def test_limit_is_the_busy_engine_or_the_dependency():
    first, second = occupancies(SPANS).values()
    assert (first.limit, first.sentence) == ("load", "load busy 80.0%")
    assert second.limit == "dependency"
    assert second.sentence == "dependency: vector busy 50.0%, waits 50.0% for drain"
    hidden = Occupancy(start=5, end=5, engine=Engine.VECTOR)
    assert hidden.sentence == "overlapped with other layers"


def test_explanation_as_json(tilewright, digits, tmp_path):
    target = tmp_path / "e.json"
    result = tilewright("explain", digits, "--preset", "nano", "--json", "-o", target)
    assert result.status == 0, result
    found = json.loads(result.out)
    assert found == json.loads(target.read_text())
    assert 0 <= found["cycles"] - sum(layer["cycles"] or 0 for layer in found["layers"]) < 100
    assert {item["name"] for item in found["optimizations"]} <= set(option_meanings())
    for item in found["optimizations"]:
        assert item["meaning"]
        assert item["gained_cycles"] == item["cycles"] - found["cycles"]
    for layer in found["layers"]:
        if layer["cycles"] is not None:
            assert layer["limit"] in ("array", "vector", "load", "store", "dependency")


def test_tables(tilewright, digits):
    result = tilewright("explain", digits, "--preset", "nano")
    assert result.status == 0, result
    for text in ("ceiling", "limited by", "Padding", "fold_stem", "total"):
        assert text in result.out
    assert "fold_stem" not in tilewright("explain", digits, "--no-gains").out


def test_errors(tilewright, tmp_path):
    result = tilewright("explain", tmp_path / "no.onnx")
    assert (result.status, result.out) == (2, "")
    assert "no.onnx: no such file" in result.err


def test_long_names_keep_their_end():
    assert shorten("a" * 28) == "a" * 28
    assert shorten("b" + "a" * 40) == ".." + "a" * 26
