"""The families of networks that people bring: nearly all multiplications on the accelerator.

The networks are built as exporters write them, with a few layers of each kind, and quantized as
people quantize. `pytest -m campaign` has more forms, and runs every section on the RTL.
"""

import numpy as np
import onnx
import pytest
from audio import audio_embedding
from forms import FORMS, draw
from mobilenet import mobilenet_v3, text_direction
from ocr import text_detector, text_recognizer
from resnet import resnet
from retina import retina_face
from unet import unet
from yolo import yolo_v8

from tilewright.compiler.compare import compare_with_onnxruntime
from tilewright.compiler.frontend.importer import ImportedModel, import_model
from tilewright.compiler.graph.graph import Concat, Conv, Node, Requantize
from tilewright.compiler.options import ImportOptions
from tilewright.flows.models import CompiledModel, ReferenceTarget, compile_file
from tilewright.flows.runtime.targets import IssTarget
from tilewright.flows.verify import timed_rtl, verify
from tilewright.hw.spec.config import PRESETS

SHARE = 0.95
"""Of all multiplications, at least."""
TIES = {"add": 0.03, "averagepool": 0.1, "concat": 0.02, "maxpool": 0.01}
"""The part of an operator's elements that may differ from ONNX Runtime's where many values lie half
way between two steps (sums and means of few pixels, the concatenation of a map so resized)."""
FEW = 5e-4
"""The same of any other operator."""
OF_PIECES = 0.12
"""The same of a function of an unrounded value (docs/compiler.md)."""
OF_ROUNDED_OPERANDS = 0.2
"""The same of what reads operands that are rounded by themselves."""
OF_ROUNDED_BIASES = 0.03
"""The same of a convolution whose bias is finer than its accumulator's steps."""
DRAWS = 16
"""Inputs that have to hold a rate together, where one has so few elements that chance decides."""
BUILDERS = {
    "audio_embedding": audio_embedding,
    "mobilenet_v3": lambda: mobilenet_v3(32),
    "resnet": lambda: resnet(32),
    "retina_face": lambda: retina_face(32),
    "text_columns": lambda: text_recognizer(48, attention=False),
    "text_detector": lambda: text_detector(32),
    "text_direction": lambda: text_direction(48),
    "text_recognizer": lambda: text_recognizer(48),
    "unet": lambda: unet(24),
    "unet_linear": lambda: unet(24, linear=True),
    "yolo_v8": lambda: yolo_v8(32, 4),
}


@pytest.fixture(scope="session")
def quantized(tmp_path_factory):
    """Return a function that gives the path of a family's network in one of the forms."""
    folder = tmp_path_factory.mktemp("families")

    def path_of(family, form):
        source, target = folder / f"{family}.onnx", folder / f"{family}.{form}.onnx"
        if not source.exists():
            onnx.save(BUILDERS[family](), source)
        if not target.exists():
            onnx.save(FORMS[form](source), target)
        return target

    return path_of


FLOAT_RESULTS = ("text_recognizer", "inputs"), ("yolo_v8", "inputs")
"""Networks whose last products, and what normalizations read, make 5 and 6 % of the multiplications
of so small ones: nothing quantizes what is made of them, and the host computes it."""
NOT_QUANTIZED_THERE = (("text_direction", "tensorrt"),)
IN_ONE_SECTION = (
    "audio_embedding", "mobilenet_v3", "resnet", "retina_face", "text_columns", "text_detector",
    "unet", "unet_linear",
)  # fmt: skip
"""Families that need nothing between their convolutions from the host."""


def assert_nearly_all_on_the_accelerator(model: ImportedModel) -> None:
    coverage = model.coverage
    assert coverage.macs_accelerator >= SHARE * coverage.macs_total > 0


def assert_agrees_with_onnxruntime(path, model: ImportedModel) -> None:
    """Every operator by itself, on ONNX Runtime's values of what it reads."""
    nodes = {
        (section.name, node.source, type(node).__name__): node
        for section in model.sections
        for node in section.graph.nodes
    }
    compared = differences(path, model, seed=3)
    assert compared
    for key, item in compared.items():
        assert item.own.largest <= steps_of_a_tie(nodes[key]), item
    rates = {key: rate_of_ties(nodes[key], model.notes) for key in compared}
    often = {key: rates[key] for key in too_many(rates, [compared])}
    if often:
        draws = [differences(path, model, seed) for seed in range(3, 3 + DRAWS)]
        assert not too_many(often, draws), often


def differences(path, model: ImportedModel, seed: int) -> dict:
    """What compare_with_onnxruntime finds on an input, by section, source and kind."""
    found = compare_with_onnxruntime(path, draw(onnx.load(path), seed=seed), model)
    return {(item.section, item.source, item.kind): item for item in found}


def too_many(rates: dict, draws: list[dict]) -> list:
    """The operators of `rates` that differ more often than these say, over all the draws."""
    return [
        key
        for key, rate in rates.items()
        if sum(draw[key].own.count for draw in draws)
        > max(1, rate * sum(draw[key].elements for draw in draws))
    ]


