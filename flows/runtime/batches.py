"""Batches: what an inference of a model with a batch takes and gives, sample by sample."""

from collections.abc import Mapping, Sequence

import numpy as np

from tilewright.flows.runtime.tensors import Array, Sample, Spec, check_names
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.program import Program
from tilewright.support.errors import InputError, ProgramError


def batch_of(program: Program) -> Batch | None:
    """Return the batch of the model that a program came from. Raises ProgramError."""
    fields = program.metadata.get("batch")
    if fields is None:
        return None
    try:
        return Batch.from_dict(fields)
    except (KeyError, TypeError) as error:
        raise ProgramError(f"damaged batch: {error}; compile the model again") from None


def split_batch(batch: Batch, specs: Sequence[Spec], feed: Mapping[str, Array]) -> list[Sample]:
    """Return the samples of an inference's inputs, as ONNX Runtime takes them.

    specs: the inputs in one sample. Other inputs than the batch's go into every sample. Raises
    InputError for wrong names and shapes, and where the inputs differ in their samples.
    """
    check_names(feed, specs, "inputs")
    arrays = {name: np.asarray(array) for name, array in feed.items()}
    counts: dict[str, int] = {}
    for spec in specs:
        if spec.name in batch.inputs:
            counts[spec.name] = _count(batch, spec, arrays[spec.name].shape)
    if len(set(counts.values())) != 1:
        raise InputError(f"the inputs differ in their number of samples: {counts}")
    (count,) = set(counts.values())
    return [
        {name: a[i : i + 1] if name in counts else a for name, a in arrays.items()}
        for i in range(count)
    ]


def _count(batch: Batch, spec: Spec, given: tuple[int, ...]) -> int:
    expected = batch.shape(spec.name, spec.shape)
    if (
        len(given) != len(expected)
        or given[1:] != tuple(spec.shape[1:])
        or batch.size not in (None, given[0])
    ):
        shape = ", ".join(map(str, expected))
        raise InputError(f"input {spec.name!r} must have shape [{shape}], got {list(given)}")
    return given[0]


def join_batch(batch: Batch, specs: Sequence[Spec], outputs: Sequence[Sample]) -> Sample:
    """Return an inference's outputs from those of its samples; of none they are empty.

    specs: the outputs in one sample. An output that all samples share is the first one's.
    """
    joined: Sample = {}
    for spec in specs:
        if not outputs:
            joined[spec.name] = np.zeros((0, *spec.shape[1:]), spec.dtype)
        elif spec.name in batch.outputs:
            joined[spec.name] = np.concatenate([sample[spec.name] for sample in outputs])
        else:
            joined[spec.name] = outputs[0][spec.name]
    return joined
