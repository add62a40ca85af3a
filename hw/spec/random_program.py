"""Random race-free programs, derived from the instruction table, that exercise every engine.

The same seed gives the same program. First come loads that define the words the program uses, then
random instructions with the waits they need, then END. On request one fault is built in.
"""

import dataclasses
import enum
import random

import numpy as np

from tilewright.hw.spec import instruction_set, isa
from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import encode, layout
from tilewright.hw.spec.instruction_set import BY_NAME, BY_OPCODE, instruction
from tilewright.hw.spec.isa import (
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    Engine,
    Instruction,
    Target,
    Wait,
)
from tilewright.hw.spec.layout import ByteArray
from tilewright.hw.spec.loops import Space, num_words, word_pitch
from tilewright.hw.spec.parameters import block_words, pack_words, table_words
from tilewright.hw.spec.program import Program, Symbol
from tilewright.hw.spec.random_instruction import Pool, random_instruction, zero_instruction
from tilewright.hw.spec.random_waits import WaitChooser

ODD_SCALES = (
    0.0,
    -0.0,
    -0.75,
    float("inf"),
    float("nan"),
    1e-30,
    2.0**-64,
    2.0**63,
    2.0**64,
    1e-42,
)


class InjectedFault(enum.Enum):
    """The one mistake a random program may hold."""

    OPCODE = "opcode"
    FIELD = "field"
    RESERVED = "reserved"
    WAIT = "wait"
    RANGE = "range"
    BUS = "bus"


def random_program(
    config: Config,
    seed: int,
    *,
    num_instructions: int = 24,
    operations: tuple[str, ...] | None = None,
    fault: InjectedFault | None = None,
    pool_words: int = 120,
) -> Program:
    """Return a random program of about `num_instructions` behind its initial loads.

    `operations` limits what comes behind those loads (None: all that the config has);
    `pool_words` is the size of each initialised piece of activation SRAM. With `fault`, one
    instruction in the middle is wrong; the simulator tells which cause and index it gives.
    """
    if operations is None:
        operations = tuple(
            o.name for o in instruction_set.operations(config) if o.engine is not None
        )
    return _Generator(config, seed, operations, pool_words).generate(num_instructions, fault)


