"""Shapes of a float model's inputs: given ones are set, and a symbolic axis 0 is a batch."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tilewright.hw.spec.batch import Batch
from tilewright.support.errors import InputError, ModelError
from tilewright.support.records import record

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


@record(frozen=True, kw_only=True)
class FloatInput:
    """Name, NumPy dtype name and shape of a model input; of a symbolic batch one sample."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the sizes by name of texts NAME=N or NAME=N,N,…. Raises InputError."""
    shapes = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if not name or not re.fullmatch(r"[0-9]+(,[0-9]+)*", sizes) or "0" in sizes.split(","):
            raise InputError(
                f"--shape needs NAME=N for a dimension or INPUT=N,N,... for an input, got {text!r}"
            )
        shapes[name] = tuple(int(size) for size in sizes.split(","))
    return shapes


def fix_shapes(model: "ModelProto", shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Set the shapes of inputs, and the sizes of symbolic dimensions wherever they occur.

    Raises ModelError for a name that the model does not have, and for a shape that does not fit.
    """
    inputs = {item.name: item for item in _inputs(model)}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name in inputs:
            _fix_input(inputs[name], shape, sizes)
        elif len(shape) == 1 and name in _dimensions(model):
            sizes[name] = shape[0]
        else:
            dimensions = ", ".join(_dimensions(model)) or "none"
            raise ModelError(
                f"--shape {name}: no such input or symbolic dimension; the inputs are "
                f"{', '.join(inputs)}, the symbolic dimensions: {dimensions}"
            )
    _set_dimensions(model, sizes)


def fix_batch(model: "ModelProto") -> None:
    """Set a symbolic first dimension of each input to 1, and its name wherever it occurs."""
    sizes = {}
    for item in _inputs(model):
        if (_sizes(item) or [1])[0] is None:
            first = item.type.tensor_type.shape.dim[0]
            sizes[first.dim_param] = 1
            first.dim_value = 1
    _set_dimensions(model, sizes)


def inputs_of(model: "ModelProto") -> tuple[FloatInput, ...]:
    """Return the inputs that are no constants, with 1 for a symbolic axis 0.

    Raises ModelError for other symbolic dimensions.
    """
    from onnx import helper

    inputs = []
    for item in _inputs(model):
        sizes = _sizes(item)
        if sizes is None or None in sizes[1:]:
            raise ModelError(
                f"input {item.name!r} must have a static shape behind axis 0, got {_shown(item)}; "
                f"give --shape DIMENSION=N or --shape {item.name}=N,N,..."
            )
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)).name
        shape = tuple(1 if size is None else size for size in sizes)
        inputs.append(FloatInput(name=item.name, dtype=dtype, shape=shape))
    return tuple(inputs)


def batch_of(model: "ModelProto") -> Batch | None:
    """Return the batch that a symbolic axis 0 of inputs is."""
    batched = [item for item in _inputs(model) if (_sizes(item) or [1])[0] is None]
    if not batched:
        return None
    return Batch(
        size=None,
        dimension=batched[0].type.tensor_type.shape.dim[0].dim_param or "N",
        inputs=tuple(item.name for item in batched),
        outputs=tuple(item.name for item in model.graph.output),
    )


def _fix_input(item: "ValueInfoProto", shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Set an input's shape; the sizes of its named dimensions go into `sizes`."""
    given = _sizes(item)
    if given is None:
        for size in shape:
            item.type.tensor_type.shape.dim.add().dim_value = size
        return
    pairs = list(zip(given, shape, strict=False))
    if len(given) != len(shape) or any(old not in (None, new) for old, new in pairs):
        raise ModelError(
            f"--shape {item.name}={','.join(map(str, shape))} does not fit the input's "
            f"{_shown(item)}"
        )
    for dimension, size in zip(item.type.tensor_type.shape.dim, shape, strict=True):
        if dimension.dim_param:
            sizes[dimension.dim_param] = size
        dimension.dim_value = size


def _set_dimensions(model: "ModelProto", sizes: Mapping[str, int]) -> None:
    for item in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in item.type.tensor_type.shape.dim:
            if dimension.dim_param and dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]


def _inputs(model: "ModelProto") -> "list[ValueInfoProto]":
    constants = {item.name for item in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in constants]


def _dimensions(model: "ModelProto") -> list[str]:
    """The names of the inputs' symbolic dimensions."""
    names = (d.dim_param for i in _inputs(model) for d in i.type.tensor_type.shape.dim)
    return list(dict.fromkeys(filter(None, names)))


def _sizes(item: "ValueInfoProto") -> list[int | None] | None:
    """An input's shape, None for a symbolic dimension; None where it has no shape."""
    tensor = item.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]


def _shown(item: "ValueInfoProto") -> str:
    names = [d.dim_param or d.dim_value or "?" for d in item.type.tensor_type.shape.dim]
    return f"[{', '.join(map(str, names))}]"
