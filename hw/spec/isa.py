"""The instruction set as one table: engines, element types, formats, fields, opcodes.

Encoder, decoders (Python and Amaranth), assembler, manual, C header, ISS dispatch and the random
program generator are derived from `OPERATIONS`. docs/architecture.md gives the semantics in prose.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tilewright.hw.spec.config import Config

ISA_VERSION = 1
INSTRUCTION_BYTES = 64
INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES
NUM_WAITS = 4
RETIREMENT_BITS = 20
MAX_RETIREMENTS = (1 << RETIREMENT_BITS) - 1


class Engine(enum.IntEnum):
    """The in-order engines; the number is the one in wait slots and register addresses."""

    LOAD = 0
    MATRIX = 1
    DEPTHWISE = 2
    VECTOR = 3
    STORE = 4


class ElementType(enum.IntEnum):
    """Element types of a tensor instruction; only int8 exists in this version."""

    INT8 = 0


class Target(enum.IntEnum):
    """The SRAM a load writes."""

    ACTIVATION = 0
    WEIGHT = 1
    PARAMETER = 2


class Source(enum.IntEnum):
    """Where the vector unit's stage 1 reads."""

    ACTIVATION = 0
    ACCUMULATOR = 1


class Reduction(enum.IntEnum):
    """How the vector unit reduces a window."""

    SUM = 0
    MAX = 1


class Combine(enum.IntEnum):
    """The vector unit's stage 2."""

    NONE = 0
    ADD = 1
    MULTIPLY = 2


@dataclass(frozen=True, kw_only=True)
class Field:
    """One bit field. `width` is a number of bits, or the name of a config-derived width."""

    name: str
    width: int | str
    meaning: str
    unit: str = ""
    signed: bool = False
    values: type[enum.IntEnum] | None = None
    """Legal values where not every bit pattern is legal."""

    def bits(self, config: Config) -> int:
        """Return the field's width in bits for this config."""
        if isinstance(self.width, int):
            return self.width
        return address_widths(config)[self.width]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One opcode: a row of the instruction table."""

    name: str
    opcode: int
    engine: Engine | None
    """The engine that executes it; None: dispatch itself."""
    meaning: str
    fields: tuple[Field, ...]


@cache
def address_widths(config: Config) -> dict[str, int]:
    """Return the config-derived field widths: enough bits for a count of each SRAM's words."""
    activation = config.activation_words.bit_length()
    accumulator = config.accumulator_words.bit_length()
    weight = config.weight_words.bit_length()
    parameter = config.parameter_words.bit_length()
    return {
        "activation": activation,
        "accumulator": accumulator,
        "weight": weight,
        "parameter": parameter,
        "source": max(activation, accumulator),
        "target": max(activation, weight, parameter),
        "taps": max(config.depthwise_taps.bit_length(), 1),
    }


WAIT_FIELDS: tuple[Field, ...] = tuple(
    wait_field
    for slot in range(NUM_WAITS)
    for wait_field in (
        Field(name=f"wait{slot}_engine", width=3, values=Engine,
              meaning="engine whose retirements are awaited"),
        Field(name=f"wait{slot}_count", width=RETIREMENT_BITS, unit="instructions",
              meaning="retirements of that engine since the start; 0 waits for nothing"),
    )
)  # fmt: skip

COMMON_FIELDS: tuple[Field, ...] = (
    Field(name="opcode", width=8, meaning="operation"),
    Field(name="element_type", width=4, values=ElementType, meaning="element type of the tensors"),
    *WAIT_FIELDS,
)

_TRANSFER_FIELDS: tuple[Field, ...] = (
    Field(name="dram_address", width=32, unit="bytes",
          meaning="first word in DRAM, from the DRAM base; a multiple of the word pitch"),
    Field(name="sram_address", width="target", unit="words", meaning="first word in the SRAM"),
    Field(name="run", width=16, unit="words", meaning="contiguous words of the innermost run"),
    *(
        transfer_field
        for axis in range(3)
        for transfer_field in (
            Field(name=f"count{axis}", width=12, unit="runs",
                  meaning=f"repetitions along strided dimension {axis} (0 is the innermost)"),
            Field(name=f"dram_stride{axis}", width=32, unit="bytes",
                  meaning="DRAM step; a multiple of the word pitch"),
            Field(name=f"sram_stride{axis}", width="target", unit="words", meaning="SRAM step"),
        )
    ),
)  # fmt: skip

