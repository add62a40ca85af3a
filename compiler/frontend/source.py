"""The ONNX model as the importer reads it: checked, static, in topological order."""

from collections.abc import Iterator
from dataclasses import field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.inliner import inline_local_functions

from tilewright.compiler.frontend.batch import fix_batch, single_sample
from tilewright.compiler.frontend.conditions import inline_conditions
from tilewright.compiler.frontend.foreign import foreign_file
from tilewright.compiler.frontend.inference import MICROSOFT
from tilewright.compiler.frontend.known import shape_of
from tilewright.compiler.frontend.runtime_types import is_accepted, is_unknown
from tilewright.compiler.frontend.synonyms import use_one_name
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.binding import TensorSpec
from tilewright.support.errors import ModelError
from tilewright.support.ort import first_line
from tilewright.support.records import record

Array = NDArray[np.generic]

LAYOUT_OPERATORS = (
    "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
"""Operators that only give the values of their first input another shape or order."""

REINDEXING_OPERATORS = (
    "DepthToSpace", "Expand", "Gather", "Resize", "Slice", "SpaceToDepth", "Split", "Tile",
    "Upsample",
)  # fmt: skip
"""Operators whose results are elements of their first input, chosen by constants."""

OLDEST_OPSET = 7
"""The first operator set with today's broadcasting; before 10 only com.microsoft quantizes."""

FIXED_SHAPE_HINT = (
    "fix it with `python -m onnxruntime.tools.make_dynamic_shape_fixed` or export it with a "
    "static shape"
)


@record(frozen=True, kw_only=True, eq=False)
class Operator:
    """One ONNX node: `inputs` keeps "" for an omitted one; attributes are Python values."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: NodeProto
    captured: tuple[str, ...] = ()
    """Values of the graph that its subgraphs read besides."""
    is_added: bool = False
    """None of the model's: the importer put it there."""

    @property
    def reads(self) -> tuple[str, ...]:
        """All values that it needs."""
        return (*filter(None, self.inputs), *self.captured)

    @property
    def label(self) -> str:
        """Operator type and node name, for messages."""
        return f"{self.op_type} {self.name!r}"

    def attribute(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)


@record(frozen=True, kw_only=True, eq=False)
class Source:
    """A checked model; `types` holds (dtype name, shape or None) by value name."""

    model: ModelProto
    operators: tuple[Operator, ...]
    constants: dict[str, Array]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    types: dict[str, tuple[str, tuple[int, ...] | None]] = field(repr=False)
    batch: Batch | None = None
    """Of the file, where the model here is that of one sample."""

    @property
    def opset(self) -> int:
        return opset_of(self.model)

    def producers(self) -> dict[str, Operator]:
        """The operator that makes each value."""
        return {name: node for node in self.operators for name in node.outputs if name}

    def consumers(self, name: str) -> Iterator[Operator]:
        return (node for node in self.operators if name in node.inputs)

    def elements(self, names: tuple[str, ...]) -> int:
        """The largest known element count among the values `names`; 0 when none is known."""
        shapes = (self.types.get(name, ("", None))[1] for name in names)
        return max((int(np.prod(shape)) for shape in shapes if shape is not None), default=0)


def opset_of(model: ModelProto) -> int:
    """The version of the default operator set; 0 when the model imports none."""
    return max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=0)


def load_source(
    model: "str | PathLike[str] | ModelProto", *, batch_size: int | None = None
) -> Source:
    """Read and check an ONNX model: a path or a ModelProto (which stays unchanged).

    batch_size: samples in place of a symbolic batch.

    Raises:
        ModelError: missing or malformed file, unsupported opset, or dynamic shapes.
    """
    proto = _with_microsoft(_read(model))
    _check(proto)
    if proto.functions:
        proto = inline_local_functions(proto)
    if batch_size is not None:
        proto = fix_batch(proto, batch_size)
    proto, batch = single_sample(proto)
    for item in proto.graph.input:
        _check_static(item)
    inferred = inline_conditions(proto)
    use_one_name(inferred)
    _make_constant_outputs(inferred)
    graph = inferred.graph
    constants = {item.name: _array(item) for item in graph.initializer}
    inputs = tuple(_spec(item, "input") for item in graph.input if item.name not in constants)
    outputs = tuple(_spec(item, "output") for item in graph.output)
    types = {
        item.name: _value_type(item) for item in (*graph.input, *graph.value_info, *graph.output)
    }
    return Source(
        model=inferred,
        operators=tuple(_operators(inferred)),
        constants=constants,
        inputs=inputs,
        outputs=outputs,
        types=types,
        batch=batch,
    )


