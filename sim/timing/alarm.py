"""An act in a cycle that may still become an earlier one."""

from tilewright.sim.timing.simulation import Actor, Simulation


class Alarm(Actor):
    """Has an actor act in the cycle that was last set, once."""

    def __init__(self, machine: Simulation) -> None:
        self._machine = machine
        self._cycle = -1
        self._actor: Actor | None = None

    def set(self, cycle: int, actor: Actor) -> None:
        """Have the actor act in that cycle and nothing happen that was to happen before."""
        self._cycle, self._actor = cycle, actor
        self._machine.at(cycle, self)

    def advance(self, cycle: int) -> None:
        """Have what is to happen in a later cycle happen in that one."""
        if self._actor is not None and cycle < self._cycle:
            self.set(cycle, self._actor)

    def act(self, cycle: int) -> int | None:
        """As Actor."""
        actor = self._actor
        if actor is not None and cycle == self._cycle:
            self._actor = None
            actor.act(cycle)
        return None
