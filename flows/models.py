"""A model with its program: what the commands that take an ONNX file work on."""

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewright.flows.runtime.targets import Executable, Outcome
from tilewright.flows.runtime.tensors import Array
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.program import Program
from tilewright.support.errors import ModelError
from tilewright.support.files import missing

if TYPE_CHECKING:
    from tilewright.compiler.frontend.importer import ImportedModel

LAYOUT_OPERATORS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Identity")


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """An ONNX file, and the program for one config."""

    path: Path
    program: Program
    seconds: float
    is_cached: bool = False
    """Whether the program came from the cache."""
    read: "ImportedModel | None" = None
    """What the compiler read from the file, if it did."""

    @cached_property
    def imported(self) -> "ImportedModel":
        """What the compiler reads from the file."""
        return self.read or import_file(self.path)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the model file, hex."""
        return file_digest(self.path)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tool_digest() -> str:
    """Return the SHA-256 over the project's own sources, hex: what a result depends on."""
    state = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for folder in ("hw", "compiler", "sim", "flows"):
        for path in sorted((root / folder).rglob("*.py")):
            state.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return state.hexdigest()


def compile_file(
    path: Path, config: Config, *, strict: bool = False, cached: bool = False
) -> CompiledModel:
    """Compile an ONNX file. The program carries the border, so that it runs without the model.

    cached: take the program, or schedules of its layers, from the cache on disk where they are
        there, and keep them there.

    Raises ModelError when the file is missing, malformed or not supported.
    """
    from tilewright.compiler.plan import schedule_cache
    from tilewright.flows.program_cache import load_program, program_key, save_program

    if not path.is_file():
        raise ModelError(missing(path, "an ONNX model"))
    start = time.monotonic()
    data = path.read_bytes()
    key = program_key(data, path.stem, config, strict=strict) if cached else None
    program = load_program(key) if key else None
    if program is not None:
        seconds = time.monotonic() - start
        return CompiledModel(path=path, program=program, seconds=seconds, is_cached=True)
    with schedule_cache.enabled(cached):
        imported = import_file(path, strict=strict)
        program = _compile(imported, config, path.stem, hashlib.sha256(data).hexdigest())
    if key:
        save_program(key, program)
    seconds = time.monotonic() - start
    return CompiledModel(path=path, program=program, seconds=seconds, read=imported)


def _compile(imported: "ImportedModel", config: Config, name: str, digest: str) -> Program:
    from tilewright.compiler.compile import compile_graph

    program = compile_graph(imported.graph, config)
    metadata = dict(program.metadata) | {
        "model": name,
        "model_digest": digest,
        "host_operators": [dataclasses.asdict(item) for item in imported.host_operators],
        "notes": list(imported.notes),
        "coverage": imported.coverage.as_dict(),
        "batch": None if imported.batch is None else imported.batch.as_dict(),
    }
    blobs = dict(program.blobs) | imported.border.to_sections()
    return dataclasses.replace(program, metadata=metadata, blobs=blobs)


def import_file(path: Path, *, strict: bool = False) -> "ImportedModel":
    """Read an ONNX file. Raises ModelError, naming the file."""
    from tilewright.compiler.frontend.importer import import_model

    try:
        return import_model(path, strict=strict)
    except ModelError as error:
        text = str(error)
        raise ModelError(text if str(path) in text else f"{path}: {text}") from error


class ReferenceTarget:
    """The project's own reference: the quantized graph, executed with the normative numerics."""

    def __init__(self, imported: "ImportedModel") -> None:
        from tilewright.compiler.graph.reference import Reference

        self._border = imported.border
        self._reference = Reference(graph=imported.graph)

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample."""
        start = time.monotonic()
        maps = self._reference.run(self._border.prepare(sample))
        outputs = self._border.finish(maps, sample)
        return Outcome(outputs=outputs, seconds=time.monotonic() - start)


def input_ranges(program: Program) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest useful value of inputs.

    Of floating-point inputs what the input maps can express; of integers that index a tensor, its
    indices.
    """
    border = Executable(program).border
    lows = [s.scale * (-128 - s.zero_point) for s in program.of_kind("input")]
    highs = [s.scale * (127 - s.zero_point) for s in program.of_kind("input")]
    ranges: dict[str, tuple[float, float]] = {}
    for spec in border.inputs:
        if lows and np.dtype(spec.dtype).kind == "f":
            ranges[spec.name] = min(lows), max(highs)
    for host in (border.prefix, border.suffix):
        if host is not None:
            ranges |= _index_ranges(host.data)
    return ranges


def _index_ranges(model: bytes) -> dict[str, tuple[float, float]]:
    """Return the indices that the integer inputs of a model's Gather operators can be."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    inputs = {item.name for item in graph.input}
    dimensions = {item.name: list(item.dims) for item in graph.initializer}
    for value in (*graph.value_info, *graph.input):
        dimensions[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
    ranges: dict[str, tuple[float, float]] = {}
    for node in graph.node:
        if node.op_type == "Gather" and node.input[1] in inputs:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            sizes = dimensions.get(node.input[0], [])
            if axis < len(sizes) and sizes[axis] > 0:
                ranges[node.input[1]] = (0, sizes[axis] - 1)
    return ranges


def output_steps(path: Path) -> dict[str, float]:
    """Return the quantization step of each model output that a DequantizeLinear makes."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    producers: dict[str, Any] = {name: n for n in model.graph.node for name in n.output}
    scales = {item.name: item for item in model.graph.initializer}
    steps = {}
    for output in model.graph.output:
        node = producers.get(output.name)
        while node is not None and node.op_type in LAYOUT_OPERATORS:
            node = producers.get(node.input[0])
        if node is None or node.op_type != "DequantizeLinear" or node.input[1] not in scales:
            continue
        scale = numpy_helper.to_array(scales[node.input[1]])
        if scale.size == 1:
            steps[output.name] = float(scale.reshape(()))
    return steps
