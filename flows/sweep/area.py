"""Area and clock of the points of a sweep: synthesized, of many configs fitted to those of some."""

import dataclasses
import logging
import statistics
from collections.abc import Iterable, Sequence
from functools import cached_property

from tilewright.flows.sweep.best import best_places, place_of
from tilewright.flows.sweep.estimate import Estimate
from tilewright.flows.sweep.figures import Figures
from tilewright.flows.sweep.samples import different, spread
from tilewright.flows.sweep.space import Candidate
from tilewright.flows.sweep.table import Point
from tilewright.flows.synthesis.synthesis import Synthesis, synthesize
from tilewright.hw.spec.config import Config

LOG = logging.getLogger(__name__)
DEFAULT_SAMPLES = 24
MAX_BEST = 8
"""Fitted configs that are synthesized afterwards, as nothing beats them."""
ROUNDS = 2
"""How often that is looked for: the true figures of some may bring others to the front."""


class Areas:
    """What the synthesis for a target says of configs; each is synthesized once, and is cached.

    jobs: parts at a time. candidates: where these are more configs than `count`, so many of them
    are synthesized and all others are fitted to those.
    """

    def __init__(
        self,
        target: str,
        jobs: int,
        candidates: Iterable[Candidate] = (),
        count: int = DEFAULT_SAMPLES,
    ) -> None:
        self._target, self._jobs = target, jobs
        self._candidates, self._count = candidates, count
        self._found: dict[str, Figures] = {}

    @cached_property
    def _estimate(self) -> Estimate | None:
        """What is fitted to samples; None where all are synthesized."""
        given = different(self._candidates)
        if len(given) <= self._count:
            if given:
                LOG.info("%d configs: all of them are synthesized", len(given))
            return None
        LOG.info("%d of %d configs are synthesized, others fitted to them", self._count, len(given))
        chosen = spread(given, self._count)
        estimate = Estimate(self._synthesize([each.config for each in chosen if each.config]))
        LOG.info("errors of the fit, each config left out: %s", estimate.summary)
        return estimate

    def of(self, points: Sequence[Point]) -> list[Point]:
        """Return the points with the figures of their configs, which are synthesized or fitted.

        Raises ToolError or InputError, and after Ctrl-C KeyboardInterrupt.
        """
        configs = {point.job.config.digest: point.job.config for point in points if point.job}
        estimate = self._estimate
        new = [config for digest, config in configs.items() if digest not in self._found]
        if estimate is None:
            self._synthesize(new)
            found = self._found
        else:
            found = self._found | {config.digest: estimate.figures(config) for config in new}
        return [
            dataclasses.replace(point, synthesis=found[point.job.config.digest])
            if point.job
            else point
            for point in points
        ]

    def with_best(self, points: Sequence[Point]) -> list[Point]:
        """Return the points, some of those that nothing beats synthesized in place of fitted.

        Raises as `of`.
        """
        found = list(points)
        errors: list[float] = []
        for _ in range(0 if self._estimate is None else ROUNDS):
            best = _fitted_best(found)
            count = min(MAX_BEST - len(errors), len(best))
            if count == 0:
                break
            chosen = [best[place * len(best) // count] for place in range(count)]
            LOG.info("%d fitted configs that nothing beats are synthesized, too", count)
            made = self._synthesize([config for config, _ in chosen])
            errors += [
                abs(figures.area / synthesis.area - 1)
                for (_, figures), synthesis in zip(chosen, made, strict=True)
            ]
            found = self.of(found)
        if errors:
            LOG.info(
                "their fitted area was off by %.1f %% on average, %.1f %% at most",
                100 * statistics.mean(errors), 100 * max(errors),
            )  # fmt: skip
        return found

    def _synthesize(self, configs: Sequence[Config]) -> list[Synthesis]:
        made = []
        for number, config in enumerate(configs, start=1):
            LOG.info("synthesis %d of %d: %s", number, len(configs), config.name)
            made.append(synthesize(config, self._target, jobs=self._jobs))
            self._found[config.digest] = Figures.of(made[-1])
        return made


def with_area(points: Sequence[Point], target: str, jobs: int) -> list[Point]:
    """Return the points with what the synthesis of each of their configs says.

    Raises as `Areas.of`.
    """
    return Areas(target, jobs).of(points)


def _fitted_best(points: Sequence[Point]) -> list[tuple[Config, Figures]]:
    """The configs that nothing beats and that are fitted, with these figures."""
    places = best_places(points)
    best = {
        point.job.config.digest: (point.job.config, point.synthesis)
        for point in points
        if point.job and point.synthesis and point.synthesis.is_fitted and places[place_of(point)]
    }
    return list(best.values())
