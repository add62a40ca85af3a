"""Area and clock of any config, fitted to those of a few that were synthesized."""

import statistics
from collections.abc import Sequence

import numpy as np

from tilewright.flows.sweep.figures import FITTED, Figures
from tilewright.flows.sweep.fitting import Fit, Floats, fit
from tilewright.flows.sweep.terms import terms_of
from tilewright.flows.synthesis.devices import sram_bits
from tilewright.flows.synthesis.synthesis import Synthesis
from tilewright.hw.spec.config import Config
from tilewright.support.records import record

MIN_SAMPLES = 6
"""Configs that a fit needs: of three terms each one is then the mean of two."""


class Estimate:
    """Fits to syntheses for one target: each figure the sum of its parts' lines, the clock a line
    of its period or the nearest config's, never faster than the fastest of them."""

    def __init__(self, samples: Sequence[Synthesis]) -> None:
        self._unit = samples[0].unit
        terms = _terms([sample.config for sample in samples])
        names = samples[0].parts[0].figures
        self._fits = {name: fit(terms, _by_part(samples, name)) for name in names}
        self._obtained = _source(len(samples), self._fits[self._unit.lower()].errors)
        paths = [sample.path for sample in samples if sample.path]
        self._clock = None
        if len(paths) == len(samples):
            self._clock = clock_of(terms, np.array([path.nanoseconds for path in paths]))
            self._clock_obtained = _source(len(samples), self._clock.errors)

    @property
    def summary(self) -> str:
        """How far each figure is off."""
        found = {name: each.errors for name, each in self._fits.items()}
        if self._clock:
            found["clock"] = self._clock.errors
        return "; ".join(f"{name} {_errors(errors)}" for name, errors in found.items())

    def figures(self, config: Config) -> Figures:
        """Return the figures of a config; the bits of its SRAM are exact."""
        terms = _terms([config])
        totals = {
            name: float(max(round(float(found.at(terms)[0])), 0))
            for name, found in self._fits.items()
        }
        return Figures(
            unit=self._unit,
            totals={**totals, "sram_bits": float(sram_bits(config))},
            obtained=self._obtained,
            clock_mhz=self._clock.megahertz(terms) if self._clock else None,
            clock_obtained=self._clock_obtained if self._clock else "",
        )


@record(frozen=True, kw_only=True)
class Clock:
    """Periods of configs, by their terms.

    line: None where the nearest sample's period is the better guess.
    """

    terms: Floats
    periods: Floats
    line: Fit | None
    errors: tuple[float, ...]
    """Of the samples, each left out, as parts of their periods."""

    def megahertz(self, terms: Floats) -> float:
        """Return the clock for a row of terms."""
        found = self.line.at(terms)[0] if self.line else self.periods[_nearest(self.terms, terms)]
        return 1000 / max(float(found), float(self.periods.min()))


def clock_of(terms: Floats, periods: Floats) -> Clock:
    """Return the clock that samples' periods (ns) give, by a line or by the nearest of them."""
    line = fit(terms, periods[:, None])
    near = []
    for number, period in enumerate(periods):
        others = np.arange(len(periods)) != number
        guess = periods[others][_nearest(terms[others], terms[number : number + 1])]
        near.append(float(abs(guess / period - 1)))
    is_line = np.square(line.errors).sum() <= np.square(near).sum()
    return Clock(
        terms=terms,
        periods=periods,
        line=line if is_line else None,
        errors=line.errors if is_line else tuple(near),
    )


def _nearest(samples: Floats, terms: Floats) -> int:
    """The number of the sample whose terms are the nearest, on a logarithmic scale."""
    places = np.log2(1 + samples)
    ranges = np.ptp(places, axis=0)
    is_varied = ranges > 0
    away = ((places - np.log2(1 + terms))[:, is_varied] / ranges[is_varied]) ** 2
    return int(np.argmin(away.sum(axis=1)))


def _terms(configs: Sequence[Config]) -> Floats:
    return np.array([(1.0, *terms_of(config).values()) for config in configs])


def _by_part(samples: Sequence[Synthesis], figure: str) -> Floats:
    """A row a sample, a column a part that some have."""
    names = list(dict.fromkeys(part.name for sample in samples for part in sample.parts))
    found = np.zeros((len(samples), len(names)))
    for row, sample in zip(found, samples, strict=True):
        for part in sample.parts:
            row[names.index(part.name)] += part.count * part.figures[figure]
    return found


def _source(count: int, errors: Sequence[float]) -> str:
    return f"{FITTED} {count} composed configs (error {_errors(errors)})"


def _errors(errors: Sequence[float]) -> str:
    return f"{statistics.median(errors):.1%} median, {max(errors):.1%} at most"