class _Generator:
    def __init__(
        self, config: Config, seed: int, operations: tuple[str, ...], pool_words: int
    ) -> None:
        self.config = config
        self.seed = seed
        self.rng = random.Random(f"{config.digest} {seed}")
        self.names = operations
        self.pool = Pool(config)
        self.waits = WaitChooser(self.rng)
        self.program: list[Instruction] = []
        self.parameters = self._random_parameters()
        self._place(pool_words)

    def _place(self, pool_words: int) -> None:
        """Choose where data, parameters and program lie in DRAM and which words are initialised."""
        config, rng = self.config, self.rng
        words = config.activation_words
        size = min(pool_words, words // 4)
        middle = config.activation_bank_words * rng.randint(1, config.activation_banks)
        self.pieces = {0: size, words - size: size}
        if size < middle - size // 2 < words - 2 * size:
            self.pieces[middle - size // 2] = size
        self.ring_words = min(5 * config.rows + 3, config.weight_words)
        self.ring_start = rng.choice((0, config.weight_words - rng.randrange(self.ring_words)))
        self.parameter_start = rng.choice((0, config.parameter_words - len(self.parameters)))
        shift = self.parameter_start
        for blocks in (self.pool.blocks, self.pool.unit_blocks):
            blocks[:] = [(shift + word, groups, deep) for word, groups, deep in blocks]
        self.pool.tables = [shift + word for word in self.pool.tables]
        parameter_bytes = len(self.parameters) * config.parameter_pitch
        pitch = max(config.activation_pitch, config.weight_pitch)
        needed = parameter_bytes + pitch * (3 * size + self.ring_words) + (1 << 15)
        self.memory_bytes = 1 << max(16, needed.bit_length())
        self.parameter_area = self.memory_bytes // 2
        self.pool.parameter_address = self.parameter_area - shift * config.parameter_pitch
        scratch = self.parameter_area + parameter_bytes
        self.pool.data = (0, self.memory_bytes)
        self.pool.scratch = (-(-scratch // 4096) * 4096, self.memory_bytes)

    def _random_parameters(self) -> ByteArray:
        """Return parameter words: blocks of random headers and lane groups, and two tables.

        The last two blocks are unit blocks.
        """
        config, rng = self.config, self.rng
        free = config.parameter_words - config.table_words
        words: list[ByteArray] = []
        count = 0
        for number in range(6):
            groups = rng.choice((1, 4, 8))
            if count + config.header_words + groups > free:
                groups = 1
            if count + config.header_words + groups <= free:
                deep = bool(number % 2)
                blocks = self.pool.blocks if number < 4 else self.pool.unit_blocks
                blocks.append((count, groups, deep))
                bias, scale = self._random_channels(groups * config.lanes, deep=deep)
                header = self._random_header()
                if number >= 4:
                    header["first_zero_point"] = min(header["first_zero_point"], 126)
                    header["low"] = header["high"] = header["first_zero_point"] + 1
                words.append(block_words(header, bias, scale, config))
                count += len(words[-1])
        for _ in range(2):
            if count + config.table_words <= config.parameter_words:
                self.pool.tables.append(count)
                table = np.frombuffer(rng.randbytes(256), np.int8)
                words.append(table_words(table, config))
                count += config.table_words
        return np.concatenate(words)

    def _random_header(self) -> dict[str, int | float]:
        rng = self.rng
        header: dict[str, int | float] = {
            name: rng.choice((0, rng.randint(-128, 127)))
            for name in ("zero_point", "first_zero_point", "second_zero_point",
                         "combine_zero_point")
        }  # fmt: skip
        for low, high in (("low", "high"), ("combine_low", "combine_high")):
            bounds = sorted((rng.randint(-128, 127), rng.randint(-128, 127)))
            header[low], header[high] = rng.choice(((-128, 127), (-128, 127), (-128, 127), bounds))
            if rng.random() < 0.05:
                header[low], header[high] = header[high], header[low]
        header["first_ratio"] = self._random_scale(-7, 1)
        header["second_ratio"] = self._random_scale(-7, 1)
        return header

    def _random_scale(self, low: int, high: int) -> float:
        if self.rng.random() < 0.06:
            return self.rng.choice(ODD_SCALES)
        sign = -1 if self.rng.random() < 0.05 else 1
        scale = 2.0 ** self.rng.uniform(low, high)
        return sign * (
            2.0 ** round(self.rng.uniform(low, high)) if self.rng.random() < 0.2 else scale
        )

    def _random_channels(self, channels: int, *, deep: bool) -> tuple[list[int], list[float]]:
        """Return biases and scales that suit sums over `rows` products, or single activations."""
        rng = self.rng
        bits = 13 + self.config.rows.bit_length() // 2 if deep else 6
        bias = [
            rng.randint(-1, 1) * rng.randrange(1 << rng.randint(0, bits)) for _ in range(channels)
        ]
        for channel in range(channels):
            if rng.random() < 0.03:
                bias[channel] = rng.choice((-(2**31), 2**31 - 1, rng.randint(-(2**31), 2**31 - 1)))
        return bias, [self._random_scale(4 - bits, 7 - bits) for _ in range(channels)]

    def generate(self, num_instructions: int, fault: InjectedFault | None) -> Program:
        """Return the program."""
        self._initial_loads()
        position = len(self.program) + self.rng.randrange(max(1, num_instructions))
        last = len(self.program) + num_instructions
        patch: InjectedFault | None = None
        faulty = -1
        while len(self.program) < last or (fault is not None and faulty < 0):
            operation = self.rng.choice(self.names)
            candidate = random_instruction(operation, self.pool, self.rng)
            if fault is not None and faulty < 0 and len(self.program) >= position:
                candidate = self._spoil(fault, operation)
                patch, faulty = fault, len(self.program)
            self._append(candidate, plain=faulty >= 0)
            if faulty == len(self.program) - 1 and fault == InjectedFault.WAIT:
                self.program[faulty] = self._with_future_wait(self.program[faulty])
        self.program.append(instruction("END"))
        return self._finish(patch, faulty)

    def _append(self, candidate: Instruction, *, plain: bool = False) -> None:
        """Choose waits and dispatch; sometimes an empty instruction in front does the waiting."""
        touched = accesses(candidate, self.config)
        waits = self.waits.choose(candidate, touched)
        if waits and not plain and self.rng.random() < 0.1:
            gate = zero_instruction(candidate.name, self.config, self.rng)
            gate = dataclasses.replace(gate, waits=waits)
            self.waits.send(gate, accesses(gate, self.config))
            self.program.append(gate)
            waits = ()
        chosen = dataclasses.replace(candidate, waits=waits)
        self.waits.send(chosen, touched)
        if not touched.out_of_range:
            self.pool.note(touched)
        self.program.append(chosen)

    def _initial_loads(self) -> None:
        """Define activation pieces, the weight ring's piece and the parameters."""
        config = self.config
        loads = [
            self._initial_load(Target.ACTIVATION, Space.ACTIVATION, start, words)
            for start, words in sorted(self.pieces.items())
        ]
        ring = self.ring_start % config.weight_words
        loads.append(self._initial_load(Target.WEIGHT, Space.WEIGHT, ring, self.ring_words))
        loads.append(
            instruction(
                "LOAD", target=Target.PARAMETER, sram_address=self.parameter_start,
                run=len(self.parameters), count0=1, count1=1, count2=1,
                dram_address=self.parameter_area,
            )
        )  # fmt: skip
        self.rng.shuffle(loads)
        for load in loads:
            self._append(load, plain=True)

    def _initial_load(self, target: Target, space: Space, start: int, words: int) -> Instruction:
        pitch = word_pitch(space, self.config)
        last = (self.parameter_area - words * pitch) // pitch
        return instruction(
            "LOAD", target=target, sram_address=start, run=words, count0=1, count1=1, count2=1,
            dram_address=self.rng.randint(0, last) * pitch,
        )  # fmt: skip

    def _spoil(self, fault: InjectedFault, operation: str) -> Instruction:
        """Return a legal instruction, or one that leaves an SRAM or the DRAM."""
        if fault == InjectedFault.BUS:
            operation = self.rng.choice([o for o in self.names if o in ("LOAD", "STORE")])
        while True:
            candidate = random_instruction(operation, self.pool, self.rng)
            if fault not in (InjectedFault.RANGE, InjectedFault.BUS):
                return candidate
            fields = candidate.values()
            if fault == InjectedFault.BUS:
                fields["dram_address"] = self.memory_bytes + self.rng.randrange(64) * 4096
            else:
                self._leave_sram(operation, fields)
            spoiled = type(candidate).of(fields, candidate.waits, candidate.element_type)
            touched = accesses(spoiled, self.config)
            leaves = bool(touched.writes) if fault == InjectedFault.BUS else touched.out_of_range
            if leaves and touched.out_of_range == (fault == InjectedFault.RANGE):
                return spoiled

    def _leave_sram(self, operation: str, fields: dict[str, int]) -> None:
        """Move one address, or a lane group, towards or over the end."""
        names = [field.name for field in BY_NAME[operation].fields if _places(field)]
        name = self.rng.choice(names)
        field = next(f for f in BY_NAME[operation].fields if f.name == name)
        highest = (1 << field.bits(self.config)) - 1
        ends = [num_words(space, self.config) for space in Space if space != Space.DRAM]
        near = self.rng.choice(ends) - self.rng.randint(0, 6)
        fields[name] = min(highest, max(0, self.rng.choice((near, near, highest))))

    def _with_future_wait(self, candidate: Instruction) -> Instruction:
        """Add a wait for more than was sent to an engine, the instruction itself excluded."""
        engine = self.rng.choice(tuple(Engine))
        sent = self.waits.count[engine] - (engine == candidate.engine)
        count = sent + self.rng.choice((1, 1, 2, 1000))
        waits = [*candidate.waits[: isa.NUM_WAITS - 1], Wait(engine=engine, count=count)]
        self.rng.shuffle(waits)
        return dataclasses.replace(candidate, waits=tuple(waits))

    def _finish(self, patch: InjectedFault | None, faulty: int) -> Program:
        words = [encode(i, self.config) for i in self.program]
        if patch in (InjectedFault.OPCODE, InjectedFault.FIELD, InjectedFault.RESERVED):
            assert patch is not None
            words[faulty] = self._damage(words[faulty], self.program[faulty].name, patch)
        code = b"".join(words)
        last = (self.parameter_area - len(code)) // INSTRUCTION_BYTES
        address = INSTRUCTION_BYTES * self.rng.choice((0, last, self.rng.randint(0, last)))
        assert address + len(code) <= self.parameter_area
        image = bytearray(self.rng.randbytes(self.memory_bytes))
        area = pack_words(self.parameters, self.config)
        image[self.parameter_area : self.parameter_area + len(area)] = area
        image[address : address + len(code)] = code
        return Program(
            config=self.config,
            image=bytes(image),
            memory_bytes=self.memory_bytes,
            program_address=address,
            num_instructions=len(words),
            symbols=(
                Symbol(name="program", kind="program", address=address, size_bytes=len(code)),
            ),
            metadata={
                "seed": self.seed,
                "fault": None if patch is None else patch.value,
                "fault_instruction": faulty,
            },
        )

    def _damage(self, word: bytes, operation: str, kind: InjectedFault) -> bytes:
        """Return the word with an unknown opcode, an illegal field value or a reserved bit set."""
        value = int.from_bytes(word, "little")
        rows = layout(BY_NAME[operation], self.config)
        if kind == InjectedFault.OPCODE:
            unknown = [code for code in range(256) if code not in BY_OPCODE]
            value = value >> 8 << 8 | self.rng.choice(unknown)
        elif kind == InjectedFault.RESERVED:
            end = rows[-1][1] + rows[-1][2]
            value |= 1 << self.rng.randrange(end, INSTRUCTION_BITS)
        else:
            choices = [
                (position, bits, illegal)
                for field, position, bits in rows
                if field.values is not None
                for illegal in range(1 << bits)
                if illegal not in set(field.values)
            ]
            position, bits, illegal = self.rng.choice(choices)
            value = value & ~(((1 << bits) - 1) << position) | illegal << position
        return value.to_bytes(INSTRUCTION_BYTES, "little")


def _places(field: isa.Field) -> bool:
    """Tell whether a field is an address, or the lane group at which something starts."""
    is_address = field.width in ("source", "target", *(space.name.lower() for space in Space))
    is_step = field.name.rstrip("012").endswith(("_stride", "_pitch"))
    return (is_address and not is_step) or field.name.endswith("_group")
