"""An engine's queue: what waits in it, when its head issues, and what has retired."""

from collections import deque

from tilewright.sim.timing.simulation import Actor, EngineModel, Simulation
from tilewright.support.errors import ExecutionError


class Queue(Actor):
    """A queue and the wait gate at its head; `queues`: those of all engines, by engine."""

    def __init__(
        self, machine: Simulation, engine: int, model: EngineModel, queues: "list[Queue]"
    ) -> None:
        self._machine, self._engine, self._model, self._queues = machine, engine, model, queues
        self._depth = machine.config.queue_depth
        self._waiting: deque[int] = deque()
        self._last_issue = -1
        self._next_try = -1
        """The cycle of the next try to issue that is sure to come."""
        self._is_awaiting = False
        """The head's waits are not met, and a retirement will come back to it."""
        self._awaiting: dict[int, list[Queue]] = {}
        """By number of retirements, the queues whose heads wait for so many."""
        self.num_sent = 0
        self.retirements = machine.retirements[engine]

    @property
    def is_full(self) -> bool:
        """No entry is accepted unless one issues."""
        return len(self._waiting) >= self._depth

    def has_room(self, cycle: int) -> bool:
        """Tell whether an entry is accepted; what issues in this cycle still counts."""
        return len(self._waiting) + (self._last_issue == cycle) < self._depth

    def enter(self, number: int, cycle: int) -> None:
        """Take an instruction. Raises ExecutionError."""
        queues = self._queues
        for wait in self._machine.instructions[number].waits:
            sent = queues[wait.engine].num_sent
            if wait.count > sent:
                raise ExecutionError(
                    f"instruction {number} waits for {wait.count} retirements of "
                    f"{wait.engine.name}, which was sent {sent} instructions; "
                    f"the accelerator stops with fault FUTURE_WAIT"
                )
        self.num_sent += 1
        self._machine.taken[number] = cycle
        self._waiting.append(number)
        if len(self._waiting) == 1:
            self.try_issue(cycle)

    def try_issue(self, cycle: int) -> None:
        """Issue the head, now or when its waits are met and its engine is ready."""
        machine = self._machine
        while self._waiting and not self._is_awaiting:
            number = self._waiting[0]
            offer = machine.offered[number]
            if offer < 0:
                met = self._waits_met(number)
                if met is None:
                    return
                offer = max(max(machine.taken[number], self._last_issue), met) + 1
                machine.offered[number] = offer
            accepted = self._model.acceptance(number, offer)
            if accepted is None:
                return
            if accepted > cycle:
                self._try_at(accepted)
                return
            self._waiting.popleft()
            self._last_issue = machine.issued[number] = cycle
            self._model.accept(number, cycle)
            machine.release(self._engine, cycle)

    def _try_at(self, cycle: int) -> None:
        """Try to issue in that cycle, which is not before the present one."""
        if self._next_try != cycle:
            self._next_try = cycle
            self._machine.at(cycle, self)

    def act(self, cycle: int) -> int | None:
        """As Actor: a try to issue that was to come."""
        self.try_issue(cycle)
        return None

    def _waits_met(self, number: int) -> int | None:
        """Return when the last awaited instruction retires; None if that is not known yet."""
        met = -1
        for wait in self._machine.instructions[number].waits:
            if not wait.count:
                continue
            queue = self._queues[wait.engine]
            if len(queue.retirements) < wait.count:
                queue.await_retirement(wait.count, self)
                self._is_awaiting = True
                return None
            met = max(met, queue.retirements[wait.count - 1])
        return met

    def await_retirement(self, count: int, queue: "Queue") -> None:
        """The head of `queue` waits for so many retirements."""
        self._awaiting.setdefault(count, []).append(queue)

    def retire(self, cycle: int, now: int) -> None:
        """Note in cycle `now` that the next instruction retires in `cycle`, which may be later."""
        self.retirements.append(cycle)
        for queue in self._awaiting.pop(len(self.retirements), ()):
            queue._is_awaiting = False
            self._machine.at(max(now, cycle + 1), queue)
