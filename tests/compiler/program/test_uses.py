"""The last uses of words against tables with a row for every word."""

import random
import tracemalloc

import numpy as np
import pytest

from tilewright.compiler.program import uses as module
from tilewright.compiler.program.uses import MAX_PAIRS, Uses
from tilewright.hw.spec.access import Access
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.intervals import merge
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space

WORDS = 200
DRAM_GRANULE = 16


class Table:
    """Of each word and engine the last write and the last use."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.written = np.zeros((len(Engine), WORDS), int)
        self.touched = np.zeros((len(Engine), WORDS), int)

    def needed(self, engine: Engine, reads: set[int], writes: set[int]) -> list[int]:
        need = self.written[:, sorted(reads)].max(axis=1, initial=0)
        if (engine, self.space) == (Engine.MATRIX, Space.ACCUMULATOR):  # which adds in order
            need[engine] = 0
        before = self.touched[:, sorted(writes)].max(axis=1, initial=0)
        before[engine] = 0
        return np.maximum(need, before).tolist()

    def note(self, engine: Engine, number: int, reads: set[int], writes: set[int]) -> None:
        self.touched[engine, sorted(reads | writes)] = number
        self.written[engine, sorted(writes)] = number


class Clocks:
    """How many instructions of each engine have retired when one of an engine issues."""

    def __init__(self) -> None:
        self.history: dict[Engine, list[list[int]]] = {engine: [] for engine in Engine}

    def issue(self, engine: Engine, need: list[int]) -> list[int]:
        clock = self.history[engine][-1] if self.history[engine] else [0] * len(Engine)
        for other in Engine:
            if need[other] > clock[other]:
                clock = list(map(max, clock, self.history[other][need[other] - 1]))
                clock[other] = max(clock[other], need[other])
        self.history[engine].append(clock)
        return clock


def some_words(rng: random.Random, space: Space) -> Access | None:
    """Return one interval, a few, or so many that words count singly; at times none."""
    if rng.random() < 0.3:
        return None
    if rng.random() < 0.2:
        starts = np.arange(rng.randrange(9), WORDS, rng.randint(2, 4))
        assert starts.size > MAX_PAIRS
        return Access.of(space, starts, starts + 1)
    starts = np.array([rng.randrange(WORDS - 40) for _ in range(rng.choice((1, 1, 2, 5)))])
    return Access.of(space, *merge(starts, starts + rng.randint(1, 40)))


@pytest.mark.parametrize("space", [Space.WEIGHT, Space.ACCUMULATOR, Space.DRAM])
@pytest.mark.parametrize("seed", range(6))
def test_who_waits_for_what_it_needs_is_behind_all_earlier_uses(
    seed: int, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_GRANULES", 64)
    rng = random.Random(seed)
    uses, table = Uses(PRESETS["nano"], dram_bytes=WORDS, granule=1), Table(space)
    clocks, expected = Clocks(), Clocks()
    for step in range(300):
        engine = rng.choice((Engine.LOAD, Engine.MATRIX, Engine.VECTOR, Engine.STORE))
        read, written = some_words(rng, space), some_words(rng, space)
        if read is None and written is None:
            continue
        reads, writes = (
            uses.places([read] if read else []),
            uses.places([written] if written else []),
        )
        words = [set(a.addresses.tolist()) if a else set() for a in (read, written)]
        if read:
            unwritten = sorted(w for w in words[0] if not table.written[:, w].any())
            found = [word for word in map(uses.unwritten, reads) if word is not None]
            assert found[:1] == unwritten[:1], step
        clock = clocks.issue(engine, uses.needed(engine, reads, writes))
        assert clock == expected.issue(engine, table.needed(engine, *words)), step
        number = len(clocks.history[engine])
        uses.note(engine, number, reads, writes)
        table.note(engine, number, *words)


def test_granules_of_dram_count_whole_and_up_to_the_end() -> None:
    uses = Uses(PRESETS["nano"], dram_bytes=100, granule=DRAM_GRANULE)
    starts, ends = np.array([0, 20, 40, 90]), np.array([8, 30, 50, 300])
    (place,) = uses.places([Access.of(Space.DRAM, starts, ends)])
    assert (place.space, place.pairs, place.words) == (Space.DRAM, [(0, 4), (5, 7)], None)
    assert (place.first, place.behind) == (0, 7)
    assert uses.places([Access.of(Space.DRAM, np.array([112]), np.array([120]))]) == []


def test_dram_that_nobody_touches_takes_no_memory():
    tracemalloc.start()
    uses = Uses(PRESETS["nano"], dram_bytes=1 << 32, granule=16)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1 << 22
    last = Access.of(Space.DRAM, np.array([(1 << 32) - 32]), np.array([1 << 32]))
    (place,) = uses.places([last])
    assert uses.unwritten(place) == (1 << 28) - 2
    uses.note(Engine.STORE, 1, [], [place])
    assert uses.unwritten(place) is None
    assert uses.before_read(Engine.LOAD, place)[Engine.STORE] == 1
