"""Positions along an axis as runs of equal steps."""

import numpy as np
import pytest

from tilewright.compiler.graph.runs import Run, axis_runs
from tilewright.compiler.limits import MAX_STRIDE

LINES = {
    "as it is": (tuple(range(7)), 1, 1),
    "twice": (tuple(np.repeat(range(5), 2)), 1, 2),
    "the same": ((3,) * 6, 1, 1),
    "strided": ((1, 4, 7, 10), 1, 1),
    "backwards": ((3, 2, 1, 0), 1, 4),
    "steps larger than the field": ((0, 300, 600), 1, 3),
    "twice between edges": ((0, *np.repeat(range(8), 2), 7), 1, 4),
    "phases": (tuple(np.repeat(range(4), 3)), 3, 3),
}


@pytest.mark.parametrize("name", LINES)
def test_runs_cover_every_position_once(name):
    sources, phases, largest = LINES[name]
    runs = axis_runs(tuple(map(int, sources)), 6, phases)
    covered = dict(pair for run in runs for pair in run.positions())
    assert covered == {6 + at: source for at, source in enumerate(sources)}
    assert sum(run.count for run in runs) == len(sources)
    assert len(runs) <= largest
    assert all(run.step % phases == 0 and 0 <= run.source_step <= MAX_STRIDE for run in runs)


def test_a_run_has_the_largest_count():
    assert axis_runs((0, 1, 2)) == (Run(first=0, step=1, count=3, source=0, source_step=1),)
