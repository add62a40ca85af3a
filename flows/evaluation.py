"""A model on a data set: accuracy, and agreement with ONNX Runtime and with a float model.

The model runs on the reference, several samples at once: byte for byte what the accelerator gives.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewright.flows.accuracy import Labels, check_classes, ranks
from tilewright.flows.compare import Agreement, compare_outputs
from tilewright.flows.float_model import FloatModel
from tilewright.flows.models import ReferenceTarget, output_steps
from tilewright.flows.report.progress import counted
from tilewright.flows.runtime.targets import OnnxRuntimeTarget
from tilewright.flows.runtime.tensors import Array, Sample
from tilewright.flows.signal_noise import SignalToNoise
from tilewright.hw.spec.coverage import Coverage
from tilewright.support.errors import InputError
from tilewright.support.records import record

if TYPE_CHECKING:
    from tilewright.compiler.frontend.importer import ImportedModel

TOP = 5
LINE_SECONDS = 10.0
"""Off a terminal there is a line of progress in this time."""


@record(frozen=True, kw_only=True)
class Score:
    """What one way to run the model gave, and how fast."""

    samples_per_second: float
    top1: float | None = None
    """Share of the labeled samples whose class is the output's largest element."""
    top5: float | None = None
    """The same for the five largest elements, where there are more."""


@record(frozen=True, kw_only=True)
class FloatAgreement:
    """How far the int8 model is from the float model."""

    same_top: int
    """Samples whose output has its largest element at the same place."""
    signal_to_noise_db: float | None
    """None where the output is no real number, or equal."""


@record(frozen=True, kw_only=True)
class Evaluation:
    """A model on a data set."""

    output: str
    samples: int
    labeled: int
    coverage: Coverage
    reference: Score
    onnx_runtime: Score
    agreement: Agreement
    """Of the reference with ONNX Runtime."""
    float_model: Score | None = None
    float_agreement: FloatAgreement | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values; rates are fractions of 1."""
        found = asdict(self) | {"coverage": self.coverage.as_dict()}
        found["agreement"] |= {
            "equal_rate": self.agreement.equal / self.agreement.elements,
            "same_top_rate": self.agreement.same_top / self.samples,
        }
        if self.float_agreement is not None:
            found["float_agreement"] |= {
                "same_top_rate": self.float_agreement.same_top / self.samples
            }
        return found


def evaluate(
    path: Path,
    model: "ImportedModel",
    samples: Sequence[Sample],
    *,
    labels: Labels | None = None,
    output: str | None = None,
    float_path: Path | None = None,
) -> Evaluation:
    """Evaluate the model of an ONNX file on samples, with progress.

    output: the one whose elements are the classes, by default the first.

    Raises InputError for an output that the model lacks, for labels that are no class of it, and
    for a float model that does not fit.
    """
    sizes = {spec.name: math.prod(spec.shape) for spec in model.outputs}
    output = next(iter(sizes)) if output is None else output
    if output not in sizes:
        raise InputError(f"the model has no output {output!r}; it has {', '.join(sizes)}")
    if labels is None:
        labels = np.full(len(samples), -1)
    check_classes(labels, sizes[output])
    comparison = _Comparison(path, model, output, float_path)
    step = comparison.samples_at_once
    with counted("sample", len(samples), every_seconds=LINE_SECONDS) as advance:
        for first in range(0, len(samples), step):
            part = slice(first, first + step)
            comparison.add(samples[part], labels[part])
            for _ in samples[part]:
                advance("")
    return comparison.result()


@dataclass(kw_only=True)
class _Runner:
    """One way to run the model: what it took and how good it was so far."""

    run_batch: Callable[[Sequence[Sample]], list[Sample]]
    output: str
    seconds: float = 0.0
    samples: int = 0
    classes: int = 0
    ranks: list[int] = field(default_factory=list)

    def run(self, samples: Sequence[Sample], labels: Labels) -> list[Sample]:
        """Return the outputs, the one with the classes as the first.

        The very first sample runs once more before the clock: sessions and weights are set up then.
        """
        if not self.samples:
            self.run_batch(samples[:1])
        start = time.monotonic()
        found = self.run_batch(samples)
        self.seconds += time.monotonic() - start
        scores = [outputs[self.output] for outputs in found]
        self.samples, self.classes = self.samples + len(samples), scores[0].size
        self.ranks += ranks(scores, labels).tolist()
        return [{self.output: outputs[self.output]} | outputs for outputs in found]

    def score(self) -> Score:
        """Return the score of all samples."""
        found = np.array(self.ranks)
        has_top5 = found.size and self.classes > TOP
        return Score(
            samples_per_second=self.samples / self.seconds,
            top1=float((found < 1).mean()) if found.size else None,
            top5=float((found < TOP).mean()) if has_top5 else None,
        )


class _Comparison:
    """The model, ONNX Runtime and the float model on the same samples."""

    def __init__(
        self, path: Path, model: "ImportedModel", output: str, float_path: Path | None
    ) -> None:
        reference, witness = ReferenceTarget(model), OnnxRuntimeTarget(path, model.batch)
        self.samples_at_once = reference.samples_at_once
        self._output, self._coverage = output, model.coverage
        self._reference = _Runner(run_batch=reference.run_batch, output=output)
        self._witness = _Runner(run_batch=witness.run_batch, output=output)
        self._float: _Runner | None = None
        if float_path is not None:
            real = FloatModel(float_path, model, output)
            self._float = _Runner(
                run_batch=lambda samples: [{output: real.run(sample)} for sample in samples],
                output=output,
            )
        self._steps = output_steps(path)
        self._agreements: list[Agreement] = []
        self._noise, self._same_top = SignalToNoise(), 0

    def add(self, samples: Sequence[Sample], labels: Labels) -> None:
        """Run some samples."""
        ours = self._reference.run(samples, labels)
        theirs = self._witness.run(samples, labels)
        self._agreements.append(compare_outputs(ours, theirs, self._steps))
        if self._float is not None:
            real = self._float.run(samples, labels)
            for given, expected in zip(ours, real, strict=True):
                self._add_float(given[self._output].reshape(-1), expected[self._output])

    def _add_float(self, given: Array, expected: Array) -> None:
        self._same_top += int(given.argmax() == expected.argmax())
        if np.issubdtype(given.dtype, np.floating):
            self._noise.add(given, expected.reshape(-1))

    def result(self) -> Evaluation:
        """Return the evaluation of all samples."""
        noise = self._noise.decibels
        agreement = FloatAgreement(same_top=self._same_top, signal_to_noise_db=noise)
        return Evaluation(
            output=self._output,
            samples=self._reference.samples,
            labeled=len(self._reference.ranks),
            coverage=self._coverage,
            reference=self._reference.score(),
            onnx_runtime=self._witness.score(),
            agreement=Agreement.together(self._agreements),
            float_model=None if self._float is None else self._float.score(),
            float_agreement=None if self._float is None else agreement,
        )
