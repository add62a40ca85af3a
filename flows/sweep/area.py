"""Area and clock of the points of a sweep: those of their configs, each config once."""

import dataclasses
import logging
from collections.abc import Sequence

from tilewright.flows.sweep.table import Point
from tilewright.flows.synthesis.synthesis import Synthesis, synthesize

LOG = logging.getLogger(__name__)


def with_area(points: Sequence[Point], target: str, jobs: int) -> list[Point]:
    """Return the points with what the synthesis for a target says of their configs.

    jobs: parts at a time. What is synthesized stays in the cache.

    Raises ToolError or InputError, and after Ctrl-C KeyboardInterrupt.
    """
    found: dict[str, Synthesis] = {}
    configs = {point.job.config.digest: point.job.config for point in points if point.job}
    for number, (digest, config) in enumerate(configs.items(), start=1):
        LOG.info("synthesis %d of %d: %s", number, len(configs), config.name)
        found[digest] = synthesize(config, target, jobs=jobs)
    return [
        dataclasses.replace(point, synthesis=found[point.job.config.digest]) if point.job else point
        for point in points
    ]
