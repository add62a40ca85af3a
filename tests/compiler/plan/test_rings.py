"""Rings never hand out words that something is still known to be in."""

import numpy as np
import pytest

from tilewright.compiler.plan.depthwise_plan import DepthwisePlan
from tilewright.compiler.plan.joint_plan import choose_together
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.rings import ChunkRing, Reader, RingNeed, lay_out_rings
from tilewright.compiler.plan.tiling import Work


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_known_chunks_never_overlap(wraps, seed):
    random = np.random.default_rng(seed)
    ring = ChunkRing(start=100, words=50, wraps=wraps)
    sizes = {}
    for key in range(200):
        sizes[key] = int(random.integers(1, 51))
        first = ring.take(key, sizes[key])
        assert ring.find(key) == first
        assert 100 <= first < 150
        assert wraps or first + sizes[key] <= 150
        used = np.zeros(50, int)
        for known in sizes:
            at = ring.find(known)
            if at is not None:
                used[(at - 100 + np.arange(sizes[known])) % 50] += 1
        assert used.max() == 1


def test_a_chunk_stays_until_its_words_are_needed():
    ring = ChunkRing(start=0, words=10, wraps=True)
    ring.take("a", 4)
    ring.take("b", 4)
    assert ring.take("c", 4) == 8
    assert (ring.find("a"), ring.find("b"), ring.find("c")) == (None, 4, 8)


def test_rings_of_different_readers_have_no_bank_in_common():
    needs = [
        RingNeed(reader=Reader.STORE, words=30),
        RingNeed(reader=Reader.MATRIX, words=90),
        RingNeed(reader=Reader.DEPTHWISE, words=0),
        RingNeed(reader=Reader.MATRIX, words=20),
    ]
    store, matrix, none, other = lay_out_rings(needs, (130, 400), bank_words=100)
    assert none is None
    assert (matrix.start, other.start, store.start) == (200, 290, 400)
    store, matrix, none, other = lay_out_rings(needs, (130, 140), bank_words=100)
    assert (matrix.start, other.start, store.start) == (130, 220, 240)


def plan(ring, work, startup, pace=0):
    return DepthwisePlan(
        tile_height=1, tile_width=1, blocks=1, copies=1, input_ring=ring, operand_ring=0,
        output_ring=0, work=Work(depthwise=work), startup=startup, pace=pace,
    )  # fmt: skip


def test_the_cheapest_combination_that_fits_is_chosen():
    random = np.random.default_rng(1)
    candidates = [
        [plan(*map(int, random.integers(1, 100, 4))) for _ in range(12)] for _ in range(3)
    ]

    def cost(plans):
        return max(sum(p.work.depthwise for p in plans), max(p.pace for p in plans)) + sum(
            p.startup for p in plans
        )

    every = [
        (a, b, c)
        for a in candidates[0]
        for b in candidates[1]
        for c in candidates[2]
        if sum(p.input_ring for p in (a, b, c)) <= 120
    ]
    chosen = choose_together(candidates, 120, 1)
    assert cost(chosen) == min(cost(plans) for plans in every)
    with pytest.raises(DoesNotFitError, match=r"3 layers .* 2 free words .* raise activation_kib"):
        choose_together(candidates, 2, 1)
