"""Tasks: instructions in the order of their meaning, before waits and program order exist."""

from dataclasses import dataclass, field

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction


@dataclass(frozen=True, kw_only=True)
class Task:
    """One instruction of layer number `layer`; tasks executed one by one give the result."""

    instruction: Instruction
    layer: int


@dataclass(kw_only=True)
class TaskList:
    """Collects tasks and hands out the SRAM rings they share across layers.

    Weight SRAM is a ring of chunks, parameter SRAM a ring of blocks, the accumulators a rotation
    of bank groups, so that one region fills while the one before drains from other banks.
    """

    config: Config
    layer: int = -1
    tasks: list[Task] = field(default_factory=list)
    _weight_next: int = 0
    _parameter_next: int = 0
    _bank_next: int = 0

    def emit(self, operation: str, **fields: int) -> None:
        """Append one instruction; fields that are not given are 0."""
        instruction = isa.instruction(operation, (), **fields)
        self.tasks.append(Task(instruction=instruction, layer=self.layer))

    def take_weights(self, words: int) -> int:
        """Return the first word of the ring's next `words` weight words (they may wrap)."""
        assert words <= self.config.weight_words
        start = self._weight_next
        self._weight_next = (start + words) % self.config.weight_words
        return start

    def take_parameters(self, words: int) -> int:
        """Return the first of `words` consecutive parameter words."""
        assert words <= self.config.parameter_words
        if self._parameter_next + words > self.config.parameter_words:
            self._parameter_next = 0
        start = self._parameter_next
        self._parameter_next += words
        return start

    def take_accumulators(self, words: int) -> int:
        """Return the first of `words` accumulator words that share no bank with the last ones."""
        bank_words = self.config.accumulator_bank_words
        banks = -(-words // bank_words)
        assert banks <= self.config.accumulator_banks
        if self._bank_next + banks > self.config.accumulator_banks:
            self._bank_next = 0
        start = self._bank_next * bank_words
        self._bank_next += banks
        return start


@dataclass(kw_only=True)
class Ring:
    """A ring of activation words [start, start + words) for tiles in flight."""

    start: int
    words: int
    _next: int = 0

    def take(self, words: int) -> int:
        """Return the first of `words` consecutive words."""
        assert words <= self.words, (words, self.words)
        if self._next + words > self.words:
            self._next = 0
        first = self.start + self._next
        self._next += words
        return first
