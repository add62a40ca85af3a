"""The page of a sweep has everything in it, and a browser draws it."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from tilewright.flows.sweep.job import LayerCycles, Model, Result, Setup
from tilewright.flows.sweep.page.page import MAX_DETAILS, sweep_page
from tilewright.flows.sweep.space import Space
from tilewright.flows.sweep.sweep import Sweep

PATHS = {"m": "folder/m.onnx"}


def made(tmp_path, num_points):
    """Rows and details of a sweep of so many points, with cycles that nobody measured."""
    (tmp_path / "m.onnx").write_bytes(b"model")
    space = Space(ranges={"rows": (4, 8), "queue_depth": (2, 4, 8, 16, 32)})
    model = Model(path=tmp_path / "m.onnx", name="m")
    latencies = tuple(range(1, num_points // 10 + 1))
    points = Sweep(models=(model,), space=space, latencies=latencies, setup=Setup()).points()
    layers = tuple(LayerCycles(name=f"</script>{n}", cycles=50, macs=400) for n in range(60))
    results = [
        Result(cycles=100 + number, macs=9, utilization=0.5, bytes_loaded=4, bytes_stored=1,
               layers=layers, buckets={"matrix": {"busy": 90, "idle": 10}})
        for number in range(len(points))
    ]  # fmt: skip
    rows = [replace(point, result=r).row() for point, r in zip(points, results, strict=True)]
    return rows, [result.details() for result in results]


def data_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*)</script>', page)[1]
    )


def drawn(tmp_path, text, *more):
    """The elements of a page in Chromium."""
    page = tmp_path / "index.html"
    page.write_text(text)
    words = ("chromium", "--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
             "--enable-unsafe-swiftshader", "--dump-dom", *more, page.as_uri())  # fmt: skip
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_the_page_has_the_points_and_details_of_the_best(tmp_path):
    rows, details = made(tmp_path, 300)
    data = data_of(sweep_page("a < b", rows, details, PATHS))
    assert data["columns"]["cycles"] == [row["cycles"] for row in rows]
    assert data["axes"][:2] == ["rows", "cols"]
    assert {"queue_depth", "dram_latency_cycles"} <= set(data["axes"])
    assert len(data["details"]) == MAX_DETAILS
    assert "0" in data["details"]
    assert data["paths"] == PATHS


def test_the_page_loads_nothing_and_its_data_ends_no_script(tmp_path):
    page = sweep_page("a < {{data}}", *made(tmp_path, 10), PATHS)
    assert "<title>a &lt; {{data}}</title>" in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)
    assert page.count("</script>") == page.count("<script>") + 1 == 3


MOUSE = """
const {{xaxis, yaxis}} = byId("{name}")._fullLayout, {{x, y}} = byId("{name}").data[0];
const plot = byId("{name}").querySelector(".nsewdrag"), box = plot.getBoundingClientRect();
const clientX = box.left + xaxis.d2p(x[9]), clientY = box.top + yaxis.d2p(y[9]);
for (const kind of ["mouseover", "mousemove"])
  plot.dispatchEvent(new MouseEvent(kind, {{ bubbles: true, clientX, clientY }}));
"""
"""Moves the mouse to the last of ten points."""


def value_of(tmp_path, text, value, before=""):
    """What an expression is in Chromium, half a second after something was done to a page."""
    later = f"setTimeout(() => {{ document.body.dataset.asked = {value}; }}, 500)"
    asked = f"<script>setTimeout(() => {{ {before}; {later}; }}, 500)</script>"
    more = "--virtual-time-budget=9000"
    found = drawn(tmp_path, text.replace("</body>", f"{asked}</body>"), more)
    return re.search(r'data-asked="([^"]*)"', found)[1]


@pytest.mark.campaign
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
@pytest.mark.parametrize("name", ["scatter", "roofline"])
def test_a_point_under_the_mouse_has_its_figures(tmp_path, name):
    text = sweep_page("few", *made(tmp_path, 10), PATHS)
    shown = f"byId('{name}').querySelector('.hovertext').textContent"
    found = value_of(tmp_path, text, shown, MOUSE.format(name=name))
    assert found.startswith("base-8x8-queue_depth")
    assert re.search("cycles: 10[89]", found)  # points may lie upon each other


@pytest.mark.campaign
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
def test_layers_that_run_together_have_one_value_on_the_page(tmp_path):
    rows, details = made(tmp_path, 10)
    names, cycles = ("expand", "depthwise", "project", "head"), (None, None, 50, 10)
    layers = [{"name": n, "cycles": c, "macs": 400} for n, c in zip(names, cycles, strict=True)]
    text = sweep_page("few", rows, [{**each, "layers": layers} for each in details], PATHS)
    values = "byId('layers').data[0].z.map((line) => line[0].toFixed(3)).join(' ')"
    found = value_of(tmp_path, text, values)
    # the first of the best has 4x4 multipliers: 1200 products in 50 cycles, 400 in 10
    assert found.split() == ["1.500"] * 3 + ["2.500"]


@pytest.mark.campaign
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
def test_a_browser_draws_ten_thousand_points_in_three_seconds(tmp_path):
    found = drawn(tmp_path, sweep_page("many", *made(tmp_path, 10_000), PATHS))
    assert int(re.search(r'data-milliseconds="(\d+)"', found)[1]) < 3000
    assert "tilewright sweep folder/m.onnx --preset" in found
    for name in ("scatter", "axes", "roofline", "layers", "stalls"):
        assert re.search(rf'id="{name}" class="plot js-plotly-plot"', found), name
