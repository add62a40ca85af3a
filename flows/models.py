"""A model with its program: what the commands that take an ONNX file work on."""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewright.compiler.options import AS_IT_IS, ImportOptions
from tilewright.flows.program_cache import load_program, program_key, save_program
from tilewright.flows.runtime.targets import Outcome
from tilewright.flows.runtime.tensors import Array, Sample
from tilewright.flows.runtime.walk import Host, walk
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.program import Program
from tilewright.support.collector import no_collections
from tilewright.support.digests import file_digest
from tilewright.support.errors import ModelError
from tilewright.support.files import missing
from tilewright.support.log import timed
from tilewright.support.records import record

if TYPE_CHECKING:
    from tilewright.compiler.frontend.importer import ImportedModel, ImportedSection
    from tilewright.compiler.passes import Observer

LOG = logging.getLogger(__name__)
SAMPLES_AT_ONCE = 32
MAPS_BYTES = 2**28
"""Of all feature maps of the samples that run together on the reference."""

BATCH_SIZE = "batch_size"
"""In a program's metadata: the samples that took the place of a symbolic batch."""


@record(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """An ONNX file, and the program for one config."""

    path: Path
    program: Program
    seconds: float
    is_cached: bool = False
    """Whether the program came from the cache."""
    options: ImportOptions
    """How the file is read."""
    read: "ImportedModel | None" = None
    """What the compiler read from the file, if it did."""

    @cached_property
    def imported(self) -> "ImportedModel":
        """What the compiler reads from the file."""
        return self.read or import_file(self.path, self.program.config, self.options)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the model file, hex."""
        return file_digest(self.path)


def compile_file(
    path: Path,
    config: Config,
    options: ImportOptions = AS_IT_IS,
    *,
    cached: bool = False,
    observe: "Observer | None" = None,
) -> CompiledModel:
    """Compile an ONNX file. The program is complete: it runs without the model.

    cached: take the program, or schedules of its layers, from the cache on disk where they are
        there, and keep them there.
    observe: called behind each pass; the program does not come from the cache then.

    Raises ModelError when the file is missing, malformed or not supported.
    """
    if not path.is_file():
        raise ModelError(missing(path, "an ONNX model"))
    start = time.monotonic()
    data = path.read_bytes()
    key = program_key(data, path.stem, config, options=repr(options)) if cached else None
    program = load_program(key) if key and observe is None else None
    imported = None
    if program is not None:
        LOG.info("%s: the program comes from the cache", path)
    else:
        imported, program = _read_and_compile(path, config, options, observe, cached)
        if key:
            save_program(key, program)
    return CompiledModel(
        path=path,
        program=program,
        seconds=time.monotonic() - start,
        is_cached=imported is None,
        options=options,
        read=imported,
    )


def _read_and_compile(
    path: Path,
    config: Config,
    options: ImportOptions,
    observe: "Observer | None",
    cached: bool,
) -> tuple["ImportedModel", Program]:
    from tilewright.compiler.compile import compile_model
    from tilewright.compiler.plan import schedule_cache

    with schedule_cache.enabled(cached), no_collections():
        with timed(LOG, f"reading {path}"):
            imported = import_file(path, config, options)
        LOG.info("%s", imported.coverage)
        with timed(LOG, f"compiling for {config.name} ({config.rows}x{config.cols})"):
            program = compile_model(imported, config, observe=observe)
    named: dict[str, Any] = {"model": path.stem, "model_digest": file_digest(path)}
    if options.batch_size is not None:
        named[BATCH_SIZE] = options.batch_size
    return imported, dataclasses.replace(program, metadata=dict(program.metadata) | named)


def import_file(
    path: Path, config: Config | None = None, options: ImportOptions = AS_IT_IS
) -> "ImportedModel":
    """Read an ONNX file. Raises ModelError, naming the file."""
    from tilewright.compiler.frontend.importer import import_model

    try:
        return import_model(path, config, options)
    except ModelError as error:
        text = str(error)
        raise ModelError(text if str(path) in text else f"{path}: {text}") from error


class ReferenceTarget:
    """The project's own reference: the quantized graphs, executed with the normative numerics."""

    def __init__(self, imported: "ImportedModel") -> None:
        from tilewright.compiler.graph.reference import Reference

        self._imported = imported
        self._host = Host()
        self._references = {
            section.name: Reference(graph=section.graph) for section in imported.sections
        }

    @property
    def samples_at_once(self) -> int:
        """Of a batch: more are no faster, or their feature maps take much memory."""
        elements = (
            sum(math.prod(stored.shape) for stored in section.graph.maps.values())
            for section in self._imported.sections
        )
        return min(max(1, MAPS_BYTES // max(elements, default=1)), SAMPLES_AT_ONCE)

    def run(self, sample: Mapping[str, Array]) -> Outcome:
        """Run one sample."""
        start = time.monotonic()
        (outputs,) = self.run_batch([sample])
        return Outcome(outputs=outputs, seconds=time.monotonic() - start)

    def run_batch(self, samples: Sequence[Mapping[str, Array]]) -> list[Sample]:
        """Return the outputs of samples that run together, each as it would alone."""
        model = self._imported
        return walk(
            model.steps, (model.inputs, model.outputs), samples, self._run_section, self._host
        )

    def _run_section(self, section: "ImportedSection", samples: Sequence[Sample]) -> list[Sample]:
        maps = {
            item.stored.name: np.stack(
                [item.to_map(given[item.name]) for given in samples], axis=-1
            )
            for item in section.inputs
        }
        for name, values in section.constants.items():
            maps[name] = np.repeat(values[..., None], len(samples), axis=-1)
        results = self._references[section.name].run(maps)
        return [
            {
                item.name: item.from_map(results[item.stored.name][..., i])
                for item in section.outputs
            }
            for i in range(len(samples))
        ]


def input_ranges(program: "Program | ImportedModel") -> dict[str, tuple[float, float]]:
    """Return the smallest and largest useful value of inputs.

    Of floating-point inputs what the first input maps can express; of integers that index a tensor,
    its indices.
    """
    first = program.sections[:1]
    stored = [item.stored.quantization for section in first for item in section.inputs]
    lows = [item.scale * (-128 - item.zero_point) for item in stored]
    highs = [item.scale * (127 - item.zero_point) for item in stored]
    ranges: dict[str, tuple[float, float]] = {}
    for spec in program.inputs:
        if lows and np.dtype(spec.dtype).kind == "f":
            ranges[spec.name] = min(lows), max(highs)
    for island in program.islands:
        ranges |= _index_ranges(island.model)
    names = {spec.name for spec in program.inputs}
    return {name: limits for name, limits in ranges.items() if name in names}


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

    from tilewright.compiler.frontend.source import LAYOUT_OPERATORS

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