_WINDOW_FIELDS: tuple[Field, ...] = (
    Field(name="kernel_height", width=10, unit="pixels", meaning="window rows (ky loop)"),
    Field(name="kernel_width", width=10, unit="pixels", meaning="window columns (kx loop)"),
    Field(name="out_height", width=14, unit="pixels", meaning="output rows (y loop)"),
    Field(name="out_width", width=14, unit="pixels", meaning="output columns (x loop)"),
    Field(name="stride_y", width=8, unit="pixels", meaning="source step of an output row"),
    Field(name="stride_x", width=8, unit="pixels", meaning="source step of an output column"),
    Field(name="dilation_y", width=8, unit="pixels", meaning="source step of a window row"),
    Field(name="dilation_x", width=8, unit="pixels", meaning="source step of a window column"),
    Field(name="origin_y", width=14, unit="pixels", signed=True,
          meaning="source row of the first window's first row"),
    Field(name="origin_x", width=14, unit="pixels", signed=True,
          meaning="source column of the first window's first column"),
    Field(name="height", width=14, unit="pixels", meaning="rows of the source buffer"),
    Field(name="width", width=14, unit="pixels", meaning="columns of the source buffer"),
    Field(name="padding", width=8, signed=True,
          meaning="int8 value fed for source pixels outside the buffer"),
)  # fmt: skip

_DEPTHWISE_WINDOW = (
    "out_height", "out_width", "stride_y", "stride_x", "dilation_y", "origin_y", "origin_x",
    "height", "width", "padding",
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="END", opcode=0x01, engine=None, fields=(),
        meaning="ends the program: done once every engine has retired what was dispatched",
    ),
    Operation(
        name="LOAD", opcode=0x10, engine=Engine.LOAD,
        meaning="copies words from DRAM to an SRAM",
        fields=(
            Field(name="target", width=2, values=Target, meaning="SRAM that is written"),
            *_TRANSFER_FIELDS,
        ),
    ),
    Operation(
        name="STORE", opcode=0x11, engine=Engine.STORE,
        meaning="copies words from activation SRAM to DRAM",
        fields=_TRANSFER_FIELDS,
    ),
    Operation(
        name="MATRIX", opcode=0x20, engine=Engine.MATRIX,
        meaning="multiplies an activation tile with weight tiles into the accumulators",
        fields=(
            *_WINDOW_FIELDS,
            Field(name="out_blocks", width=10, unit="blocks",
                  meaning="output blocks of cols channels (outermost loop)"),
            Field(name="in_blocks", width=10, unit="blocks",
                  meaning="input blocks of rows channels"),
            Field(name="source", width="activation", unit="words",
                  meaning="activation word of block 0, pixel (0, 0)"),
            Field(name="source_out_stride", width="activation", unit="words",
                  meaning="activation step of an output block (0: dense)"),
            Field(name="source_in_stride", width="activation", unit="words",
                  meaning="activation step of an input block"),
            Field(name="source_pitch", width="activation", unit="words",
                  meaning="activation step of a source row"),
            Field(name="weights", width="weight", unit="words",
                  meaning="first word of the first weight tile; the tiles follow, rows words each"),
            Field(name="destination", width="accumulator", unit="words",
                  meaning="accumulator word of output block 0, first pixel"),
            Field(name="destination_stride", width="accumulator", unit="words",
                  meaning="accumulator step of an output block"),
            Field(name="accumulate", width=1,
                  meaning="1: add to what the accumulators hold; 0: the first tile overwrites"),
        ),
    ),
    Operation(
        name="DEPTHWISE", opcode=0x28, engine=Engine.DEPTHWISE,
        meaning="convolves every channel with weights of its own into the accumulators",
        fields=(
            Field(name="kernel_height", width=2, unit="pixels",
                  meaning="window rows (innermost loop), at most 3"),
            Field(name="kernel_width", width="taps", unit="pixels",
                  meaning="window columns, adjacent ones, at most depthwise_taps"),
            *(f for f in _WINDOW_FIELDS if f.name in _DEPTHWISE_WINDOW),
            Field(name="blocks", width=10, unit="blocks",
                  meaning="blocks of rows channels (outermost loop)"),
            Field(name="source", width="activation", unit="words",
                  meaning="activation word of block 0, pixel (0, 0)"),
            Field(name="source_stride", width="activation", unit="words",
                  meaning="activation step of a block"),
            Field(name="source_pitch", width="activation", unit="words",
                  meaning="activation step of a source row"),
            Field(name="weights", width="parameter", unit="words",
                  meaning="parameter word of the first block's weights; the blocks' follow it"),
            Field(name="destination", width="accumulator", unit="words",
                  meaning="accumulator word of block 0, first pixel"),
            Field(name="destination_stride", width="accumulator", unit="words",
                  meaning="accumulator step of a block"),
            Field(name="accumulate", width=1,
                  meaning="1: add to what the accumulators hold; 0: overwrite"),
        ),
    ),
    Operation(
        name="VECTOR", opcode=0x30, engine=Engine.VECTOR,
        meaning="requantizes, pools, combines or copies lane groups into activation SRAM",
        fields=(
            *_WINDOW_FIELDS,
            Field(name="groups", width=12, unit="lane groups",
                  meaning="lane groups (outermost loop)"),
            Field(name="source_kind", width=1, values=Source, meaning="SRAM that stage 1 reads"),
            Field(name="reduction", width=1, values=Reduction, meaning="how a window is reduced"),
            Field(name="combine", width=2, values=Combine, meaning="stage 2"),
            Field(name="use_table", width=1, meaning="1: stage 1's result goes through the table"),
            Field(name="uniform", width=1,
                  meaning="1: every lane group uses the first group's parameters"),
            Field(name="source", width="source", unit="words", meaning="word of block 0, pixel 0"),
            Field(name="source_stride", width="source", unit="words", meaning="step of a block"),
            Field(name="source_pitch", width="source", unit="words", meaning="step of a row"),
            Field(name="source_group", width=7, unit="lane groups",
                  meaning="lane group of the first word at which the source starts"),
            Field(name="operand", width="activation", unit="words",
                  meaning="stage 2: activation word of block 0, pixel 0"),
            Field(name="operand_stride", width="activation", unit="words",
                  meaning="step of a block"),
            Field(name="operand_pitch", width="activation", unit="words", meaning="step of a row"),
            Field(name="operand_group", width=7, unit="lane groups",
                  meaning="lane group at which the operand starts"),
            Field(name="destination", width="activation", unit="words",
                  meaning="activation word of block 0, pixel 0"),
            Field(name="destination_stride", width="activation", unit="words",
                  meaning="step of a block"),
            Field(name="destination_pitch", width="activation", unit="words",
                  meaning="step of a row"),
            Field(name="destination_group", width=7, unit="lane groups",
                  meaning="lane group at which the destination starts"),
            Field(name="parameters", width="parameter", unit="words",
                  meaning="parameter word of the header; the groups' words follow it"),
            Field(name="table", width="parameter", unit="words",
                  meaning="first parameter word of the 256-byte table"),
        ),
    ),
)  # fmt: skip

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}
BY_OPCODE: Mapping[int, Operation] = {operation.opcode: operation for operation in OPERATIONS}


