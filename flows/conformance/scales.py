"""Scales of int8 values, from the data that they stand for."""

from typing import Any, TypeGuard

import numpy as np

from tilewright.flows.runtime.tensors import Array
from tilewright.support.records import record

LOWEST, HIGHEST = -128, 127
FLOATS = (np.float16, np.float32, np.float64)
"""Types of the values that become int8."""
LARGEST = 2.0**64
"""Larger values stay float."""


@record(frozen=True, kw_only=True)
class Scale:
    """Of an int8 value: it stands for `(stored - zero_point) * scale`."""

    scale: Array
    """Of one element, float16 for float16 values, else float32."""
    zero_point: int

    @classmethod
    def of(cls, values: Array, margin: float = 1.0) -> "Scale":
        """Return the scale of the finite values' range, zero included, times `margin`."""
        finite = values[np.isfinite(values)]
        low = margin * min(float(finite.min()), 0.0)
        high = margin * max(float(finite.max()), 0.0)
        scale = _rounded((high - low) / (HIGHEST - LOWEST), values.dtype)
        zero_point = int(np.clip(round(LOWEST - low / float(scale)), LOWEST, HIGHEST))
        return cls(scale=scale, zero_point=zero_point)

    @classmethod
    def symmetric(cls, values: Array) -> "Scale":
        """Return the scale of weights, which have the zero point 0."""
        return cls(
            scale=_rounded(float(np.abs(values).max()) / HIGHEST, values.dtype), zero_point=0
        )

    def stored(self, values: Array) -> Array:
        """Return the values as int8, of infinite ones the nearest, of what is no number zero."""
        numbers = np.nan_to_num(values.astype(np.float64), posinf=LARGEST, neginf=-LARGEST)
        steps = np.rint(numbers / float(self.scale)) + self.zero_point
        return np.asarray(np.clip(steps, LOWEST, HIGHEST), np.int8)


def has_scale(values: Any) -> TypeGuard[Array]:
    """Whether `values` are floating-point numbers of a range that int8 can express."""
    if not isinstance(values, np.ndarray) or values.dtype not in FLOATS:
        return False
    finite = np.abs(values[np.isfinite(values)])
    return bool(finite.size and finite.max() < np.float64(LARGEST))


def _rounded(scale: float, dtype: np.dtype[Any]) -> Array:
    """The scale in the type that a model has it; 1 where that would be 0."""
    kind = np.float16 if dtype == np.float16 else np.float32
    return np.asarray(scale if scale >= np.finfo(kind).tiny else 1.0, kind)
