"""The project's log: silent until a program that uses it shows it."""

import contextlib
import logging
import time
from collections.abc import Iterator

NAME = "tilewright"
"""Of the logger that all modules' loggers are below."""


@contextlib.contextmanager
def timed(logger: logging.Logger, text: str, *, level: int = logging.INFO) -> Iterator[None]:
    """Log a text with the seconds that the context took, when it ends without an error."""
    start = time.monotonic()
    yield
    logger.log(level, "%s: %.2f s", text, time.monotonic() - start)
