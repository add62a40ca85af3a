"""The replay of the second stage: windows that repeat are stepped over, with the same cycles."""

import random

import pytest

from tilewright.sim.timing.ports import FREE_BANK, BankTimeline
from tilewright.sim.timing.replay import StageReplay
from tilewright.sim.timing.replayed import Aftermath
from tilewright.sim.timing.vector_ports import Segment


class StepwiseReplay(StageReplay):
    """Takes every position on its own."""

    def _repeat(self, sources, operands, step, left):
        return 0


def random_timeline(rng):
    """Two banks, each taken now and then, for one cycle or many."""
    timeline = BankTimeline(64, 2)
    for bank in range(2):
        end = 0
        for _ in range(rng.choice((0, 1, 30))):
            start = end + rng.choice((1, 3, rng.randrange(1, 200)))
            end = start + rng.choice((1, 2, rng.randrange(1, 60)))
            timeline.occupy_bank(bank, start, end)
    return timeline


def random_plan(rng, window):
    """Segments that end with a window."""
    plan = [
        Segment(rng.choice((FREE_BANK, 0, 1)), rng.randrange(2), rng.randrange(1, 90))
        for _ in range(rng.randrange(1, 5))
    ]
    rest = -sum(segment.turns for segment in plan) % window
    return [*plan, Segment(0, 0, rest)] if rest else plan


@pytest.mark.parametrize("seed", range(60))
def test_repeated_windows_have_the_cycles_of_single_steps(seed):
    rng = random.Random(seed)
    pace, depth = rng.choice((1, 2, 4, 16)), rng.randrange(3, 9)
    stages = [Aftermath(), Aftermath()]
    begin = 0
    for _ in range(3):
        window = rng.choice((1, 1, 2, 9))
        has_pairs = window == 1 and rng.random() < 0.5
        source, operand = random_timeline(rng), random_timeline(rng)
        plan = random_plan(rng, window)
        found = [
            kind(pace=pace, depth=depth, window=window, before=stage, has_pairs=has_pairs).run(
                plan,
                lambda bank, timeline=source: [(timeline, bank)],
                lambda bank, timeline=operand: [(timeline, bank)],
                first_position=begin,
                first_operand=begin + 1,
            )
            for kind, stage in zip((StepwiseReplay, StageReplay), stages, strict=True)
        ]
        expected, replay = found
        assert replay.walker_free == expected.walker_free
        assert replay.reads.tolist() == expected.reads.tolist()
        assert replay.enters.tolist() == expected.enters.tolist()
        assert replay.uses.tolist() == expected.uses.tolist()
        assert replay.moves.tolist() == expected.moves.tolist()
        assert replay.operand_moves.tolist() == expected.operand_moves.tolist()
        assert replay.aftermath == expected.aftermath
        assert len(replay.reads) == sum(segment.turns for segment in plan)
        stages = [each.aftermath for each in found]
        begin = replay.walker_free + rng.randrange(1, 9)
