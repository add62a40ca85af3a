"""Cases in several processes, in the order of the cases."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tilewright.flows.conformance.cases import Case
from tilewright.flows.conformance.results import Result
from tilewright.flows.conformance.running import run_case
from tilewright.hw.spec.config import Config
from tilewright.support.errors import ToolError


def run_cases(
    cases: Sequence[Case], config: Config, jobs: int, done: Callable[[Result], None]
) -> list[Result]:
    """Return the results in the order of the cases; `done` is told each as it comes.

    Raises ToolError where a process dies.
    """
    if jobs == 1 or len(cases) == 1:
        return [_told(run_case(case, config), done) for case in cases]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(run_case, case, config): i for i, case in enumerate(cases)}
        try:
            found = {waiting[item]: _told(item.result(), done) for item in as_completed(waiting)}
        except BrokenProcessPool:
            raise ToolError(
                "a process that ran cases died (memory?); --jobs 1 shows in which case"
            ) from None
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[place] for place in range(len(cases))]


def _told(result: Result, done: Callable[[Result], None]) -> Result:
    done(result)
    return result
