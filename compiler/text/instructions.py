"""Tasks and programs: an instruction is an operation, what it waits for are its operands.

The result of an operation is its retirement. Its name numbers the instructions of an engine, so
that `%load_2` is what `LOAD:2` is in assembly. Fields that are 0 are not printed.
"""

from collections.abc import Iterator, Sequence

from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.text.mlir import Operation, Value
from tilewright.hw.spec.isa import Engine, Instruction

RETIREMENT = "!tw.retirement"


def task_operations(tasks: Sequence[Task]) -> Iterator[Operation]:
    """Yield the operation of each task, in the order given.

    What a task waits for must stand before it.
    """
    retired: dict[Engine, list[Value]] = {engine: [] for engine in Engine}
    for task in tasks:
        instruction = task.instruction
        engine = instruction.engine
        assert engine is not None
        number = len(retired[engine]) + 1
        result = Value(name=f"{engine.name.lower()}_{number}", type=RETIREMENT)
        yield Operation(
            name=f"tw.{instruction.name.lower()}",
            operands=tuple(retired[w.engine][w.count - 1] for w in instruction.waits),
            results=(result,),
            attributes={"layer": task.layer, **_fields(instruction)},
        )
        retired[engine].append(result)


def _fields(instruction: Instruction) -> dict[str, object]:
    """The fields that are not 0; enumerated ones by name."""
    found: dict[str, object] = {}
    if instruction.element_type:
        found["element_type"] = instruction.element_type
    for row in instruction.fields:
        value = getattr(instruction, row.name)
        if value:
            found[row.name] = value
    return found
