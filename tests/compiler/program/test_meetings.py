"""The listed meetings, against reachability between the issues and retirements of a program."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
from random_graphs import GraphMaker

from tilewright.compiler.compile import lower
from tilewright.compiler.program.checker import CheckError, check_program
from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.hazard import writes_twice
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.ports import Side
from tilewright.hw.spec.random_program import random_program

NANO = PRESETS["nano"]
EVERYWHERE = [(0, 1 << 32)]
SERVED = {
    (Space.ACTIVATION, Side.READ): "MATRIX DEPTHWISE VECTOR STORE",
    (Space.ACTIVATION, Side.WRITE): "VECTOR LOAD",
    (Space.ACCUMULATOR, Side.READ): "MATRIX DEPTHWISE VECTOR",
    (Space.ACCUMULATOR, Side.WRITE): "MATRIX DEPTHWISE",
    (Space.PARAMETER, Side.READ): "VECTOR DEPTHWISE",
}
"""docs/architecture.md, "Memories": the engines at a port, the first served in front."""


def known_retirements(instructions):
    """For each instruction the set of those that have retired whenever it issues."""
    known, of_engine = [], {engine: [] for engine in Engine}
    for index, i in enumerate(instructions):
        retired = set()
        for wait in i.waits:
            for number in of_engine[wait.engine][: wait.count]:
                retired |= {number} | known[number]
        if of_engine[i.engine]:
            retired |= known[of_engine[i.engine][-1]]
        known.append(retired)
        of_engine[i.engine].append(index)
    return known


def words_at_ports(i, config):
    """(space, side, word) of every access; a MATRIX adds to the sums of its tiles before."""
    touched = accesses(i, config)
    found = {(a.space, Side.READ, w) for a in touched.reads for w in a.addresses.tolist()}
    writes = {(a.space, Side.WRITE, w) for a in touched.writes for w in a.addresses.tolist()}
    if i.name == "MATRIX" and i.in_blocks * i.kernel_height * i.kernel_width > 1:
        found |= {(space, Side.READ, word) for space, _, word in writes}
    return found | writes


def bank_of(space, word, config):
    if space == Space.ACTIVATION:
        return word // config.activation_bank_words
    return word // config.accumulator_bank_words if space == Space.ACCUMULATOR else 0


def meetings_by_pairs(instructions, config):
    """(port, bank, winner, loser) of every pair of instructions of different engines."""
    known = known_retirements(instructions)
    banks = [
        {
            (space, side, bank_of(space, word, config))
            for space, side, word in words_at_ports(i, config)
            if (space, side) in SERVED
        }
        for i in instructions
    ]
    found = Counter()
    for later, second in enumerate(instructions):
        for earlier, first in enumerate(instructions[:later]):
            if first.engine == second.engine or earlier in known[later]:
                continue
            for space, side, bank in banks[earlier] & banks[later]:
                order = SERVED[space, side].split()
                pair = sorted(
                    (earlier, later), key=lambda n: order.index(instructions[n].engine.name)
                )
                found[(space, side), bank, *pair] += 1
    return found


def legal(item, config):
    """A transfer with its DRAM addresses as the hardware rounds them, and each word once."""
    if item.name not in ("LOAD", "STORE"):
        return item
    pitch = item.pitch(config)
    fields = item.values()
    dram = {n: v // pitch * pitch for n, v in fields.items() if n.startswith("dram_")}
    rounded = replace(item, **dram)
    if not writes_twice(accesses(rounded, config)):
        return rounded
    return replace(rounded, count0=1, count1=1, count2=1)


def listed(meetings):
    return Counter(
        (m.port, bank, m.winner.index, m.loser.index)
        for m in meetings
        for bank in range(m.banks.bit_length())
        if m.banks >> bank & 1
    )


def checked_programs(config, seed):
    """Yield random programs that read no word that they have not written, and their meetings."""
    for number in itertools.count(seed):
        program = random_program(config, number)
        instructions = [legal(i, config) for i in program.instructions if i.engine is not None]
        try:
            yield instructions, check_program(instructions, config, writable=EVERYWHERE)
        except CheckError as error:
            if "was not written" not in str(error):
                raise


@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
def test_random_programs_have_the_meetings_of_all_pairs(preset):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    config, total = PRESETS[preset], 0
    for instructions, meetings in itertools.islice(checked_programs(config, seed), 8):
        found = listed(meetings)
        assert found == meetings_by_pairs(instructions, config), instructions
        total += len(found)
    assert total


def test_a_compiled_program_has_the_meetings_of_all_pairs():
    maker = GraphMaker(2, (6, 6, 6))
    deep = maker.conv(maker.input, 6, (3, 3), pads=(1, 1, 1, 1), groups=6)
    lowered = lower(maker.graph(maker.conv(deep, 6, residual=maker.input)), NANO)
    instructions = lowered.instructions[:-1]
    found = listed(check_program(instructions, NANO, writable=EVERYWHERE))
    assert found == meetings_by_pairs(instructions, NANO)
