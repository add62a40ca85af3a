"""What a sweep measures: one model on one config, and what came of it."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tilewright.compiler.options import AS_IT_IS, ImportOptions
from tilewright.flows.program_cache import tool_digest
from tilewright.flows.sweep.energy import Counts
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.coverage import Coverage
from tilewright.support.digests import file_digest
from tilewright.support.records import record

Fidelity = Literal["closed", "replay", "rtl"]
"""Where cycles come from: formulas on the layers' sizes, the timing model's replay, or the RTL."""

SOURCES: Mapping[Fidelity, str] = {
    "closed": "closed form, for ranking only",
    "replay": "timing replay",
    "rtl": "measured on the RTL",
}
"""How cycles were obtained, as results say it."""


@record(frozen=True, kw_only=True)
class Model:
    """A model of a sweep; `weight`: how often it runs, beside the others."""

    path: Path
    name: str
    """Among the models of the sweep."""
    weight: float = 1.0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, hex."""
        return file_digest(self.path)


@record(frozen=True, kw_only=True)
class Setup:
    """What all jobs of a sweep have in common."""

    fidelity: Fidelity = "replay"
    seed: int = 0
    """Of the random input on the RTL."""
    options: ImportOptions = AS_IT_IS


@record(frozen=True, kw_only=True)
class Key:
    """What a resumed sweep knows a finished job by."""

    config: str
    """The config's digest."""
    model: str
    """The model file's digest."""
    setup: str
    """Everything else that was asked, as text."""
    code: str
    """Digest of the tools' sources."""


@record(frozen=True, kw_only=True)
class Job:
    """One model on one config with one DRAM."""

    model: Model
    config: Config
    setup: Setup
    latency: int

    @cached_property
    def key(self) -> Key:
        run = f" seed={self.setup.seed}" if self.setup.fidelity == "rtl" else ""
        return Key(
            config=self.config.digest,
            model=self.model.digest,
            setup=f"{self.setup.fidelity} latency={self.latency} {self.setup.options}{run}",
            code=tool_digest(),
        )


@record(frozen=True, kw_only=True)
class LayerCycles:
    """A layer's part of a run."""

    name: str
    cycles: int | None
    """None where it runs together with a later layer, which has the cycles of both."""
    macs: int


@record(frozen=True, kw_only=True)
class Result:
    """What came of a job; `error` is empty where it worked. The rest is None where it did not."""

    cycles: int | None = None
    estimated_cycles: int | None = None
    """The timing model's; `cycles` itself where these were asked for."""
    utilization: float | None = None
    macs: int | None = None
    coverage: Coverage | None = None
    bytes_loaded: int | None = None
    bytes_stored: int | None = None
    instructions: int | None = None
    compile_seconds: float | None = None
    run_seconds: float | None = None
    counts: Counts | None = None
    """Operations and accesses, for an estimate of the energy."""
    layers: tuple[LayerCycles, ...] = ()
    buckets: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
    """Cycles by engine and bucket, as the hardware's counters have them."""
    error: str = ""
    is_crash: bool = False
    """Whether its process ended: nothing to keep, the next sweep tries again."""

    @property
    def estimate_error(self) -> float | None:
        """How far the timing model is off the cycles, as a fraction of them."""
        if not self.cycles or self.estimated_cycles is None:
            return None
        return self.estimated_cycles / self.cycles - 1

    def details(self) -> dict[str, Any]:
        """Return what a row has no columns for, as JSON-able values."""
        return {"layers": [dataclasses.asdict(layer) for layer in self.layers],
                "buckets": self.buckets}  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values, for `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Result":
        """Return the result that `as_dict` gave."""
        coverage = found["coverage"]
        return cls(
            **{
                **found,
                "counts": None if found["counts"] is None else Counts(**found["counts"]),
                "coverage": None if coverage is None else Coverage(**coverage),
                "layers": tuple(LayerCycles(**layer) for layer in found["layers"]),
            }
        )
