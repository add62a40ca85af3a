"""What is being done: on a terminal as a spinner or a bar, elsewhere as lines on stderr."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from tilewright.flows.report.display import console, duration
from tilewright.support.log import timed

LONG_SECONDS = 60.0
"""What takes longer has a line, where there is no terminal."""

Advance = Callable[[str], None]
"""Tells that a step is done, and what came of it in a few words."""


def line(text: str) -> None:
    """Print a line, above a bar if there is one."""
    click.echo(text, err=True)


@contextlib.contextmanager
def status(text: str) -> Iterator[None]:
    """Show what is being done while the context lasts; off a terminal, once it lasts long."""
    with timed(logging.getLogger(__name__), text):
        if console(error=True).is_terminal:
            with console(error=True).status(escape(text)):
                yield
        else:
            with _line_if_long(text):
                yield


@contextlib.contextmanager
def _line_if_long(text: str) -> Iterator[threading.Timer]:
    """Print a line once the context has lasted long; what it gives can be cancelled."""
    line = threading.Timer(LONG_SECONDS, click.echo, (f"{text} ...",), {"err": True})
    line.daemon = True
    line.start()
    try:
        yield line
    finally:
        line.cancel()


class Pace:
    """How long `total` steps take, told from those that are done."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._start = clock()

    def sentence(self, done: int) -> str:
        """Return the time that is over and, before the end, an estimate of what is left."""
        seconds = self._clock() - self._start
        if not 0 < done < self._total:
            return duration(seconds)
        left = seconds / done * (self._total - done)
        return f"{duration(seconds)}, about {duration(left)} left"


@contextlib.contextmanager
def counted(title: str, total: int, *, every_seconds: float = 0.0) -> Iterator[Advance]:
    """Show the progress of `total` steps: a bar, or off a terminal a line a step.

    every_seconds: quick steps have no line of their own, but at most one in this time.
    """
    shown = console(error=True)
    if not shown.is_terminal:
        with _line_if_long(f"{title} 1 of {total}") as first:
            lines = _lines(title, total, every_seconds)

            def advance(text: str) -> None:
                first.cancel()
                lines(text)

            yield advance
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task(escape(title), total=total)
        yield lambda _: bar.advance(task)


def _lines(title: str, total: int, every_seconds: float) -> Advance:
    """Return what prints a line for a step."""
    pace, done, last = Pace(total), 0, time.monotonic()

    def advance(text: str) -> None:
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if now - last >= every_seconds:
            last = now
            found = f" {text};" if text else ""
            click.echo(f"{title} {done} of {total}:{found} {pace.sentence(done)}", err=True)

    return advance
