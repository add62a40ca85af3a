"""Decodes and encodes the instructions of a whole program at once, field by field."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import common_values, decode, encode, layout, packing
from tilewright.hw.spec.instruction_set import operations
from tilewright.hw.spec.isa import (
    INSTRUCTION_BYTES,
    NUM_WAITS,
    ElementType,
    Engine,
    Instruction,
    Operation,
    Wait,
)


def decode_program(data: bytes, config: Config) -> tuple[Instruction, ...]:
    """Decode each 64 bytes, as `encoding.decode` does. Raises IllegalInstruction."""
    words = np.frombuffer(data, np.uint8).reshape(-1, INSTRUCTION_BYTES)
    found: dict[int, Instruction] = {}
    for operation in operations(config):
        places = np.flatnonzero(words[:, 0] == operation.opcode)
        legal, columns = _columns(operation, words[places], config)
        instructions = _instructions(operation, columns, int(legal.sum()))
        found.update(zip(places[legal].tolist(), instructions, strict=True))
    for number in range(len(words)):
        if number not in found:
            start = number * INSTRUCTION_BYTES
            found[number] = decode(data[start : start + INSTRUCTION_BYTES], config)
    return tuple(found[number] for number in range(len(words)))


def _columns(
    operation: Operation, words: NDArray[np.uint8], config: Config
) -> tuple[NDArray[np.bool_], dict[str, list[int]]]:
    """Return which words (count, 64) are legal, and of those the values of every field."""
    rows = layout(operation, config)
    padded = np.pad(words, ((0, 0), (0, 8)))
    _, position, bits = rows[-1]
    end = position + bits
    legal = ~words[:, -(-end // 8) :].any(axis=1) & (_bits(padded, end, -end % 8) == 0)
    columns = {}
    for field, position, bits in rows:
        column = _bits(padded, position, bits)
        if field.signed:
            column -= column >> (bits - 1) << bits
        values = operation.legal(field)
        if values is not None:
            legal &= np.isin(column, list(values))
        columns[field.name] = column
    return legal, {name: column[legal].tolist() for name, column in columns.items()}


def _bits(padded: NDArray[np.uint8], position: int, bits: int) -> NDArray[np.int64]:
    """Return an unsigned field of at most 56 bits of every word."""
    first = position // 8
    column = np.ascontiguousarray(padded[:, first : first + 8]).view("<i8").reshape(-1)
    column = column >> (position % 8)
    return column & ((1 << bits) - 1)


def _instructions(
    operation: Operation, columns: dict[str, list[int]], count: int
) -> Iterator[Instruction]:
    """Yield the instructions whose fields, the common ones included, are these columns."""
    names = [field.name for field in operation.fields]
    columns = operation.with_members(columns)
    waits = _waits(columns, count)
    named = {int(element_type): element_type for element_type in ElementType}
    types = [named[value] for value in columns["element_type"]]
    rows = zip(*(columns[name] for name in names), strict=True) if names else iter([()] * count)
    for values, of, element_type in zip(rows, waits, types, strict=True):
        yield operation.made(dict(zip(names, values, strict=True)), of, element_type)


def _waits(columns: dict[str, list[int]], count: int) -> list[tuple[Wait, ...]]:
    """Return each instruction's waits without the empty slots behind the last used one."""
    known: dict[tuple[int, int], Wait] = {}
    engines = tuple(Engine)
    waits: list[tuple[Wait, ...]] = [()] * count
    for slot in reversed(range(NUM_WAITS)):
        pairs = zip(columns[f"wait{slot}_engine"], columns[f"wait{slot}_count"], strict=True)
        for place, pair in enumerate(pairs):
            if pair == (0, 0) and not waits[place]:
                continue
            if pair not in known:
                known[pair] = Wait(engine=engines[pair[0]], count=pair[1])
            waits[place] = (known[pair], *waits[place])
    return waits


def encode_program(instructions: Sequence[Instruction], config: Config) -> bytes:
    """Encode instructions one behind the other. Raises ProgramError, as `encoding.encode` does."""
    words = np.zeros((len(instructions), INSTRUCTION_BYTES // 8), "<u8")
    places: dict[Operation, list[int]] = {}
    for place, instruction in enumerate(instructions):
        places.setdefault(type(instruction), []).append(place)
    for operation, numbers in places.items():
        rows = [instructions[number] for number in numbers]
        if not _pack(operation, rows, config, words, np.array(numbers)):
            return b"".join(encode(instruction, config) for instruction in instructions)
    return words.tobytes()


def representatives(instructions: Sequence[Instruction]) -> list[Instruction]:
    """Return some instructions that can be encoded only if all can, but for their waits.

    One of each shape, and those with the extremes of the other fields.
    """
    found = list({instruction.shape: instruction for instruction in instructions}.values())
    for rows in _by_operation(instructions).values():
        for values in zip(*(row.base_values() for row in rows), strict=True):
            found += [rows[values.index(min(values))], rows[values.index(max(values))]]
    return found


def _by_operation(instructions: Sequence[Instruction]) -> dict[Operation, list[Instruction]]:
    found: dict[Operation, list[Instruction]] = {}
    for instruction in instructions:
        found.setdefault(type(instruction), []).append(instruction)
    return found


def _pack(
    operation: Operation,
    instructions: Sequence[Instruction],
    config: Config,
    words: NDArray[np.uint64],
    places: NDArray[np.int64],
) -> bool:
    """Put an operation's instructions into their words; False: a value does not fit."""
    if any(len(instruction.waits) > NUM_WAITS for instruction in instructions):
        return False
    values = [(*common_values(i).values(), *i.field_values()) for i in instructions]
    try:
        table = np.fromiter(chain.from_iterable(values), np.int64)
    except OverflowError:
        return False
    columns = np.ascontiguousarray(table.reshape(len(values), -1).T)
    for column, row in zip(columns, packing(operation, config), strict=True):
        if column.min() < row.low or column.max() > row.high:
            return False
        if row.legal is not None and not np.isin(column, list(row.legal)).all():
            return False
        word, shift = divmod(row.position, 64)
        value = (column & row.mask).astype(np.uint64)
        words[places, word] |= value << np.uint64(shift)
        if shift and row.mask << shift >> 64:
            words[places, word + 1] |= value >> np.uint64(64 - shift)
    return True
