"""The batch of a model whose program runs one sample: which inputs and outputs stack samples."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Batch:
    """Axis 0 of `inputs` and `outputs` counts samples; a program runs them one by one."""

    size: int | None
    """Samples of an inference; None: any number."""
    dimension: str
    """The model's name of the axis, for messages."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def shape(self, name: str, sample: tuple[int, ...]) -> list[int | str]:
        """Return the model's shape of an input or output; `sample`: its shape in one sample."""
        if name not in (*self.inputs, *self.outputs):
            return list(sample)
        if self.size is not None:
            return [self.size * sample[0], *sample[1:]]
        rows = self.dimension if sample[0] == 1 else f"{sample[0]}*{self.dimension}"
        return [rows, *sample[1:]]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Batch":
        """The inverse of `as_dict`. Raises KeyError, TypeError."""
        names = {key: tuple(fields[key]) for key in ("inputs", "outputs")}
        return cls(**{**fields, **names})
