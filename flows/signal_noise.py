"""The ratio of signal to noise between values of a float and of an int8 model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(kw_only=True)
class SignalToNoise:
    """The float model's values are the signal, what the int8 model's are off is the noise."""

    elements: int = 0
    signal: float = 0.0
    """Sum of squares, over all samples; elements that are not finite are left out."""
    noise: float = 0.0

    def add(self, given: NDArray[Any], expected: NDArray[Any]) -> None:
        """Count one sample's values of the int8 and the float model."""
        first, second = given.astype(np.float64), expected.astype(np.float64)
        is_finite = np.isfinite(second)
        self.elements += second.size
        self.signal += float((second[is_finite] ** 2).sum())
        self.noise += float(((first - second)[is_finite] ** 2).sum())

    @property
    def decibels(self) -> float | None:
        """The ratio of signal to noise; None where one of them is 0."""
        if not self.signal or not self.noise:
            return None
        return float(10 * np.log10(self.signal / self.noise))
