"""Proves, on seeded random inputs in ONNX Runtime, that a model keeps the samples of a batch apart.

No value of a sample may change by a bit when the other samples change, and all values must agree
with those of the model of one sample.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from tilewright.compiler.frontend.evaluate import run_model
from tilewright.support.errors import ModelError
from tilewright.support.records import record

Array = NDArray[np.generic]
Values = dict[str, Array]

TIES = 0.01
"""Mean difference, of a value's range, that rounding ties explain."""
SEED = 0


@record(frozen=True, kw_only=True, eq=False)
class Trial:
    """A run of a model with `count` samples on axis 0 of its inputs `batched`."""

    model: ModelProto
    batched: list[str]
    count: int
    feeds: Values
    values: Values
    """What the model's nodes made."""


def try_batch(model: ModelProto, batched: list[str], count: int) -> Trial:
    """Run `count` random samples. Raises ModelError where ONNX Runtime cannot."""
    feeds = _random_feeds(model, batched, count)
    values = _run_all(model, feeds)
    return Trial(model=model, batched=batched, count=count, feeds=feeds, values=values)


def prove(trial: Trial, rewritten: ModelProto) -> dict[str, int | None]:
    """Return the axis of the samples in each value, None of one that all samples share.

    Raises ModelError at the first node, in the model's order, that mixes samples.
    """
    model, feeds, batched, count = trial.model, trial.feeds, trial.batched, trial.count
    values = trial.values
    singles = [
        _run_all(rewritten, {n: f[i : i + 1] if n in batched else f for n, f in feeds.items()})
        for i in range(count)
    ]
    changed = {
        kept: _run_all(model, _others_changed(feeds, batched, kept)) for kept in (0, count - 1)
    }
    axes: dict[str, int | None] = {name: 0 if name in batched else None for name in feeds}
    for node in model.graph.node:
        for name in filter(values.__contains__, node.output):
            axes[name] = _axis(values[name].shape, singles[0][name].shape, count)
            others = {kept: run[name] for kept, run in changed.items()}
            alone = [single[name] for single in singles]
            if not _is_apart(values[name], others, alone, axes[name]):
                raise ModelError(
                    f"{node.op_type} {node.name or name!r} mixes the samples of a batch, so that "
                    "they cannot run one by one; export the model with batch 1"
                )
    return axes


def _random_feeds(model: ModelProto, batched: list[str], count: int) -> Values:
    random = np.random.default_rng(SEED)
    feeds: Values = {}
    for item in model.graph.input:
        if item.name in {constant.name for constant in model.graph.initializer}:
            continue
        kind = _kind(item)
        shape = [dimension.dim_value for dimension in item.type.tensor_type.shape.dim]
        if item.name in batched:
            shape[0] = count
        feeds[item.name] = _random(random, kind, shape, _largest(model, item.name))
    return feeds


def _kind(item: ValueInfoProto) -> np.dtype[np.generic]:
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type))
    except KeyError:
        raise ModelError(f"model input {item.name!r} must have a type that ONNX has") from None


def _largest(model: ModelProto, name: str) -> float:
    """The largest magnitude of a float input: what its quantization can express, otherwise 1."""
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] == name:
            scale = constants.get(node.input[1])
            return 127 * float(numpy_helper.to_array(scale).max()) if scale is not None else 1.0
    return 1.0


def _random(
    random: np.random.Generator, kind: np.dtype[np.generic], shape: list[int], largest: float
) -> Array:
    """Random values; of wide integers, which may be indices, 0 and 1."""
    if kind.kind == "f":
        return np.asarray(random.uniform(-largest, largest, shape)).astype(kind)
    if kind.kind not in "iub":
        return np.zeros(shape, kind)
    low, high = (-128, 127) if kind == np.int8 else (0, 255) if kind == np.uint8 else (0, 1)
    return np.asarray(random.integers(low, high, shape, endpoint=True)).astype(kind)


def _run_all(model: ModelProto, feeds: Values) -> Values:
    """Run a model and return every value that its nodes make."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    del exposed.graph.output[:]
    exposed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    results = zip(names, run_model(exposed, feeds), strict=True)
    return {name: value for name, value in results if isinstance(value, np.ndarray)}


def _others_changed(feeds: Values, batched: list[str], kept: int) -> Values:
    """The inputs with all samples but one reversed and replaced by each other's elements."""
    changed = dict(feeds)
    for name in batched:
        mixed = np.flip(feeds[name]).copy()
        mixed[kept] = feeds[name][kept]
        changed[name] = mixed
    return changed


def _axis(whole: tuple[int, ...], single: tuple[int, ...], count: int) -> int | None:
    """The axis that is `count` times as long as in one sample; None where no axis is."""
    if len(whole) != len(single):
        return None
    for axis, length in enumerate(single):
        longer = (*single[:axis], count * length, *single[axis + 1 :])
        if whole == longer and whole != single:
            return axis
    return None


def _is_same(first: Array, second: Array) -> bool:
    """Whether two values are equal to the bit."""
    return first.shape == second.shape and first.tobytes() == second.tobytes()


def _is_apart(
    value: Array, changed: dict[int, Array], singles: list[Array], axis: int | None
) -> bool:
    """Whether a value keeps the samples apart and agrees with those of one sample each."""
    if axis is None:
        return all(_is_same(value, other) for other in changed.values())
    parts = np.split(value, len(singles), axis)
    for kept, other in changed.items():
        part = np.split(other, len(singles), axis)[kept]
        if not _is_same(part, parts[kept]):
            return False
    return all(_agrees(part, single) for part, single in zip(parts, singles, strict=True))


def _agrees(part: Array, single: Array) -> bool:
    """Whether two values are equal but for rounding ties, which batches may break otherwise."""
    if _is_same(part, single) or part.dtype.kind not in "fiub":
        return _is_same(part, single)
    first, second = part.astype(np.float64), single.astype(np.float64)
    span = float(max(np.ptp(first), np.abs(first).max()))
    return float(np.abs(first - second).mean()) <= TIES * span
