"""One thread for NumPy's BLAS, and what there was before afterwards."""

from threadpoolctl import threadpool_info

from tilewright.support.threads import one_blas_thread


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_the_context_has_one_thread_and_gives_the_others_back():
    before = blas_threads()
    assert before, "NumPy has a BLAS"
    with one_blas_thread():
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
