"""Tasks: instructions in the order of their meaning, before waits and program order exist."""

from dataclasses import dataclass, field

from tilewright.compiler.plan.rings import ChunkRing, Ring
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Instruction


class Task:
    """One instruction of layer number `layer`; tasks executed one by one give the result."""

    __slots__ = ("instruction", "layer")

    def __init__(self, instruction: Instruction, layer: int) -> None:
        self.instruction, self.layer = instruction, layer


@dataclass(kw_only=True)
class TaskList:
    """Collects tasks and hands out the SRAM that they share across layers.

    Weight SRAM is a ring of chunks, parameter SRAM a ring of regions. The accumulators are a
    rotation of bank groups, so that one region fills while the one before drains from other banks;
    with `has_depthwise` the last bank is the depthwise unit's, where there are three or more of at
    least two words.
    """

    config: Config
    has_depthwise: bool = False
    layer: int = -1
    tasks: list[Task] = field(default_factory=list)
    weights: ChunkRing = field(init=False)
    _matrix_banks: int = field(init=False)
    _depthwise: Ring | None = None
    _parameter_next: int = 0
    _bank_next: int = 0

    def __post_init__(self) -> None:
        config = self.config
        self.weights = ChunkRing(start=0, words=config.weight_words, wraps=True)
        self._matrix_banks = config.accumulator_banks
        has_room = config.accumulator_banks > 2 and config.accumulator_bank_words > 1
        if self.has_depthwise and has_room:
            self._matrix_banks -= 1
            first = self._matrix_banks * config.accumulator_bank_words
            self._depthwise = Ring(start=first, words=config.accumulator_bank_words)

    @property
    def matrix_words(self) -> int:
        """Accumulator words that a tile may take while the one before drains."""
        return self._matrix_banks // 2 * self.config.accumulator_bank_words

    @property
    def depthwise_words(self) -> int:
        """The same of the depthwise unit."""
        return self.config.accumulator_bank_words // (2 if self._depthwise else 1)

    def emit(self, instruction: Instruction) -> None:
        """Append one instruction."""
        self.tasks.append(Task(instruction, self.layer))

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
        assert banks <= self._matrix_banks
        if self._bank_next + banks > self._matrix_banks:
            self._bank_next = 0
        start = self._bank_next * bank_words
        self._bank_next += banks
        return start

    def take_depthwise(self, words: int) -> int:
        """Return the first of `words` accumulator words for the depthwise unit."""
        return self._depthwise.take(words) if self._depthwise else self.take_accumulators(words)
