"""Processes that stay warm: they import once, run jobs one behind the other, and end together."""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Generic, TypeVar

Task = TypeVar("Task")
Found = TypeVar("Found")


def _begin(numbers: "SimpleQueue[int]", build: Path | None) -> None:
    """Begin a process group of its own, which the terminal's Ctrl-C does not reach; tell it."""
    os.setsid()
    numbers.put(os.getpid())
    if build is not None:
        from tilewright.flows import native

        native.use(build)


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, not even before they begin."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Pool(Generic[Task, Found]):
    """Runs `run(task)` in at most `jobs` processes at a time.

    crashed: makes the result of a task whose process ended; preloaded: the module that the
    processes import, once for all of them; build: of native code (`flows.native`), which each
    imports by itself.
    """

    def __init__(
        self,
        run: Callable[[Task], Found],
        jobs: int,
        crashed: Callable[[Task], Found],
        preloaded: str,
        build: Path | None = None,
    ) -> None:
        self._run, self._jobs, self._crashed, self._build = run, jobs, crashed, build
        self._context = multiprocessing.get_context("spawn" if build else "forkserver")
        if build is None:
            self._context.set_forkserver_preload([preloaded])
        self._waiting, self._suspects = deque[Task](), deque[Task]()
        self._running: dict[Future[Found], Task] = {}
        self._start()

    def results(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Found]]:
        """Yield tasks with their results as they are done; closed early, it ends those that run.

        When a process ends, nobody knows whose fault it was: what ran then runs again, alone.
        """
        self._waiting.extend(tasks)
        try:
            while self._waiting or self._suspects or self._running:
                self._fill()
                is_broken = False
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    try:
                        found = future.result()
                    except BrokenProcessPool:
                        is_broken = True
                    else:
                        yield self._running.pop(future), found
                if is_broken:
                    yield from self._recover()
        finally:
            self._stop()

    def _fill(self) -> None:
        if self._suspects:
            if not self._running:
                self._submit(self._suspects)
            return
        while self._waiting and len(self._running) < self._jobs:
            if not self._submit(self._waiting):
                return

    def _submit(self, tasks: deque[Task]) -> bool:
        """Start the first task, unless a process ended just now."""
        try:
            with _no_interrupt() if self._build else contextlib.nullcontext():
                self._running[self._executor.submit(self._run, tasks[0])] = tasks[0]
        except BrokenProcessPool:
            if not self._running:
                self._restart()
            return False
        tasks.popleft()
        return True

    def _recover(self) -> Generator[tuple[Task, Found]]:
        """Begin anew; a task that ran alone is the one that ended its process."""
        tasks = list(self._running.values())
        self._running.clear()
        self._restart()
        if len(tasks) == 1:
            yield tasks[0], self._crashed(tasks[0])
        else:
            self._suspects.extend(tasks)

    def _restart(self) -> None:
        self._stop()
        self._start()

    def _start(self) -> None:
        self._numbers: SimpleQueue[int] = self._context.SimpleQueue()
        self._executor = ProcessPoolExecutor(
            self._jobs,
            mp_context=self._context,
            initializer=_begin,
            initargs=(self._numbers, self._build),
        )

    def _stop(self) -> None:
        """End the processes with all that they started."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        while not self._numbers.empty():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._numbers.get(), signal.SIGKILL)
