"""Instructions read back from their text encode to the same words."""

import pytest
from random_graphs import GraphMaker
from reading import attributes_of, name_of, operations, parse

from tilewright.compiler.compile import lower
from tilewright.compiler.text.instructions import task_operations
from tilewright.compiler.text.mlir import Operation, Printer
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.instruction_set import BY_NAME, instruction
from tilewright.hw.spec.isa import Engine, Instruction, Wait


def read_instructions(text: str) -> list[tuple[int, Instruction]]:
    """Return (layer, instruction) of every operation of a text; waits are its operands."""
    numbers: dict[object, Wait] = {}
    sent = dict.fromkeys(Engine, 0)
    found = []
    for operation in operations(parse(text)):
        row = BY_NAME[name_of(operation).removeprefix("tw.").upper()]
        waits = tuple(numbers[operand] for operand in operation.operands)
        given = attributes_of(operation)
        layer = given.pop("layer")
        by_name = {field.name: field.values for field in row.fields}
        values = {
            name: by_name[name][value] if isinstance(value, str) else value
            for name, value in given.items()
        }
        found.append((layer, instruction(row.name, waits, **values)))
        sent[row.engine] += 1
        numbers[operation.results[0]] = Wait(engine=row.engine, count=sent[row.engine])
    return found


@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_program_reads_back_to_the_same_words(preset):
    config = PRESETS[preset]
    make = GraphMaker(5, (9, 8, 8))
    stem = make.conv(make.input, 12, (3, 3), pads=(1, 1, 1, 1), table=True)
    deep = make.conv(stem, 12, (3, 3), pads=(1, 1, 1, 1), groups=12)
    joined = make.conv(deep, 12, residual=stem)
    tasks = lower(make.graph(make.pool(joined, "max", (2, 2))), config).tasks
    text = Printer().text(Operation(name="builtin.module", body=tuple(task_operations(tasks))))
    found = read_instructions(text)
    assert any(task.instruction.waits for task in tasks)
    assert [layer for layer, _ in found] == [task.layer for task in tasks]
    words = [encode(task.instruction, config) for task in tasks]
    assert [encode(instruction, config) for _, instruction in found] == words
