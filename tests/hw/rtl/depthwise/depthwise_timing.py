"""The cycles of a DEPTHWISE program, word by word, from the rules in hw/spec/cycles.py."""

from dataclasses import dataclass

from depthwise_model import COUNTS


@dataclass
class Word:
    """What matters of one step of the loops."""

    first_of_instruction: bool = False
    first_of_block: bool = False
    reads: bool = False
    result: bool = False
    accumulates: bool = False
    writes: bool = False
    retires: bool = False


def words_of(fields, config):
    """Return the words of an instruction in order."""
    if any(fields[name] == 0 for name in COUNTS):
        return [Word(first_of_instruction=True, result=True, retires=True)]
    words = []
    step = max(fields["stride_x"], 1)
    for _ in range(fields["blocks"]):
        for y in range(fields["out_height"]):
            for p in range((fields["out_width"] - 1) * step + fields["kernel_width"]):
                for ky in range(fields["kernel_height"]):
                    iy = fields["origin_y"] + y * fields["stride_y"] + ky * fields["dilation_y"]
                    ix = fields["origin_x"] + p
                    x, rest = divmod(p - fields["kernel_width"] + 1, step)
                    result = ky == fields["kernel_height"] - 1 and x >= 0 and rest == 0
                    words.append(Word(
                        first_of_instruction=not words,
                        first_of_block=y == p == ky == 0,
                        reads=0 <= iy < fields["height"] and 0 <= ix < fields["width"],
                        result=result,
                        accumulates=result and bool(fields["accumulate"]),
                        writes=result,
                    ))  # fmt: skip
        assert words[-1].result
    words[-1].retires = True
    return words


class Timing:
    """Predicts the cycles of acceptances, writes and retirements.

    granted(port, cycle): the port is not refused. Names are those of the rules.
    """

    def __init__(self, config, granted):
        self.config, self.granted = config, granted
        self.registers = config.path_registers
        self.accepted, self.retired, self.written = [], [], []
        self.turn = self.read = self.read_before = self.read_earliest = -1
        self.word = self.word_before = self.enter = self.product = self.sum = self.leave = (
            self.write
        ) = -1
        self.latch_free = 0

    def grant(self, port, cycle):
        """The first cycle from `cycle` on in which the port is granted."""
        while not self.granted(port, cycle):
            cycle += 1
        return cycle

    def take(self, port, reads, granted, free):
        """When the data of a read granted in a cycle is taken, from cycle `free` on."""
        while reads and granted + 1 < free:
            granted = self.grant(port, granted + 2)
        return max(granted + 1, free)

    def run(self, fields, offer):
        """Add an instruction that is offered from cycle `offer` on."""
        accept = max(offer, self.turn + self.registers)
        self.accepted.append(accept)
        for word in words_of(fields, self.config):
            turn = max(self.turn + 1, self.read_earliest + 1, accept + 1)
            if word.first_of_block:
                cycle = max(self.latch_free + self.registers, offer + 2 * self.registers)
                for _ in range(self.config.depthwise_words):
                    cycle = self.grant("parameter_read", cycle) + 1
                turn = max(turn, cycle, self.turn + 1 + self.registers)
            self.advance(word, turn)

    def advance(self, word, turn):
        """One word behind the loops."""
        read = max(turn + 2, self.read + 1, self.enter)
        read = self.grant("activation_read", read) if word.reads else read
        if self.registers:
            free = 1 + (self.word if word.first_of_block else self.word_before)
            enter = self.take("activation_read", word.reads, read, free)
            leaves = max(enter + 1, self.product)
            if leaves != self.product:
                leaves = max(leaves, self.sum)
            self.word_before, self.word = self.word, leaves
            product = max(self.word + 1, self.sum)
        else:
            enter = self.take("activation_read", word.reads, read, self.product)
            product = max(enter + 1, self.sum)
        total = max(product + 1, self.leave)
        if word.accumulates:
            total = self.grant("accumulator_read", total)
        self.turn = turn
        self.read_earliest, self.read_before, self.read = self.read_before, self.read, read
        self.enter, self.product, self.sum = enter, product, total
        if word.first_of_block:
            self.latch_free = enter + 1
        if word.result:
            self.leave = self.take("accumulator_read", word.accumulates, total, self.write)
            self.write = self.leave + 1
            if word.writes:
                self.write = self.grant("accumulator_write", self.write)
                self.written.append(self.write)
            if word.retires:
                self.retired.append(self.write)
