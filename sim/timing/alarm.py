"""A call in a cycle that may still become an earlier one."""

from tilewright.sim.timing.simulation import Action, Simulation


class Alarm:
    """Calls an action in the cycle that it was last set to, once."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self._pending: tuple[int, Action] | None = None

    def set(self, cycle: int, action: Action) -> None:
        """Call the action in that cycle and nothing that was to be called before."""
        self._pending = cycle, action
        self._machine.at(cycle, self._ring)

    def advance(self, cycle: int) -> None:
        """Call what is to be called in a later cycle in that one."""
        if self._pending is not None and cycle < self._pending[0]:
            self.set(cycle, self._pending[1])

    def _ring(self, cycle: int) -> None:
        if self._pending is not None and cycle == self._pending[0]:
            _, action = self._pending
            self._pending = None
            action(cycle)
