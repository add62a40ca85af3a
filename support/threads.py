"""Threads of the libraries below NumPy."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which NumPy's BLAS has one thread.

    The products of single instructions and of blocks are too small to share: threads that wait for
    each other cost more than they compute, on a busy machine many times as much.
    """
    limited: AbstractContextManager[object] = _pools().limit(limits=1, user_api="blas")
    return limited


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()
