"""What loads and stores share: runs, bursts, and the addresses that go out for them."""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence

from tilewright.hw.spec.cycles import run_cycles, transfer_retirement
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.operations import transfer as operations
from tilewright.sim.timing.activity import ACTIVATION
from tilewright.sim.timing.bursts import Shape, ShapeCache
from tilewright.sim.timing.ports import BankTimeline
from tilewright.sim.timing.simulation import Actor, EngineModel, Simulation


class Transfer:
    """One instruction; shapes: of its bursts."""

    __slots__ = ("is_activation", "number", "shapes", "sram_address")

    def __init__(self, number: int, i: operations.Transfer, shapes: list[Shape]) -> None:
        self.number, self.shapes = number, shapes
        self.sram_address = i.sram_address
        self.is_activation = i.space == Space.ACTIVATION

    def banks(self, shape: Shape, timeline: BankTimeline) -> Iterator[tuple[int, int]]:
        """Yield bank and number of words, in order, of one of its bursts."""
        return timeline.banks(self.sram_address + shape.sram_offset, shape.words)


class _Sender(Actor):
    """Sends the addresses of a model's bursts."""

    def __init__(self, model: "TransferModel") -> None:
        self._model = model

    def act(self, cycle: int) -> int | None:
        """As Actor."""
        return self._model.send_next(cycle)


class TransferModel(EngineModel):
    """Runs follow one another as `run_cycles` says, a run's bursts at one a cycle."""

    engine: Engine

    def __init__(self, machine: Simulation) -> None:
        self.machine = machine
        self._engine = int(self.engine)
        self._taken_over = machine.occupations[self._engine].ready
        self._gap = run_cycles(machine.config) - 1
        self._retirement = transfer_retirement(machine.config)
        self._shapes = ShapeCache(machine.config)
        self._transfers: deque[Transfer] = deque()
        """Those whose addresses have yet to be taken."""
        self._num_sent = 0
        """Bursts of the first of them whose addresses are."""
        self._sender = _Sender(self)
        self._is_blocked = False
        self._ready: int | None = 0
        self._run_taken = -1
        self._address = -1
        """When the last burst's address was taken."""
        self._accepted = -1
        self._due = 0
        """When the next burst's address is offered at the earliest."""

    def acceptance(self, number: int, offer: int) -> int | None:
        """As EngineModel: when the last run before it goes to the splitter, or a gap later."""
        return None if self._ready is None else max(offer, self._ready)

    def accept(self, number: int, cycle: int) -> None:
        """As EngineModel."""
        self._ready = None
        self._accepted = cycle
        i = self.machine.instructions[number]
        assert isinstance(i, operations.Transfer)
        self._transfers.append(Transfer(number, i, self._shapes.shapes(i)))
        if len(self._transfers) == 1:
            self._retry(self._offer(cycle))

    def _retry(self, due: int | None) -> None:
        if due is not None:
            self.machine.at(due, self._sender)

    def _offer(self, cycle: int) -> int | None:
        """Offer the next burst's address; return when it can be taken, if that is known."""
        transfer = self._transfers[0]
        shape = transfer.shapes[self._num_sent]
        self._due = self._address + 1
        if shape.starts_run:
            taken = max(self._run_taken, self._accepted) + 1
            self._run_taken = max(taken, self._address + self._gap)
            self._due = self._run_taken + 1
        if shape.starts_last_run:
            self._ready = self._run_taken + self._gap
            self._taken_over.append(self._ready)
            self.machine.try_issue(self._engine, cycle)
        return self._find_place(shape)

    def _find_place(self, shape: Shape) -> int | None:
        """Return when the next burst's address can be taken; None if `wake` will tell."""
        due = self.place(shape, self._due)
        self._is_blocked = due is None
        return due

    def send_next(self, cycle: int) -> int | None:
        """Send the next burst's address unless another's is taken; return when to try again."""
        transfer = self._transfers[0]
        shape = transfer.shapes[self._num_sent]
        if self.is_refused(shape, cycle):
            return cycle + 1
        self._address = cycle
        self._num_sent += 1
        if self._num_sent == len(transfer.shapes):
            self._transfers.popleft()
            self._num_sent = 0
        self.send(transfer, shape, cycle)
        return self._offer(cycle) if self._transfers else None

    def wake(self, cycle: int) -> None:
        """Try again what `place` could not tell."""
        if self._is_blocked:
            self._due = max(self._due, cycle)
            self._retry(self._find_place(self._transfers[0].shapes[self._num_sent]))

    def _note(self, transfer: Transfer, shape: Shape, start: int, end: int, port: str) -> None:
        """Note in the trace, if there is one, in which cycles a burst moves words of activations.

        Refusals are spread: the words of each bank have their share of the cycles.
        """
        trace = self.machine.trace
        if trace is None or not transfer.is_activation:
            return
        done, cycles = 0, end - start
        for bank, words in transfer.banks(shape, self.machine.activation_reads):
            part = start + done * cycles // shape.words
            done += words
            if bank >= self.machine.config.activation_banks:
                continue
            moved = [(part, start + done * cycles // shape.words)]
            trace.note(ACTIVATION, f"bank {bank} {port}", self.engine.name, transfer.number, moved)

    def _retire(self, transfer: Transfer, end: int, cycle: int) -> None:
        """Note in cycle `cycle` that an instruction's last write or response is in `end`."""
        self.machine.retire(transfer.number, end + self._retirement, cycle)

    @abstractmethod
    def place(self, shape: Shape, cycle: int) -> int | None:
        """Return from when on a burst has a place, from `cycle` on; None: not known yet."""

    def is_refused(self, shape: Shape, cycle: int) -> bool:
        """Tell whether another engine's address is taken in that cycle."""
        return False

    @abstractmethod
    def send(self, transfer: Transfer, shape: Shape, cycle: int) -> None:
        """The address of one of its bursts is taken."""


def room(latest: Sequence[int], needed: int, cycle: int) -> int | None:
    """Return from when on there is room, from `cycle` on, if it is known: `latest` free it."""
    if needed <= 0:
        return None
    return max(cycle, latest[-needed] + 1) if len(latest) >= needed else cycle
