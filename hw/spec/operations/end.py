"""END."""

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction, operation
from tilewright.hw.spec.loops import Walks


@operation(0x01, None, "ends the program: done once every engine has retired what was dispatched")
class End(Instruction):
    """The last instruction of a program; dispatch itself takes it."""

    def walks(self, config: Config) -> Walks:
        return Walks()

    def cycles(self, config: Config) -> int:
        return 1

    def latency(self, config: Config) -> int:
        return 1
