"""Where the instructions of a program may meet at a port of a bank, which no wait rules out.

Two instructions of different engines may be at work in the same cycles unless one is known to have
retired when the other one issues. Where both then ask for the same port of the same bank
(`hw.spec.ports`), the engine that comes later in the port's order may be refused. An engine's own
instructions run in order; what they cost one another is no meeting.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction
from tilewright.hw.spec.ports import PRIORITIES, BankSet, Port, Ports
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Party:
    """An instruction of a meeting."""

    index: int
    """In the program."""
    engine: Engine


@record(frozen=True, kw_only=True)
class Meeting:
    """Two instructions that may ask for the same port of the same banks in the same cycle."""

    port: Port
    banks: BankSet
    winner: Party
    """It is served."""
    loser: Party
    """It waits a cycle and asks again."""


@record(frozen=True, kw_only=True)
class Meetings:
    """The possible meetings of a program, in program order; found while they are iterated over."""

    instructions: Sequence[Instruction]
    config: Config
    clocks: Mapping[Engine, Sequence[Sequence[int]]]
    """Of each instruction of an engine: how many of each have retired whenever it issues."""

    def __iter__(self) -> Iterator[Meeting]:
        ports = Ports(self.config)
        visits: dict[Engine, list[_Visit]] = {engine: [] for engine in Engine}
        for index, instruction in enumerate(self.instructions):
            engine = instruction.engine
            if engine is None:
                continue
            touched = accesses(instruction, self.config)
            visit = _Visit(
                party=Party(index=index, engine=engine),
                requests=ports.requests(instruction, touched),
            )
            clock = self.clocks[engine][len(visits[engine])]
            for other in Engine:
                if other != engine:
                    for earlier in visits[other][clock[other] :]:
                        yield from _meetings_of(earlier, visit)
            visits[engine].append(visit)


class _Visit(NamedTuple):
    party: Party
    requests: Mapping[Port, BankSet]


def _meetings_of(earlier: _Visit, later: _Visit) -> Iterator[Meeting]:
    for port, banks in later.requests.items():
        common = banks & earlier.requests.get(port, 0)
        if common:
            order = PRIORITIES[port].index
            first, second = sorted((earlier.party, later.party), key=lambda p: order(p.engine))
            yield Meeting(port=port, banks=common, winner=first, loser=second)
