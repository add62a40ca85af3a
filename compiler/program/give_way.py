"""At a bank's port the array gives way to an engine that has more to do: it waits for it.

The array is served first, so where another engine bounds a chain, an array with time to spare holds
it up. A MATRIX therefore waits for the tasks before it, of an engine with more to do in the chain,
that it may meet. The other way round a wait does not pay: who is refused starts no earlier by
waiting. Transfers, whose time is DRAM's, and parameters, which are read for a few cycles, are left
to the hardware.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.plan.estimate import estimates_of
from tilewright.hw.spec.access import Accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.ports import BankSet, Port, Ports, Side

GIVING = ((Engine.MATRIX, Engine.DEPTHWISE), (Engine.MATRIX, Engine.VECTOR))
"""Who is served before whom, and may give way."""
PARAMETER_READS: Final[Port] = (Space.PARAMETER, Side.READ)
RIVALS = {engine for pair in GIVING for engine in pair}


class GiveWay:
    """Finds whom each task of a section, in program order, gives way to.

    chains: numbers of the layers that run together.
    """

    def __init__(self, tasks: Iterable[Task], chains: Sequence[range], config: Config) -> None:
        self._estimates, self._ports = estimates_of(config), Ports(config)
        self._chain_of = {layer: n for n, chain in enumerate(chains) for layer in chain}
        self._busier = self._find_busier(tasks)
        self._asking = {chain: {engine for pair in self._busier.get(chain, ()) for engine in pair}
                        for chain in self._chain_of.values()}  # fmt: skip
        self._noted: dict[Engine, list[tuple[int, Mapping[Port, BankSet]]]] = defaultdict(list)

    def _find_busier(self, tasks: Iterable[Task]) -> dict[int, set[tuple[Engine, Engine]]]:
        """Return, by chain, who is served before whom and has less to do."""
        busy: dict[int, Counter[Engine]] = defaultdict(Counter)
        for task in tasks:
            engine = task.instruction.engine
            if engine is not None and engine in RIVALS:
                cycles, _ = self._estimates.cycles(task.instruction)
                busy[self._chain_of[task.layer]][engine] += cycles
        return {
            chain: {
                (first, second) for first, second in GIVING if 0 < cycles[first] < cycles[second]
            }
            for chain, cycles in busy.items()
        }

    def requests(self, task: Task, touched: Accesses) -> Mapping[Port, BankSet]:
        """Return the banks that a task asks for at each port; none where nobody gives way."""
        if task.instruction.engine not in self._asking[self._chain_of[task.layer]]:
            return {}
        found = self._ports.requests(task.instruction, touched)
        found.pop(PARAMETER_READS, None)
        return found

    def needs(
        self, task: Task, asked: Mapping[Port, BankSet], known: Sequence[int]
    ) -> Iterator[tuple[Engine, int]]:
        """Yield the engines, each with its latest task, that a task waits for out of courtesy.

        asked: its requests; known: how many tasks of each engine it is behind already.
        """
        for first, second in self._busier.get(self._chain_of[task.layer], ()) if asked else ():
            if first != task.instruction.engine:
                continue
            for number, others in reversed(self._noted[second]):
                if number <= known[second]:
                    break
                if _meet(asked, others):
                    yield second, number
                    break

    def note(self, engine: Engine, number: int, asked: Mapping[Port, BankSet]) -> None:
        """Note a task's requests and its number among its engine's."""
        if asked:
            self._noted[engine].append((number, asked))


def _meet(asked: Mapping[Port, BankSet], others: Mapping[Port, BankSet]) -> bool:
    """Tell whether two instructions ask for a bank at the same port."""
    for port, banks in asked.items():  # noqa: SIM110 a generator costs more than the rest
        if banks & others.get(port, 0):
            return True
    return False