def assert_the_simulator_equals_the_reference(path, compiled: CompiledModel) -> None:
    sample = draw(onnx.load(path), seed=3)
    given = IssTarget(compiled.program).run(sample).outputs
    expected = ReferenceTarget(compiled.imported).run(sample).outputs
    assert all((given[name] == expected[name]).all() for name in expected)


def rate_of_ties(node: Node, notes: tuple[str, ...]) -> float:
    """The part of a node's elements that may be a step off."""
    if any(part in name for name in node.inputs for part in ("/inner", "/mixed", "/sum")):
        return OF_ROUNDED_OPERANDS
    if isinstance(node, Conv):
        is_rounded = any(note.startswith(f"{node.name}: the bias") for note in notes)
        rate = OF_PIECES * bool(node.epilogue.pieces) + OF_ROUNDED_BIASES * is_rounded
        if rate:
            return rate
    return next((part for kind, part in TIES.items() if node.name.startswith(kind)), FEW)


def steps_of_a_tie(node: Node) -> int:
    """What one step becomes: in a table, that between two neighbours at most.

    A concatenation rescales what was rounded before.
    """
    if isinstance(node, Concat):
        return 2
    table = node.epilogue.table if isinstance(node, Conv | Requantize) else None
    if table is None:
        return 1
    in_order = np.roll(table, 128).astype(np.int16)
    return max(1, int(np.abs(np.diff(in_order)).max()))


@pytest.mark.parametrize("family", BUILDERS)
def test_quantized_by_onnxruntime(quantized, family):
    path = quantized(family, "onnxruntime")
    compiled = compile_file(path, PRESETS["edge"], ImportOptions(keep_sections=True))
    assert_nearly_all_on_the_accelerator(compiled.imported)
    assert len(compiled.imported.sections) == 1 or family not in IN_ONE_SECTION
    assert_agrees_with_onnxruntime(path, compiled.imported)
    assert_the_simulator_equals_the_reference(path, compiled)


@pytest.mark.campaign
@pytest.mark.parametrize("family", BUILDERS)
def test_quantized_by_tilewright(quantized, family):
    path = quantized(family, "tilewright")
    model = import_model(path, PRESETS["edge"], ImportOptions(keep_sections=True))
    assert_nearly_all_on_the_accelerator(model)


@pytest.mark.parametrize("family", ["audio_embedding", "retina_face"])
def test_activations_in_front_of_quantize(quantized, family):
    """LeakyRelu between a convolution and its QuantizeLinear, of Vitis AI's quantizer."""
    path = quantized(family, "vitis")
    model = import_model(path, PRESETS["edge"], ImportOptions(keep_sections=True))
    assert_nearly_all_on_the_accelerator(model)
    assert len(model.sections) == 1
    assert_agrees_with_onnxruntime(path, model)


@pytest.mark.parametrize(
    "family",
    [
        "audio_embedding", "resnet", "retina_face", "text_columns", "text_detector", "unet",
        "unet_linear",
    ],
)  # fmt: skip
def test_results_of_convolutions_are_not_quantized(quantized, family):
    """TensorRT's form: a convolution's value goes into Add and activations as it is."""
    path = quantized(family, "tensorrt")
    compiled = compile_file(path, PRESETS["edge"], ImportOptions(keep_sections=True))
    assert_nearly_all_on_the_accelerator(compiled.imported)
    assert len(compiled.imported.sections) == 1
    assert_agrees_with_onnxruntime(path, compiled.imported)
    assert_the_simulator_equals_the_reference(path, compiled)


@pytest.mark.parametrize("family", ["mobilenet_v3", "resnet", "text_direction"])
def test_nothing_but_what_has_weights_is_quantized(quantized, family):
    """PaddleSlim's form: squeeze and excite, sums and means of values without any scale."""
    path = quantized(family, "inputs")
    compiled = compile_file(path, PRESETS["edge"], ImportOptions(keep_sections=True))
    assert_nearly_all_on_the_accelerator(compiled.imported)
    assert_agrees_with_onnxruntime(path, compiled.imported)
    assert_the_simulator_equals_the_reference(path, compiled)


@pytest.mark.campaign
@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("form", ["inputs", "operators", "tensorrt", "vitis"])
def test_in_other_forms(quantized, family, form):
    if (family, form) in NOT_QUANTIZED_THERE:
        pytest.skip("its scales have an axis, which its operator set has not")
    path = quantized(family, form)
    model = import_model(path, PRESETS["edge"], ImportOptions(keep_sections=True))
    if (family, form) not in FLOAT_RESULTS:
        assert_nearly_all_on_the_accelerator(model)
    assert_agrees_with_onnxruntime(path, model)


@pytest.mark.campaign
@pytest.mark.parametrize("config", ["nano", "edge"])
@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("form", ["inputs", "onnxruntime"])
def test_every_section_on_the_rtl_equals_the_simulator(quantized, family, form, config):
    path = quantized(family, form)
    compiled = compile_file(path, PRESETS[config], ImportOptions(keep_sections=True))
    sample = draw(onnx.load(path), seed=3)
    result = verify(compiled, [sample], timed_rtl(compiled.program)[0], num_rtl=1)
    assert result.is_exact
    assert result.estimated_cycles == result.cycles
