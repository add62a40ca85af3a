"""Threads of the libraries below NumPy."""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which NumPy's BLAS has one thread.

    The products of single instructions and of blocks are too small to share: threads that wait for
    each other cost more than they compute, on a busy machine many times as much.
    """
    from threadpoolctl import ThreadpoolController

    limited: AbstractContextManager[object] = _pools(ThreadpoolController).limit(
        limits=1, user_api="blas"
    )
    return limited


@cache
def _pools(kind: "type[ThreadpoolController]") -> "ThreadpoolController":
    return kind()
