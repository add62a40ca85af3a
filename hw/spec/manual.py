"""The instruction-set manual and the register map in Markdown, derived from the tables."""

import enum
from collections.abc import Iterable, Sequence

from tilewright.hw.spec import isa, registers
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import layout
from tilewright.hw.spec.instruction_set import operations
from tilewright.hw.spec.isa import (
    COMMON_FIELDS,
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    ISA_VERSION,
    Engine,
    Operation,
)
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER, PARAMETER_HEADER_BYTES
from tilewright.hw.spec.registers import REGISTERS, Bucket, Fault


def isa_manual(config: Config) -> str:
    """Return the instruction-set manual of a config: every format, field, width and value."""
    enumerations = {
        field.values: None
        for operation in operations(config)
        for field in (*COMMON_FIELDS, *operation.fields)
        if field.values is not None
    }
    sections = [
        f"# Tilewright instruction set, version {ISA_VERSION}, config `{config.name}`",
        _introduction(config),
        "## Config",
        _table(("property", "value"), _config_rows(config)),
        "## Operations",
        _table(
            ("operation", "opcode", "engine", "meaning"),
            [
                (f"[`{o.name}`](#{o.name.lower()})", f"{o.opcode:#04x}", _engine_name(o), o.meaning)
                for o in operations(config)
            ],
        ),
        "## Fields of every instruction",
        _field_table(operations(config)[0], config, common=True),
        *(part for operation in operations(config) for part in _operation(operation, config)),
        "## Enumerations",
        *(_enumeration(values) for values in enumerations),
        "## Parameter header",
        f"The first {PARAMETER_HEADER_BYTES} bytes ({config.header_words} parameter words) of a "
        "VECTOR instruction's parameter block; bytes that no field covers are zero. One word a "
        f"lane group follows: {config.lanes} lanes of int32 bias and binary32 scale. With "
        "`negative_scales` a word with the scales of sums below 0 is in front of each of them.",
        _table(
            ("byte", "field", "type", "meaning"),
            [
                (str(f.offset), f"`{f.name}`", {"b": "int8", "f": "binary32"}[f.format], f.meaning)
                for f in PARAMETER_HEADER
            ],
        ),
    ]
    return "\n\n".join(sections) + "\n"


def register_map(config: Config) -> str:
    """Return the AXI4-Lite register map; read-only capability registers show their values."""
    values = registers.capabilities(config)
    rows = [
        (
            f"{r.offset:#05x}",
            f"`{r.name}`",
            r.access,
            f"{values[r.name]:#010x}" if r.name in values else "",
            r.meaning,
        )
        for r in sorted(REGISTERS, key=lambda register: register.offset)
    ]
    sections = [
        f"# Tilewright register map, config `{config.name}`",
        "32-bit registers on the AXI4-Lite port `control`, byte offsets. An access of another "
        "offset, a write of a register that is not for writing, and one of `program_address` or "
        "`dram_base_*` while busy answer SLVERR; `control` reads 0.",
        _table(("offset", "register", "access", "value", "meaning"), rows),
        "## Fault causes",
        _table(("value", "cause"), [(str(f.value), f.name) for f in Fault]),
        "## Cycle buckets",
        "Every cycle of every engine between start and done is in exactly one bucket.",
        _table(("number", "bucket"), [(str(b.value), b.name) for b in Bucket]),
    ]
    return "\n\n".join(sections) + "\n"


def _introduction(config: Config) -> str:
    return (
        f"An instruction is {INSTRUCTION_BYTES} bytes ({INSTRUCTION_BITS} bits), little endian; "
        "fields are packed from bit 0 in table order, bits behind the last one are zero. A field "
        "is unsigned unless it says signed. Address fields have as many bits as their SRAM needs "
        f"in this config (digest `{config.digest[:16]}`). An unknown opcode, an enumerated field "
        "without that value or a reserved bit that is set raises the fault ILLEGAL_INSTRUCTION. "
        "An instruction issues when every wait slot's engine has retired that many instructions. "
        "The loops that each operation runs are in docs/architecture.md, which pip installs as "
        "share/doc/tilewright/architecture.md of the Python environment."
    )


def _config_rows(config: Config) -> list[tuple[str, str]]:
    names = (
        "rows", "cols", "lanes", "operand_lanes", "activation_words", "activation_banks",
        "weight_words", "accumulator_words", "accumulator_banks", "parameter_words",
        "activation_pitch", "weight_pitch", "parameter_pitch", "header_words", "table_words",
        "depthwise_taps", "depthwise_words", "axi_data_bits",
    )  # fmt: skip
    return [(f"`{name}`", str(getattr(config, name))) for name in names]


def _engine_name(operation: Operation) -> str:
    return "dispatch" if operation.engine is None else operation.engine.name


def _operation(operation: Operation, config: Config) -> Iterable[str]:
    yield f"### {operation.name}"
    yield f"Opcode {operation.opcode:#04x}, engine {_engine_name(operation)}: {operation.meaning}."
    if operation.fields:
        yield _field_table(operation, config, common=False)
    last = layout(operation, config)[-1]
    first_reserved = last[1] + last[2]
    if first_reserved < INSTRUCTION_BITS:
        yield f"Bits {INSTRUCTION_BITS - 1}:{first_reserved} are reserved."


def _field_table(operation: Operation, config: Config, *, common: bool) -> str:
    """Return the table of the common fields, or of the operation's own."""
    rows = layout(operation, config)
    chosen = rows[: len(COMMON_FIELDS)] if common else rows[len(COMMON_FIELDS) :]
    return _table(
        ("bits", "field", "width", "unit", "meaning"),
        [
            (
                f"{position + bits - 1}:{position}" if bits > 1 else str(position),
                f"`{field.name}`",
                f"{bits} signed" if field.signed else str(bits),
                field.unit,
                field.meaning + _values_text(field),
            )
            for field, position, bits in chosen
        ],
    )


def _values_text(field: isa.Field) -> str:
    if field.values is None or field.values is Engine:
        return ""
    return " (" + ", ".join(f"{member.value} {member.name}" for member in field.values) + ")"


def _enumeration(values: type[enum.IntEnum]) -> str:
    rows = [(str(member.value), member.name) for member in values]
    return f"### {values.__name__}\n\n{_table(('value', 'name'), rows)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
