"""Whether a sweep's processes get native code: as soon as what they take without it is long."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tilewright.flows import native
from tilewright.flows.report.progress import line
from tilewright.flows.sweep.job import Job, Result
from tilewright.support.errors import ToolError

LOG = logging.getLogger(__name__)
PAYS_SECONDS = 120.0
"""A sweep that takes that long without it is quicker with a build, which takes a minute or two."""
TRIED = 2
"""Points a process that tell how long a sweep takes."""


@dataclass
class Speed:
    """The choice for the processes of a sweep, as its points come in.

    wanted: True builds at once, False never, None where it pays.
    """

    num_processes: int
    wanted: bool | None = None
    _seconds: float = 0.0
    """Of all points so far, each in its process."""
    _num_points: int = 0

    def note(self, result: Result) -> None:
        """Take into account what a point took."""
        self._seconds += (result.compile_seconds or 0.0) + (result.run_seconds or 0.0)
        self._num_points += 1

    def next_part(self, jobs: Sequence[Job]) -> tuple[int, Path | None]:
        """Return how many of the jobs to run now, and the build that they use, if any.

        Raises ToolError where native code is asked for and cannot be.
        """
        if self.wanted is False or jobs[0].setup.fidelity != "replay":
            return len(jobs), None
        if self.wanted:
            return len(jobs), build()
        num_tried = TRIED * self.num_processes
        if len(jobs) <= num_tried:
            return len(jobs), None
        if found := native.find():
            return len(jobs), found
        if not self._num_points:
            return num_tried, None
        return len(jobs), self._build_if_possible() if self._pays(len(jobs)) else None

    def _pays(self, num_left: int) -> bool:
        seconds = self._seconds * (1 + num_left / self._num_points)
        return seconds / self.num_processes >= PAYS_SECONDS

    def _build_if_possible(self) -> Path | None:
        try:
            return build()
        except ToolError as error:
            self.wanted = False
            LOG.warning("no native code, points take twice as long: %s", error)
            return None


def build() -> Path:
    """Return the build of native code; where it has to be made first, say so.

    Raises ToolError.
    """
    if found := native.find():
        return found
    line("native code of the tools is built, once; this takes a minute or two ...")
    return native.build()
