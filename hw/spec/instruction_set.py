"""The instruction set as one table.

Encoder, decoders (Python and Amaranth), assembler, manual, C header, ISS dispatch and the random
program generator are derived from it. docs/architecture.md gives the semantics in prose.
"""

from collections.abc import Mapping
from functools import cache

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine, Instruction, Operation, Wait
from tilewright.hw.spec.operations.depthwise import Depthwise
from tilewright.hw.spec.operations.end import End
from tilewright.hw.spec.operations.matrix import Matrix
from tilewright.hw.spec.operations.transfer import Load, Store
from tilewright.hw.spec.operations.vector import Vector

OPERATIONS: tuple[Operation, ...] = (End, Load, Store, Matrix, Depthwise, Vector)
"""The table; an engine's operations are numbered in this order."""

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}
BY_OPCODE: Mapping[int, Operation] = {operation.opcode: operation for operation in OPERATIONS}


@cache
def operations(config: Config) -> tuple[Operation, ...]:
    """Return the operations that this config has: those of the depthwise unit need the unit."""
    has_unit = config.depthwise_taps > 0
    return tuple(o for o in BY_NAME.values() if has_unit or o.engine != Engine.DEPTHWISE)


def instruction(operation: str, waits: tuple[Wait, ...] = (), **fields: int) -> Instruction:
    """Build an instruction of that name; fields that are not given are 0."""
    return BY_NAME[operation].of(fields, waits)
