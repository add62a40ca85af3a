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
        self.enter = self.product = self.sum = self.sum_read = self.leave = self.total = -1
        self.write = -1
        self.full = set()
        self.latch_free = 0

    def grant(self, port, cycle):
        """The first cycle from `cycle` on in which the port is granted."""
        while not self.granted(port, cycle):
            cycle += 1
        return cycle

    def take(self, port, reads, granted, taken):
        """When the data of a read granted in a cycle is taken: from a cycle on as `taken` says."""
        while reads and taken(granted + 1) != granted + 1:
            granted = self.grant(port, granted + 2)
        return taken(granted + 1)

    def moves(self, cycle):
        """The first cycle from `cycle` on in which the queue of results is not full."""
        while cycle in self.full:
            cycle += 1
        return cycle

    def run(self, fields, offer):
        """Add an instruction that is offered from cycle `offer` on."""
        accept = max(offer, self.turn) + self.registers
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
        enters = self.moves if self.registers else lambda cycle: max(cycle, self.product)
        enter = self.take("activation_read", word.reads, read, enters)
        self.turn = turn
        self.read_earliest, self.read_before, self.read = self.read_before, self.read, read
        self.enter = enter
        if word.first_of_block:
            self.latch_free = enter + 1
        if self.registers:
            self.multiply_and_add_in_stages(word)
        else:
            self.multiply_and_add(word)
        if word.result:
            self.write = self.total + 1
            if word.writes:
                self.write = self.grant("accumulator_write", self.write)
                self.written.append(self.write)
            if word.retires:
                self.retired.append(self.write)

    def multiply_and_add(self, word):
        self.product = max(self.enter + 1, self.sum)
        self.sum = max(self.product + 1, self.leave)
        if word.accumulates:
            self.sum = self.grant("accumulator_read", self.sum)
        if word.result:
            free = self.write
            self.leave = self.total = self.take(
                "accumulator_read", word.accumulates, self.sum, lambda cycle: max(cycle, free)
            )

    def multiply_and_add_in_stages(self, word):
        queue = self.enter
        for _ in ("word", "half", "product", "sum", "queue"):
            queue = self.moves(queue + 1)
        if word.result:
            self.full |= set(range(queue + 1, self.sum_read + 1))
            read = max(queue + 1, self.sum_read + 1, self.leave)
            if word.accumulates:
                read = self.grant("accumulator_read", read)
            free = self.total
            self.sum_read = read
            self.leave = self.take(
                "accumulator_read", word.accumulates, read, lambda cycle: max(cycle, free)
            )
            self.total = max(self.leave + 1, self.write)
