"""Many cases, in several processes."""

import contextlib
import functools
from collections.abc import Generator, Sequence

from tilewright.flows.conformance.cases import Case
from tilewright.flows.conformance.results import Outcome, Result
from tilewright.flows.conformance.running import run_case
from tilewright.flows.pool import Pool
from tilewright.hw.spec.config import Config

PRELOADED = "tilewright.flows.conformance.running"


def run_cases(cases: Sequence[Case], config: Config, jobs: int) -> Generator[Result]:
    """Yield the result of each case as it comes; closed early, it ends what runs."""
    if jobs == 1 or len(cases) == 1:
        yield from (run_case(case, config) for case in cases)
        return
    run = functools.partial(run_case, config=config)
    pool = Pool(run, min(jobs, len(cases)), _crashed, PRELOADED)
    with contextlib.closing(pool.results(cases)) as results:
        for _, result in results:
            yield result


def _crashed(case: Case) -> Result:
    return Result(
        name=case.name,
        kind=case.kind,
        operator=case.operator,
        outcome=Outcome.TRACEBACK,
        reason="its process ended",
    )
