"""Instruction words: 64 bytes, little endian, fields packed from bit 0 in table order."""

from functools import lru_cache
from typing import NamedTuple

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import BY_OPCODE, operations
from tilewright.hw.spec.isa import COMMON_FIELDS, Engine, Instruction, Operation, Wait
from tilewright.support.errors import ProgramError


class IllegalInstruction(ProgramError):  # noqa: N818
    """A word that is no instruction of this config."""


@isa.remembered
def layout(operation: Operation, config: Config) -> tuple[tuple[isa.Field, int, int], ...]:
    """Return (field, first bit, bits) for the common fields and then the operation's own."""
    rows, position = [], 0
    for field in (*COMMON_FIELDS, *operation.fields):
        bits = field.bits(config)
        rows.append((field, position, bits))
        position += bits
    assert position <= isa.INSTRUCTION_BITS, f"{operation.name} needs {position} bits"
    return tuple(rows)


@lru_cache
def used_bits(config: Config) -> int:
    """Return the bits of a word up to the last one that some operation has a field in."""
    ends = []
    for operation in operations(config):
        _, first, bits = layout(operation, config)[-1]
        ends.append(first + bits)
    return max(ends)


def common_values(instruction: Instruction) -> dict[str, int]:
    """Return the values of the common fields."""
    values = {
        "opcode": instruction.opcode,
        "element_type": int(instruction.element_type),
    }
    for slot in range(isa.NUM_WAITS):
        used = slot < len(instruction.waits)
        values[f"wait{slot}_engine"] = int(instruction.waits[slot].engine) if used else 0
        values[f"wait{slot}_count"] = instruction.waits[slot].count if used else 0
    return values


def encode(instruction: Instruction, config: Config) -> bytes:
    """Return the 64 bytes of an instruction. Raises ProgramError for a value that does not fit."""
    if len(instruction.waits) > isa.NUM_WAITS:
        raise ProgramError(
            f"{instruction.name}: at most {isa.NUM_WAITS} waits, got {len(instruction.waits)}"
        )
    values = (*common_values(instruction).values(), *instruction.field_values())
    word = 0
    for value, row in zip(values, packing(type(instruction), config), strict=True):
        name, position, mask, low, high, legal = row
        if not low <= value <= high or (legal is not None and value not in legal):
            allowed = f"{low} to {high}" if legal is None else _one_of(legal)
            raise ProgramError(f"{instruction.name}.{name} must be {allowed}, got {value}")
        word |= (value & mask) << position
    return word.to_bytes(isa.INSTRUCTION_BYTES, "little")


class Packing(NamedTuple):
    """Where a field's value goes, and which ones there are."""

    name: str
    position: int
    mask: int
    low: int
    high: int
    legal: frozenset[int] | None


@isa.remembered
def packing(operation: Operation, config: Config) -> tuple[Packing, ...]:
    """Return how the common fields and then the operation's own are packed. Raises ProgramError."""
    if operation not in operations(config):
        raise ProgramError(
            f"{operation.name} needs depthwise_taps of 1 or 3, which rows <= cols allows, got 0"
        )
    return tuple(
        Packing(
            field.name,
            position,
            (1 << bits) - 1,
            *field_range(field, config),
            operation.legal(field),
        )
        for field, position, bits in layout(operation, config)
    )


def _one_of(values: frozenset[int]) -> str:
    """Return the text of the legal values: a range, or each of them."""
    numbers = sorted(values)
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return " or ".join(str(number) for number in numbers)


def field_range(field: isa.Field, config: Config) -> tuple[int, int]:
    """Return the smallest and largest value of a field in this config."""
    bits = field.bits(config)
    if field.signed:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if field.values is not None:
        return min(field.values), max(field.values)
    return 0, (1 << bits) - 1


@lru_cache(maxsize=1 << 12)
def decode(data: bytes, config: Config) -> Instruction:
    """Decode 64 bytes. Raises IllegalInstruction exactly where the hardware faults.

    The words of small programs are remembered, which run again and again.
    """
    word = int.from_bytes(data, "little")
    operation = BY_OPCODE.get(word & 0xFF)
    if operation not in operations(config):
        raise IllegalInstruction(f"unknown opcode {word & 0xFF:#04x}")
    assert operation is not None
    values: list[int] = []
    rows, names, end = _unpacking(operation, config)
    for name, position, mask, sign, legal in rows:
        value = (word >> position) & mask
        if value & sign:
            value -= mask + 1
        if legal is not None and value not in legal:
            raise IllegalInstruction(f"{operation.name}.{name} has no value {value}")
        values.append(value)
    if word >> end:
        raise IllegalInstruction(f"{operation.name}: reserved bits are not zero")
    _, element_type, *slots = values[: len(isa.COMMON_FIELDS)]
    own = values[len(isa.COMMON_FIELDS) :]
    fields = dict(zip(names, own, strict=True))
    return operation.of(fields, _waits(slots), isa.ElementType(element_type))


@isa.remembered
def _unpacking(
    operation: Operation, config: Config
) -> tuple[tuple[tuple[str, int, int, int, frozenset[int] | None], ...], tuple[str, ...], int]:
    """Return (name, first bit, mask, sign bit, legal values) by field, its own names, the end."""
    rows = layout(operation, config)
    _, position, bits = rows[-1]
    fields = tuple(
        (
            field.name,
            position,
            (1 << bits) - 1,
            1 << (bits - 1) if field.signed else 0,
            operation.legal(field),
        )
        for field, position, bits in rows
    )
    return fields, tuple(field.name for field in operation.fields), position + bits


def _waits(slots: list[int]) -> tuple[Wait, ...]:
    """Return the waits of (engine, count, engine, count, ...) up to the last slot that is used."""
    while slots and slots[-2] == Engine.LOAD and slots[-1] == 0:
        slots = slots[:-2]
    pairs = zip(slots[::2], slots[1::2], strict=True)
    return tuple(Wait(engine=Engine(engine), count=count) for engine, count in pairs)
