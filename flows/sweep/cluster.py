"""Jobs of a sweep on workers of Dask: a scheduler's, or processes of this machine.

Workers see the models under the same paths, with the same Tilewright. What ran on a worker that is
lost runs again on another one; a job that takes several workers with it counts as crashed.
"""

import contextlib
import functools
import importlib
import logging
import os
import signal
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Self

from tilewright.flows import native
from tilewright.flows.program_cache import tool_digest
from tilewright.flows.sweep.job import Job, Key, Result
from tilewright.support.digests import file_digest
from tilewright.support.errors import ToolError

LOCAL = "local"
"""In place of a scheduler's address: processes of this machine."""
CONNECT_SECONDS = 10
LOG = logging.getLogger(__name__)


class DaskWorkers(contextlib.AbstractContextManager["DaskWorkers"]):
    """Workers of the scheduler at an address, or `num_local` of this machine.

    crashed: makes the result of a job whose workers ended. Raises ToolError without Dask, or where
    nothing answers at the address.
    """

    def __init__(self, address: str, num_local: int, crashed: Callable[[Job], Result]) -> None:
        self._crashed = crashed
        self._resources = contextlib.ExitStack()
        try:
            self._dask: Any = importlib.import_module("distributed")
        except ImportError:
            raise ToolError('--dask needs Dask: pip install "tilewright[dask]"') from None
        target: Any = self._local(num_local) if address == LOCAL else address
        try:
            client = self._dask.Client(target, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ToolError(f"--dask {address}: no scheduler answers there ({error})") from None
        self._client = self._resources.enter_context(client)
        LOG.info("Dask: %s", client.dashboard_link or address)

    def _local(self, num_workers: int) -> Any:
        """Start workers that the terminal's Ctrl-C does not reach."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            cluster = self._dask.LocalCluster(
                n_workers=num_workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._resources.enter_context(cluster)
        self._resources.callback(_kill_workers, cluster)
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *given: object) -> None:
        self._resources.close()

    def results(self, tasks: Iterable[Job]) -> Generator[tuple[Job, Result]]:
        """Yield jobs with their results as they are done; closed early, it cancels the others.

        Raises ToolError where a worker has other sources or another file of a model.
        """
        futures = {self._client.submit(run_job, job, job.key, pure=False): job for job in tasks}
        try:
            for future in self._dask.as_completed(list(futures)):
                job = futures.pop(future)
                try:
                    found: Result = future.result()
                except self._dask.KilledWorker:
                    found = self._crashed(job)
                yield job, found
        finally:
            self._client.cancel(list(futures), force=True)


def _kill_workers(cluster: Any) -> None:
    """End the processes of local workers at once, whatever they do; nothing starts them again."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with contextlib.suppress(ProcessLookupError, TypeError):  # ended, or not begun
            os.kill(nanny.pid, signal.SIGKILL)


def run_job(job: Job, key: Key) -> Result:
    """Measure a job on a worker, which reads each model once. Raises ToolError."""
    _use_native_code()
    from tilewright.flows.sweep.measure import measure

    if tool_digest() != key.code:
        raise ToolError("a worker of Dask has another version of Tilewright")
    if _digest(job.model.path) != key.model:
        raise ToolError(f"{job.model.path}: a worker of Dask has no such file, or another one")
    return measure(job, None)


@functools.lru_cache
def _use_native_code() -> None:
    """Use native code from now on, if this machine has a build of the present sources."""
    if build := native.find():
        native.use(build)


@functools.lru_cache
def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None
