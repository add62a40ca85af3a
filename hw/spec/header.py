"""The C header of a config: field positions, opcodes, registers, and functions that pack words."""

import enum
from collections.abc import Iterable

from tilewright.hw.spec import isa, registers
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import layout
from tilewright.hw.spec.instruction_set import operations
from tilewright.hw.spec.isa import COMMON_FIELDS, Operation
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER
from tilewright.hw.spec.registers import REGISTERS, Bucket, Fault

_PACK = """\
/* Put the low `bits` bits of `value` at bit `position` of a 64-byte word that holds zeros there. */
static inline void tilewright_put(uint8_t *word, unsigned position, unsigned bits, uint64_t value) {
    for (unsigned bit = 0; bit < bits; bit++)
        word[(position + bit) / 8] |= (uint8_t)(((value >> bit) & 1u) << ((position + bit) % 8));
}

/* Return `bits` bits at bit `position` of a 64-byte word. */
static inline uint64_t tilewright_get(const uint8_t *word, unsigned position, unsigned bits) {
    uint64_t value = 0;
    for (unsigned bit = 0; bit < bits; bit++)
        value |= (uint64_t)((word[(position + bit) / 8] >> ((position + bit) % 8)) & 1u) << bit;
    return value;
}

struct tilewright_wait {
    uint32_t engine, count;
};

/* Set wait slot `slot` of a packed word. */
static inline void tilewright_put_wait(uint8_t *word, unsigned slot, struct tilewright_wait wait) {
    unsigned position = TILEWRIGHT_WAIT0_ENGINE_BIT
        + slot * (TILEWRIGHT_WAIT0_ENGINE_BITS + TILEWRIGHT_WAIT0_COUNT_BITS);
    tilewright_put(word, position, TILEWRIGHT_WAIT0_ENGINE_BITS, wait.engine);
    tilewright_put(word, position + TILEWRIGHT_WAIT0_ENGINE_BITS, TILEWRIGHT_WAIT0_COUNT_BITS,
                   wait.count);
}"""


def c_header(config: Config) -> str:
    """Return the header's text (C99, no dependencies but stdint.h and string.h)."""
    guard = "TILEWRIGHT_H"
    enumerations: dict[type[enum.IntEnum], None] = {Fault: None, Bucket: None}
    for operation in operations(config):
        for field in (*COMMON_FIELDS, *operation.fields):
            if field.values is not None:
                enumerations[field.values] = None
    sections = [
        f"/* Tilewright ISA version {isa.ISA_VERSION}, config {config.name}; generated. */",
        f"#ifndef {guard}\n#define {guard}",
        "#include <stdint.h>\n#include <string.h>",
        _config_constants(config),
        *(_enumeration(values) for values in enumerations),
        "/* Register offsets in bytes. */",
        "\n".join(_define(f"REGISTER_{r.name}", f"{r.offset:#05x}") for r in REGISTERS),
        _bits_of_registers(),
        "/* Fields: first bit and number of bits. */",
        "\n".join(_define(f"OPCODE_{o.name}", f"{o.opcode:#04x}") for o in operations(config)),
        _common_fields(config),
        *(_own_fields(operation, config) for operation in operations(config) if operation.fields),
        "/* Parameter header: byte offsets. */",
        "\n".join(_define(f"HEADER_{f.name}", str(f.offset)) for f in PARAMETER_HEADER),
        _PACK,
        *(_pack_function(operation, config) for operation in operations(config)),
        f"#endif /* {guard} */",
    ]
    return "\n\n".join(sections) + "\n"


def _define(name: str, value: str) -> str:
    return f"#define TILEWRIGHT_{name.upper()} {value}"


def _config_constants(config: Config) -> str:
    names = (
        "rows", "cols", "lanes", "operand_lanes", "activation_words", "weight_words",
        "accumulator_words", "parameter_words", "activation_word_bytes", "weight_word_bytes",
        "parameter_word_bytes", "activation_pitch", "weight_pitch", "parameter_pitch",
        "header_words", "table_words", "depthwise_taps", "depthwise_words", "axi_data_bits",
    )  # fmt: skip
    lines = [
        _define("isa_version", str(isa.ISA_VERSION)),
        _define("magic", f"{registers.MAGIC:#010x}u"),
        _define("config_digest", f"{config.digest_word:#018x}ull"),
        _define("instruction_bytes", str(isa.INSTRUCTION_BYTES)),
        _define("num_waits", str(isa.NUM_WAITS)),
        *(_define(name, str(getattr(config, name))) for name in names),
    ]
    return "\n".join(lines)


def _enumeration(values: type[enum.IntEnum]) -> str:
    prefix = "".join(f"_{c}" if c.isupper() and n else c for n, c in enumerate(values.__name__))
    members = ", ".join(
        f"TILEWRIGHT_{prefix.upper()}_{member.name} = {member.value}" for member in values
    )
    return f"enum tilewright_{prefix.lower()} {{ {members} }};"


def _bits_of_registers() -> str:
    names = [n for n in vars(registers) if n.startswith(("CONTROL_", "STATUS_"))]
    return "\n".join(_define(name, str(getattr(registers, name))) for name in names)


def _field_defines(prefix: str, rows: Iterable[tuple[isa.Field, int, int]]) -> str:
    return "\n".join(
        f"{_define(f'{prefix}{field.name}_bit', str(position))}\n"
        f"{_define(f'{prefix}{field.name}_bits', str(bits))}"
        for field, position, bits in rows
    )


def _common_fields(config: Config) -> str:
    return _field_defines("", layout(operations(config)[0], config)[: len(COMMON_FIELDS)])


def _own_fields(operation: Operation, config: Config) -> str:
    rows = layout(operation, config)[len(COMMON_FIELDS) :]
    return _field_defines(f"{operation.name}_", rows)


def _pack_function(operation: Operation, config: Config) -> str:
    """Return the struct of an operation's fields and the function that packs it."""
    name = operation.name.lower()
    rows = layout(operation, config)[len(COMMON_FIELDS) :]
    members = [
        f"    {'int32_t' if field.signed else 'uint32_t'} {field.name}; /* {field.meaning} */"
        for field, _, _ in rows
    ]
    body = [
        f"    tilewright_put(word, TILEWRIGHT_{operation.name}_{field.name.upper()}_BIT, {bits}, "
        f"(uint64_t)fields->{field.name});"
        for field, _, bits in rows
    ]
    structure = [f"struct tilewright_{name} {{", *members, "};", ""] if rows else []
    argument = f", const struct tilewright_{name} *fields" if rows else ""
    return "\n".join(
        [
            *structure,
            f"/* {operation.name}: {operation.meaning}. Waits are set with tilewright_put_wait. */",
            f"static inline void tilewright_pack_{name}(uint8_t word[64]{argument}) {{",
            "    memset(word, 0, TILEWRIGHT_INSTRUCTION_BYTES);",
            f"    word[0] = TILEWRIGHT_OPCODE_{operation.name};",
            *body,
            "}",
        ]
    )
