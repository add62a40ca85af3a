"""Tracing: what ports and DRAM do, while the cycles stay what they are."""

import random

import pytest

from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.random_program import random_program
from tilewright.sim.timing import simulate
from tilewright.sim.timing.activity import Activity, Trace
from tilewright.sim.timing.ports import BankTimeline


def test_a_trace_notes_the_banks_of_a_timeline():
    timeline = BankTimeline(words=8, banks=2)
    timeline.occupy(address=3, count=2, start=10)
    trace = Trace()
    trace.note_banks("SRAM", "read", "STORE", 7, timeline)
    assert trace.activities == [
        Activity("SRAM", "bank 0 read", "STORE", 7, 10, 11),
        Activity("SRAM", "bank 1 read", "STORE", 7, 11, 12),
    ]


def test_activities_of_later_sections_count_on():
    activity = Activity("DRAM", "read", "LOAD", 3, 5, 9)
    assert activity.moved(100, 20) == Activity("DRAM", "read", "LOAD", 23, 105, 109)
    several = activity._replace(instruction=-1)
    assert several.moved(100, 20).instruction == -1


@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_a_traced_run_takes_the_same_cycles(preset):
    config, seed = PRESETS[preset], random.randrange(1 << 30)
    print("seed", seed)
    program = random_program(config, seed, num_instructions=60)
    plain, traced = simulate(program), simulate(program, is_traced=True)
    assert (traced.cycles, traced.issued, traced.retired) == (
        plain.cycles,
        plain.issued,
        plain.retired,
    )
    assert not plain.activities
    assert traced.activities
    assert all(0 <= each.start < each.end for each in traced.activities)
    banks = {
        int(each.port.split()[1]) for each in traced.activities if each.memory == "activation SRAM"
    }
    assert banks <= set(range(config.activation_banks))
