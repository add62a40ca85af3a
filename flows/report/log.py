"""The log on stderr, for `-v`."""

import logging
from collections.abc import Callable

import click

from tilewright.support.log import NAME


class StderrHandler(logging.Handler):
    """Writes to what stderr is at the time, so that a spinner or a bar stays whole."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        click.echo(self.format(record), err=True)


def show_log(verbosity: int) -> Callable[[], None]:
    """Show steps, their seconds and caches, from 2 on also passes and the programs started.

    Returns what ends that.
    """
    logger, handler = logging.getLogger(NAME), StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)

    def end() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    return end