def _read(model: "str | PathLike[str] | ModelProto") -> ModelProto:
    if isinstance(model, ModelProto):
        return model
    path = Path(fspath(model))
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no such file"
        raise ModelError(f"{path}: {kind}; give the path of an ONNX model")
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's and the file system's errors share no base class
        what = foreign_file(path.read_bytes()[:64])
        if what is not None:
            raise ModelError(f"{path}: {what}") from None
        if isinstance(error, onnx.checker.ValidationError) or "external" in str(error):
            raise ModelError(
                f"{path}: its external data cannot be read ({first_line(error)}); keep those files "
                "beside the model"
            ) from None
        raise ModelError(
            f"{path}: not a readable ONNX model ({first_line(error)}); export it again"
        ) from error


def _with_microsoft(model: ModelProto) -> ModelProto:
    """The model importing com.microsoft where it uses it (ONNX Runtime imports it by itself)."""
    used = any(node.domain == MICROSOFT for node in model.graph.node)
    if not used or any(item.domain == MICROSOFT for item in model.opset_import):
        return model
    result = ModelProto()
    result.CopyFrom(model)
    result.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return result


def _check(model: ModelProto) -> None:
    if not model.graph.node:
        raise ModelError("the ONNX model has no nodes; the file may be truncated or not ONNX")
    opset, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ModelError(
            f"the model's operator set must be {OLDEST_OPSET} to {newest}, got {opset}; "
            "convert it with onnx.version_converter before quantizing"
        )
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker raises ValidationError and protobuf errors
        if not any(map(is_unknown, model.graph.node)) or not is_accepted(model):
            raise ModelError(f"malformed ONNX model: {first_line(error)}") from error


def _make_constant_outputs(model: ModelProto) -> None:
    """Let an Identity make the outputs of `model` that are constants."""
    graph = model.graph
    wanted = {item.name for item in graph.output}
    for item in graph.initializer:
        if item.name in wanted:
            name = item.name
            item.name = f"value of {name}"
            graph.node.insert(0, helper.make_node("Identity", [item.name], [name]))
            inputs = [item for item in graph.input if item.name != name]
            del graph.input[:]
            graph.input.extend(inputs)


def _check_static(item: onnx.ValueInfoProto) -> None:
    tensor = item.type.tensor_type
    if item.type.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
        raise ModelError(f"model input {item.name!r} must be a tensor with a static shape")
    for axis, dimension in enumerate(tensor.shape.dim):
        if dimension.HasField("dim_value") and dimension.dim_value == 0:
            raise ModelError(f"model input {item.name!r} must have elements, but axis {axis} is 0")
        if dimension.WhichOneof("value") != "dim_value" or dimension.dim_value < 1:
            given = dimension.dim_param or "unknown"
            raise ModelError(
                f"model input {item.name!r} must have a static shape, but axis {axis} is "
                f"{given!r}; {FIXED_SHAPE_HINT}"
            )


def _value_type(item: onnx.ValueInfoProto) -> tuple[str, tuple[int, ...] | None]:
    tensor = item.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        dtype = "unknown"
    return dtype, shape_of(item)


def _array(item: onnx.TensorProto) -> NDArray[Any]:
    try:
        return numpy_helper.to_array(item)
    except Exception as error:  # KeyError of an unknown type, ValueError of missing data
        raise ModelError(
            f"the constant {item.name!r} cannot be read: {first_line(error)}"
        ) from None


def _spec(item: onnx.ValueInfoProto, what: str) -> TensorSpec:
    dtype, shape = _value_type(item)
    if dtype == "unknown":
        raise ModelError(f"model {what} {item.name!r} must have a type that ONNX has")
    if shape is None:
        raise ModelError(f"model {what} {item.name!r} must have a static shape; {FIXED_SHAPE_HINT}")
    return TensorSpec(name=item.name, dtype=dtype, shape=shape)


def _operators(model: ModelProto) -> Iterator[Operator]:
    names: set[str] = set()
    for position, proto in enumerate(model.graph.node):
        name = proto.name or next(filter(None, proto.output), f"{proto.op_type}_{position}")
        while name in names:
            name = f"{name}_{position}"
        names.add(name)
        yield Operator(
            name=name,
            op_type=proto.op_type,
            domain="" if proto.domain == "ai.onnx" else proto.domain,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes={item.name: _attribute(item) for item in proto.attribute},
            proto=proto,
            captured=tuple(sorted(_captured(proto))),
        )


def _captured(proto: NodeProto) -> set[str]:
    """Values that a node's subgraphs read and do not make."""
    found: set[str] = set()
    for item in proto.attribute:
        for graph in (*item.graphs, *((item.g,) if item.type == item.GRAPH else ())):
            made = {value.name for value in (*graph.input, *graph.initializer)}
            for node in graph.node:
                found |= {name for name in (*node.input, *_captured(node)) if name} - made
                made.update(node.output)
            found |= {value.name for value in graph.output} - made
    return found


def _attribute(item: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(item)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
