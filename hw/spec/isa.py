"""What every row of the instruction table is made of: engines, element types, formats, fields.

`hw.spec.operations` has the rows, `hw.spec.instruction_set` the table.
"""

import dataclasses
import enum
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, lru_cache, partial
from operator import attrgetter
from typing import Any, ClassVar, ParamSpec, Self, TypeVar, cast, dataclass_transform

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.loops import Start, Walks
from tilewright.support.records import record

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


@record(frozen=True, kw_only=True)
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


@record(frozen=True, kw_only=True, slots=True)
class Wait:
    """Issue only when `engine` has retired `count` instructions since the program's start."""

    engine: Engine
    count: int


class Shape:
    """An operation, the element type and the fields that are no bases; one object for the same."""

    __slots__ = ("operation", "values")

    def __init__(self, operation: "Operation", values: tuple[int, ...]) -> None:
        self.operation, self.values = operation, values


_shape_of: Any = lru_cache(maxsize=1 << 15)(Shape)
"""Shapes that are forgotten become other objects, which costs what was remembered by them."""


class _OfShape:
    """A field of instructions that have it in their shape alone (`based`)."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, instruction: "Instruction | None", owner: object) -> int:
        assert instruction is not None, "a class has no fields"
        found: int = instruction.__dict__["shape"].values[self._place]
        return found


class _ShapeOf:
    """Finds the shape of an instruction, which then has it as an attribute."""

    def __get__(self, instruction: "Instruction | None", owner: object) -> Shape:
        assert instruction is not None, "a class has no shape"
        found: Shape = _shape_of(type(instruction), instruction._shape(instruction))
        instruction.__dict__["shape"] = found
        return found


@record(frozen=True, kw_only=True)
class Instruction:
    """One decoded instruction; a subclass is a row of the instruction table, its fields attributes.

    The bit fields of a row are declared by `bits`, `count`, `base` and `like`, in the order in
    which they are packed; those that are not given are 0.
    """

    name: ClassVar[str]
    """The mnemonic: the class's name in capitals."""
    opcode: ClassVar[int]
    engine: ClassVar[Engine | None]
    """The engine that executes it; None: dispatch itself."""
    meaning: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    counts: ClassVar[tuple[str, ...]]
    """The fields that count loops: an instruction with a zero count touches nothing."""
    bases: ClassVar[tuple[str, ...]]
    """The fields that say where a walk begins, and nothing else."""
    element_types: ClassVar[tuple[ElementType, ...]] = (ElementType.INT8,)
    """Those that the operation has; any other one is an illegal instruction."""

    _values: ClassVar[Any]
    _counts: ClassVar[Any]
    _bases: ClassVar[Any]
    _base_names: ClassVar[frozenset[str]]
    _shape: ClassVar[Any]
    _members: ClassVar[Mapping[str, Mapping[int, enum.IntEnum]]]
    """The values by number of each field that has named ones."""

    waits: tuple[Wait, ...] = ()
    element_type: ElementType = ElementType.INT8

    shape = _ShapeOf()
    """Its operation and the fields that are no bases: what walks have in common."""

    @classmethod
    def of(
        cls,
        values: Mapping[str, int],
        waits: tuple[Wait, ...] = (),
        element_type: ElementType = ElementType.INT8,
    ) -> Self:
        """Build the row's instruction from field values by name; enumerated ones may be numbers."""
        fields: dict[str, Any] = dict(values)
        for name, members in cls._members.items():
            if name in fields:
                fields[name] = members.get(fields[name], fields[name])
        return cls(waits=waits, element_type=element_type, **fields)

    @classmethod
    def made(
        cls, fields: Mapping[str, int], waits: tuple[Wait, ...], element_type: ElementType
    ) -> Self:
        """Build the row's instruction from all its fields, enumerated ones by their members."""
        other = object.__new__(cls)
        other.__dict__.update(fields, waits=waits, element_type=element_type)
        return other

    @classmethod
    def with_members(cls, columns: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """Return the values of many instructions by field, enumerated ones as members."""
        members = cls._members
        return {
            name: [members[name].get(value, value) for value in column]
            if name in members
            else column
            for name, column in columns.items()
        }

    @classmethod
    def legal(cls, field: Field) -> frozenset[int] | None:
        """Return the legal values of a field of the row or a common one; None: all bit patterns."""
        values = cls.element_types if field.name == "element_type" else field.values
        return None if values is None else frozenset(int(value) for value in values)

    def values(self) -> dict[str, int]:
        """Return the value of every field of the row, in table order."""
        return {
            field.name: value for field, value in zip(self.fields, self.field_values(), strict=True)
        }

    def field_values(self) -> tuple[int, ...]:
        """Return the values alone."""
        values: tuple[int, ...] = self._values(self)
        return values

    def cycles_key(self, burst_limit: int) -> Hashable:
        """Return all that its cycles and its latency depend on; burst_limit: in bytes."""
        return self.shape

    def base_values(self) -> tuple[int, ...]:
        """Return the values of the fields that are bases, in table order."""
        values: tuple[int, ...] = self._bases(self)
        return values

    def waiting(self, waits: tuple[Wait, ...]) -> Self:
        """Return the same instruction with these waits."""
        other = object.__new__(type(self))
        values = self.__dict__.copy()
        values["waits"] = waits
        other.__dict__ = values
        return other

    def based(self, **bases: int) -> Self:
        """Return the same instruction, thus the same shape, with other bases.

        It has no more than these and its waits of its own, since there are many of one shape.
        """
        assert bases.keys() == self._base_names, f"{self.name} has the bases {self.bases}"
        other, values = object.__new__(type(self)), cast(dict[str, Any], bases)
        values["shape"], values["waits"] = self.shape, self.waits
        other.__dict__ = values
        return other

    @property
    def is_empty(self) -> bool:
        """Tell whether a count is zero, so that the instruction touches nothing."""
        return 0 in self._counts(self)

    def start(self, name: str, *, alignment: int = 1) -> Start:
        """Return where a walk begins: at a base, whose bits below `alignment` do not count."""
        assert name in self.bases, name
        return Start(address=getattr(self, name) & -alignment, base=name, alignment=alignment)

    def walks(self, config: Config) -> Walks:
        """Return what the instruction does with memory, if no count is zero."""
        raise NotImplementedError(f"{self.name} has no walks")

    def cycles(self, config: Config) -> int:
        """Return the cycles until the engine can take its next instruction.

        Back-to-back instructions take the sum of these.
        """
        raise NotImplementedError(f"{self.name} has no cycles")

    def latency(self, config: Config) -> int:
        """Return the cycles from the acceptance of a lone instruction to its retirement."""
        raise NotImplementedError(f"{self.name} has no latency")


Row = TypeVar("Row", bound=Instruction)

Operation = type[Instruction]
"""One opcode: a row of the instruction table."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def remembered(
    function: Callable[_Parameters, _Result],
) -> Callable[_Parameters, _Result]:
    """Remember the results of a function of operations (type checkers see no hash in classes)."""
    wrapped: Any = cache(function)
    return cast(Callable[_Parameters, _Result], wrapped)


def bits(
    width: int | str,
    meaning: str,
    *,
    unit: str = "",
    signed: bool = False,
    values: type[enum.IntEnum] | None = None,
    counts: bool = False,
    is_base: bool = False,
) -> Any:
    """Declare a bit field of a row, as `Field` describes it."""
    row = {"width": width, "meaning": meaning, "unit": unit, "signed": signed, "values": values}
    default = 0 if values is None else values(0)
    metadata = {"row": row, "counts": counts, "is_base": is_base}
    return dataclasses.field(default=default, metadata=metadata)


count = partial(bits, counts=True)
"""Declare a field that counts a loop's steps."""

base = partial(bits, is_base=True)
"""Declare a field that says where a walk begins, and nothing else."""


def like(operation: type[Any], name: str) -> Any:
    """Declare the field that another row has under that name."""
    other = operation.__dataclass_fields__[name]
    return dataclasses.field(default=other.default, metadata=other.metadata)


def _reader(names: Sequence[str]) -> Callable[[Instruction], tuple[int, ...]]:
    """Return what takes the values of those fields from an instruction, quickly."""
    if len(names) < 2:
        return lambda instruction: tuple(getattr(instruction, name) for name in names)
    return attrgetter(*names)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def operation(opcode: int, engine: Engine | None, meaning: str) -> Callable[[type[Row]], type[Row]]:
    """Make a class a row of the instruction table."""

    def finish(cls: type[Row]) -> type[Row]:
        row = record(frozen=True, kw_only=True)(cls)
        declared = [field for field in dataclasses.fields(row) if "row" in field.metadata]
        row.name, row.opcode, row.engine, row.meaning = (
            cls.__name__.upper(),
            opcode,
            engine,
            meaning,
        )
        row.fields = tuple(Field(name=field.name, **field.metadata["row"]) for field in declared)
        row.counts = tuple(field.name for field in declared if field.metadata["counts"])
        row.bases = tuple(field.name for field in declared if field.metadata["is_base"])
        row._values = staticmethod(_reader([field.name for field in declared]))
        row._counts = staticmethod(_reader(row.counts))
        row._bases = staticmethod(_reader(row.bases))
        row._base_names = frozenset(row.bases)
        of_shape = ["element_type"]
        of_shape += [field.name for field in declared if field.name not in row.bases]
        row._shape = staticmethod(_reader(of_shape))
        for place, name in enumerate(of_shape):
            setattr(row, name, _OfShape(place))
        row._members = {
            field.name: {int(value): value for value in field.values}
            for field in row.fields
            if field.values is not None
        }
        return row

    return finish