@cache
def operations(config: Config) -> tuple[Operation, ...]:
    """Return the operations that this config has: DEPTHWISE needs its unit."""
    has_unit = config.depthwise_taps > 0
    return tuple(o for o in OPERATIONS if has_unit or o.engine != Engine.DEPTHWISE)


@dataclass(frozen=True, kw_only=True)
class HeaderField:
    """One field of the 32-byte parameter header (little endian) of a VECTOR instruction."""

    name: str
    offset: int
    format: str
    """A struct format character: 'b' int8, 'f' binary32."""
    meaning: str


PARAMETER_HEADER_BYTES = 32
PARAMETER_HEADER: tuple[HeaderField, ...] = (
    HeaderField(name="zero_point", offset=0, format="b", meaning="stage 1: added after rounding"),
    HeaderField(name="low", offset=1, format="b", meaning="stage 1: lower clamp"),
    HeaderField(name="high", offset=2, format="b", meaning="stage 1: upper clamp"),
    HeaderField(name="first_zero_point", offset=4, format="b",
                meaning="stage 2: zero point of stage 1's result (behind the table)"),
    HeaderField(name="second_zero_point", offset=5, format="b",
                meaning="stage 2: zero point of the operand"),
    HeaderField(name="combine_zero_point", offset=6, format="b",
                meaning="stage 2: zero point of the result"),
    HeaderField(name="combine_low", offset=7, format="b", meaning="stage 2: lower clamp"),
    HeaderField(name="combine_high", offset=8, format="b", meaning="stage 2: upper clamp"),
    HeaderField(name="first_ratio", offset=12, format="f",
                meaning="stage 2: r1 of add, s of multiply"),
    HeaderField(name="second_ratio", offset=16, format="f", meaning="stage 2: r2 of add"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Issue only when `engine` has retired `count` instructions since the program's start."""

    engine: Engine
    count: int


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One decoded instruction: operation name, every field of its format, and its waits."""

    operation: str
    fields: Mapping[str, int] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()
    element_type: ElementType = ElementType.INT8

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    @property
    def engine(self) -> Engine | None:
        return BY_NAME[self.operation].engine


def instruction(operation: str, waits: tuple[Wait, ...] = (), **fields: int) -> Instruction:
    """Build an instruction; fields that are not given are 0. Unknown names are our mistake."""
    names = [f.name for f in BY_NAME[operation].fields]
    unknown = set(fields) - set(names)
    assert not unknown, f"{operation} has no field {sorted(unknown)}"
    return Instruction(
        operation=operation, waits=waits, fields={name: int(fields.get(name, 0)) for name in names}
    )
