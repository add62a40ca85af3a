"""Waits that make a random program free of races: needed ones, and some that need not be there."""

import random

from tilewright.hw.spec.access import Accesses
from tilewright.hw.spec.isa import NUM_WAITS, Engine, Instruction, Wait
from tilewright.hw.spec.loops import Space
from tilewright.support.records import record

Clock = dict[Engine, int]
"""Per engine, how many retirements are certain."""


@record(frozen=True, kw_only=True)
class _Sent:
    engine: Engine
    number: int
    touched: Accesses


class WaitChooser:
    """Follows a program as it is dispatched and chooses each instruction's waits.

    A dependence is met when the waits, direct or through the instructions waited for and those
    before them in their queues, make the earlier instruction's retirement certain.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sent: list[_Sent] = []
        self.count: Clock = dict.fromkeys(Engine, 0)
        self._at_issue: dict[Engine, Clock] = {e: dict.fromkeys(Engine, 0) for e in Engine}
        self._at_retirement: dict[tuple[Engine, int], Clock] = {
            (engine, 0): dict.fromkeys(Engine, 0) for engine in Engine
        }

    def choose(self, instruction: Instruction, touched: Accesses) -> tuple[Wait, ...]:
        """Return up to four waits that order the instruction behind all it depends on."""
        assert instruction.engine is not None
        certain = self._at_issue[instruction.engine]
        needed = {
            engine: count
            for engine, count in self._dependences(instruction, touched).items()
            if certain[engine] < count
        }
        for engine in self.rng.sample(list(needed), len(needed)):
            others = [item for item in needed.items() if item[0] != engine]
            implied = max((self._at_retirement[key][engine] for key in others), default=0)
            if implied >= needed[engine] and self.rng.random() < 0.6:
                del needed[engine]
        waits = [Wait(engine=engine, count=count) for engine, count in needed.items()]
        while len(waits) < NUM_WAITS and self.rng.random() < 0.15:
            engine = self.rng.choice(tuple(Engine))
            waits.append(Wait(engine=engine, count=self.rng.randint(0, self.count[engine])))
        self.rng.shuffle(waits)
        return tuple(waits)

    def send(self, instruction: Instruction, touched: Accesses) -> None:
        """Note that the instruction, with its waits, is dispatched next."""
        engine = instruction.engine
        assert engine is not None
        number = self.count[engine] + 1
        clocks = [self._at_issue[engine]]
        clocks += [self._at_retirement[(wait.engine, wait.count)] for wait in instruction.waits]
        issue = _join(clocks)
        self._at_issue[engine] = issue
        retirement = _join([issue, self._at_retirement[(engine, number - 1)]])
        self._at_retirement[(engine, number)] = retirement | {engine: number}
        self.count[engine] = number
        self.sent.append(_Sent(engine=engine, number=number, touched=touched))

    def _dependences(self, instruction: Instruction, touched: Accesses) -> Clock:
        """Return, per engine, the last instruction that must have retired."""
        needed: Clock = {}
        for earlier in self.sent:
            if earlier.number <= needed.get(earlier.engine, 0):
                continue
            if earlier.engine != instruction.engine:
                depends = earlier.touched.conflicts(touched)
            else:
                depends = _reads_result(earlier, touched)
            if depends:
                needed[earlier.engine] = earlier.number
        return needed


def _join(clocks: list[Clock]) -> Clock:
    return {engine: max(clock[engine] for clock in clocks) for engine in Engine}


def _reads_result(earlier: _Sent, touched: Accesses) -> bool:
    """Tell whether an instruction reads what an earlier one of its own engine wrote.

    MATRIX instructions may accumulate into each other's words without a wait.
    """
    return any(
        write.overlaps(read)
        for write in earlier.touched.writes
        if earlier.engine != Engine.MATRIX or write.space != Space.ACCUMULATOR
        for read in touched.reads
    )
