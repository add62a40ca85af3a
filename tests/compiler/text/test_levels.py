"""Every pass has its text, on every section of a model, and nothing else changes."""

from collections import Counter
from pathlib import Path

import onnx
import pytest
from reading import attributes_of, name_of, operations, parse
from test_graph import every_kind

from tilewright.compiler import passes
from tilewright.compiler.compile import compile_model, run_sections
from tilewright.compiler.frontend.importer import ImportedModel, import_model, model_of_graph
from tilewright.compiler.passes import PASSES
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.section import Section
from tilewright.compiler.text.levels import section_text
from tilewright.hw.spec.config import PRESETS

NANO = PRESETS["nano"]
DIGITS = Path(__file__).resolve().parents[3] / "flows" / "data" / "digits.onnx"


def cut_digits() -> ImportedModel:
    """The demo's model with a host operator between its first two layers."""
    model = onnx.load(DIGITS)
    graph = model.graph
    (index,) = (n for n, node in enumerate(graph.node) if node.name == "conv2")
    before = next(
        n
        for n in range(index, -1, -1)
        if graph.node[n].op_type == "DequantizeLinear"
        and graph.node[n].output[0] == graph.node[index].input[0]
    )
    quantized = graph.node[before]
    host = onnx.helper.make_node("Softmax", [quantized.output[0]], ["host"], name="host", axis=1)
    again = onnx.helper.make_node(
        "QuantizeLinear", ["host", *quantized.input[1:]], ["host_q"], name="host_q"
    )
    back = onnx.helper.make_node(
        "DequantizeLinear", ["host_q", *quantized.input[1:]], ["host_d"], name="host_d"
    )
    graph.node[index].input[0] = "host_d"
    for node in (back, again, host):
        graph.node.insert(before + 1, node)
    return import_model(model)


MODELS = {
    "every_kind": lambda: model_of_graph(every_kind()),
    "digits": lambda: import_model(DIGITS),
    "two_sections": cut_digits,
}


def texts(model: ImportedModel, **options) -> list[tuple[str, str, str]]:
    """Return (section, pass, text) in the order in which they are observed."""
    found = []
    run_sections(
        model,
        NANO,
        observe=lambda step, section: (
            isinstance(section, Section)
            and found.append((section.name, step.name, section_text(step, section)))
        ),
        **options,
    )
    return found


@pytest.mark.parametrize("name", MODELS)
def test_xdsl_reads_the_text_of_every_pass(name):
    model = MODELS[name]()
    found = texts(model)
    assert [(section, step) for section, step, _ in found] == [
        (section.name, step.name) for section in model.sections for step in PASSES
    ]
    for section, step, text in found:
        module = parse(text)
        header = attributes_of(module)
        assert (header["tw.section"], header["tw.pass"]) == (section, step)
        assert header["tw.config"]["digest"] == NANO.digest


def test_cut_model_has_two_sections():
    assert len(cut_digits().sections) == 2


def test_observing_changes_no_byte():
    model = MODELS["two_sections"]()
    seen = []
    watched = compile_model(model, NANO, observe=lambda step, section: seen.append(step))
    assert len(seen) == 2 * len(PASSES) + len(model.islands)
    assert watched.to_bytes() == compile_model(model, NANO).to_bytes()


@pytest.mark.parametrize("last", [step.name for step in PASSES])
def test_passes_stop_where_asked(last):
    names = [step.name for step in PASSES]
    found = texts(MODELS["digits"](), stop_after=last)
    assert [step for _, step, _ in found] == names[: names.index(last) + 1]


def test_placement_says_where_each_storage_and_layer_is():
    model = MODELS["every_kind"]()
    (section,) = run_sections(model, NANO, stop_after="place")
    (text,) = (text for _, step, text in texts(model) if step == "place")
    module = parse(text)
    by_name = {
        name: [attributes_of(item) for item in operations(module, name)]
        for name in ("tw.storage", "tw.place", "tw.layer", "tw.chain")
    }
    placement = section.placement
    assert {item["name"]: item["sram"] for item in by_name["tw.storage"] if "sram" in item} == (
        placement.sram
    )
    assert {item["name"]: item["dram"] for item in by_name["tw.storage"] if "dram" in item} == (
        placement.dram
    )
    assert {item["map"]: item["storage"] for item in by_name["tw.place"]} == {
        name: place.storage for name, place in placement.places.items()
    }
    layers = [number for chain in section.chains for number in chain]
    assert [item["layer"] for item in by_name["tw.layer"]] == layers
    assert [item["workspace"] for item in by_name["tw.chain"]] == list(placement.workspaces)


def test_folded_input_says_how_the_host_folds_it():
    found = {step: parse(text) for _, step, text in texts(MODELS["digits"]())}
    before, after = (
        attributes_of(next(operations(found[step], "func.func")))["arg_attrs"][0]
        for step in ("import", "fold_stem")
    )
    assert "tw.fold" not in before
    assert (after["tw.fold"]["rows"], after["tw.fold"]["columns"]) == (1, 3)


def test_each_layer_has_its_tiling_and_waits_come_with_synchronize():
    found = {step: parse(text) for _, step, text in texts(MODELS["every_kind"]())}
    counts = {}
    for step in ("emit", "synchronize", "order"):
        tilings = [attributes_of(item)["layer"] for item in operations(found[step], "tw.tiling")]
        assert tilings == list(range(len(tilings)))
        instructions = [item for item in operations(found[step]) if item.results]
        counts[step] = Counter(name_of(item) for item in instructions)
        assert any(item.operands for item in instructions) == (step != "emit")
    assert counts["synchronize"] == counts["order"]


def test_second_attempt_at_placement_is_seen_too(monkeypatch):
    def lower_chain(nodes, numbers, on_unit, context):
        if context.placement.sram:
            raise DoesNotFitError("beside resident maps")
        return passes.lower_chain_as_it_is(nodes, numbers, on_unit, context)

    monkeypatch.setattr(passes, "lower_chain_as_it_is", passes.lower_chain, raising=False)
    monkeypatch.setattr(passes, "lower_chain", lower_chain)
    found = texts(MODELS["digits"]())
    assert [step for _, step, _ in found].count("place") == 2
    allowed = [
        attributes_of(next(operations(parse(text), "tw.plan")))["residents_allowed"]
        for _, step, text in found
        if step == "place"
    ]
    assert allowed == [True, False]
