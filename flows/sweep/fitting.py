"""Least squares on few of many terms: those that predict what was left out.

Terms are taken one by one, each time the one with which every sample, left out, is predicted best
by the others; errors are relative, so that small hardware is as right as large. The errors that a
fit states are of samples that had no part in it, nor in the choice of its terms.
"""

import numpy as np
import numpy.typing as npt

from tilewright.support.records import record

Floats = npt.NDArray[np.float64]
MAX_TERMS = 12
MIN_GAIN = 0.05
"""Part of the error by which a further term must make it smaller."""
MAX_LEVERAGE = 0.99
"""How far a sample may decide by itself on what is predicted for it."""
TOLERANCE = 1e-9


@record(frozen=True, kw_only=True)
class Fit:
    """A sum of terms, and how far it is off each sample that is left out, as part of its value."""

    factors: Floats
    """Of the terms, most of them 0."""
    errors: tuple[float, ...]

    def at(self, terms: Floats) -> Floats:
        """Return the values for rows of terms."""
        values: Floats = terms @ self.factors
        return values


def fit(terms: Floats, parts: Floats) -> Fit:
    """Return what fits the sum of parts: a line for each part, or one for the sum where that is
    better at what is left out.

    terms: a row a sample; the first column is a constant. parts: a row a sample, a column a part.
    """
    fits = (_fit(terms, parts), _fit(terms, parts.sum(axis=1, keepdims=True)))
    return min(fits, key=lambda found: float(np.square(found.errors).sum()))


def _fit(terms: Floats, parts: Floats) -> Fit:
    sums = parts.sum(axis=1)
    scales = np.where(sums > 0, sums, 1.0)
    errors = []
    for number in range(len(sums)):
        others = np.arange(len(sums)) != number
        found = terms[number] @ _factors(terms[others], parts[others], scales[others])
        errors.append(float(abs(found - sums[number]) / scales[number]))
    return Fit(factors=_factors(terms, parts, scales), errors=tuple(errors))


def _factors(terms: Floats, parts: Floats, scales: Floats) -> Floats:
    """The factors of all parts' lines together."""
    total: Floats = np.sum([fit_line(terms, values, scales) for values in parts.T], axis=0)
    return total


def fit_line(terms: Floats, values: Floats, scales: Floats) -> Floats:
    """Return each term's factor in the line through samples; errors count as parts of scales."""
    weighted, wanted = terms / scales[:, None], values / scales
    columns = _columns(weighted, wanted)
    factors = np.zeros(terms.shape[1])
    factors[columns], *_ = np.linalg.lstsq(weighted[:, columns], wanted, rcond=None)
    return factors


def _columns(weighted: Floats, wanted: Floats) -> list[int]:
    """The constant's column and those that are taken with it."""
    columns = [0]
    basis = weighted[:, :1] / np.linalg.norm(weighted[:, 0])
    error = _left_out(basis, np.zeros_like(basis), wanted)[0]
    while len(columns) < min(len(wanted) // 2, MAX_TERMS):
        rests = weighted - basis @ (basis.T @ weighted)
        lengths = np.linalg.norm(rests, axis=0)
        is_new = lengths > TOLERANCE * np.linalg.norm(weighted, axis=0)
        axes = np.divide(rests, lengths, out=np.zeros_like(rests), where=is_new)
        errors = np.where(is_new, _left_out(basis, axes, wanted), np.inf)
        best = int(np.argmin(errors))
        if error < TOLERANCE or errors[best] > (1 - MIN_GAIN) * error:
            break
        columns.append(best)
        basis = np.hstack([basis, axes[:, best : best + 1]])
        error = errors[best]
    return columns


def _left_out(basis: Floats, axes: Floats, wanted: Floats) -> Floats:
    """Return, for a basis with each of some further axes, the mean error of what is left out.

    That is the residual over one less the leverage, for each sample (PRESS).
    """
    residual = wanted - basis @ (basis.T @ wanted)
    residuals = residual[:, None] - axes * (axes.T @ residual)
    leverages = (basis**2).sum(axis=1)[:, None] + axes**2
    is_free = leverages.max(axis=0) < MAX_LEVERAGE
    errors = residuals / np.maximum(1 - leverages, 1 - MAX_LEVERAGE)
    found: Floats = np.where(is_free, np.sqrt((errors**2).mean(axis=0)), np.inf)
    return found
