"""What is derived from the tables: nothing is missing, and C packs the same words as Python."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tilewright.hw.spec.assembly import assemble, disassemble
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.encoding import decode, encode, field_range, layout
from tilewright.hw.spec.header import c_header
from tilewright.hw.spec.instruction_set import BY_NAME, OPERATIONS, instruction
from tilewright.hw.spec.isa import Engine, Instruction, Operation, Wait
from tilewright.hw.spec.manual import isa_manual, register_map
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER
from tilewright.hw.spec.random_instruction import SAMPLE
from tilewright.hw.spec.registers import BY_NAME as REGISTER_BY_NAME
from tilewright.hw.spec.registers import REGISTERS, Bucket, Fault, capabilities
from tilewright.sim.iss import EXECUTE

ODD = Config(name="odd", rows=12, cols=20, lanes=4, operand_lanes=2)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_has_every_derived_part(operation: Operation) -> None:
    """A new row in the table needs semantics, accesses and a sampler; the rest follows."""
    i = instruction(operation.name)
    assert decode(encode(i, ODD), ODD) == i
    text = f"{operation.name}\nEND" if operation.engine is not None else operation.name
    assert operation.name in disassemble(assemble(text, ODD))
    assert f"### {operation.name}\n" in isa_manual(ODD)
    assert f"tilewright_pack_{operation.name.lower()}(" in c_header(ODD)
    if operation.engine is not None:
        assert operation in EXECUTE
        assert operation in SAMPLE


def test_manual_shows_every_field_with_its_bits() -> None:
    manual = isa_manual(ODD)
    for operation in OPERATIONS:
        for field, position, bits in layout(operation, ODD):
            bit_range = f"{position + bits - 1}:{position}" if bits > 1 else f"{position}"
            assert f"| {bit_range} | `{field.name}` | {bits}" in manual
            assert field.meaning in manual
    for field in PARAMETER_HEADER:
        assert f"| {field.offset} | `{field.name}` |" in manual


def test_manual_and_header_have_the_sizes_of_the_parameter_memory() -> None:
    for name in ("header_words", "table_words", "depthwise_taps", "depthwise_words"):
        value = getattr(ODD, name)
        assert f"| `{name}` | {value} |" in isa_manual(ODD)
        assert f"#define TILEWRIGHT_{name.upper()} {value}\n" in c_header(ODD)


def test_register_map_shows_every_register_and_value() -> None:
    text = register_map(ODD)
    for register in REGISTERS:
        assert f"| {register.offset:#05x} | `{register.name}` | {register.access} |" in text
    for name in (*Fault.__members__, *Bucket.__members__):
        assert f"| {name} |" in text
    assert capabilities(ODD)["array"] == 12 | 20 << 16
    assert set(capabilities(ODD)) <= set(REGISTER_BY_NAME)
    assert f"{ODD.digest[:8]}" in text
    assert "An access of another offset" in text


def random_full(operation: Operation, config: Config, rng: random.Random) -> Instruction:
    fields = {}
    for field in operation.fields:
        low, high = field_range(field, config)
        fields[field.name] = rng.choice((low, high, rng.randint(low, high)))
    waits = tuple(
        Wait(engine=rng.choice(list(Engine)), count=rng.randint(1, 2**20 - 1)) for _ in range(4)
    )
    return operation.of(fields, waits)


def c_code(instructions: list[Instruction]) -> str:
    """Return a C program that packs the instructions and prints them in hexadecimal."""
    body = []
    for i in instructions:
        name = i.name.lower()
        values = ", ".join(f".{field} = {value}" for field, value in i.values().items())
        argument = f", &(struct tilewright_{name}){{ {values} }}" if values else ""
        body.append(f"tilewright_pack_{name}(word{argument});")
        for slot, wait in enumerate(i.waits):
            engine = f"TILEWRIGHT_ENGINE_{wait.engine.name}"
            body.append(f"tilewright_put_wait(word, {slot}, "
                        f"(struct tilewright_wait){{ {engine}, {wait.count} }});")  # fmt: skip
        body.append('for (int k = 0; k < 64; k++) { printf("%02x", word[k]); }')
        body.append('puts("");')
    checks = [
        f'if (TILEWRIGHT_REGISTER_{register.name.upper()} != {register.offset}) puts("register");'
        for register in REGISTERS
    ]
    checks.append('if (TILEWRIGHT_FAULT_WATCHDOG != 5) puts("fault");')
    checks.append('if (tilewright_get(word, 0, 8) != word[0]) puts("get");')
    lines = "\n    ".join(["uint8_t word[64];", *body, *checks, "return 0;"])
    return f'#include <stdio.h>\n#include "tilewright.h"\nint main(void) {{\n    {lines}\n}}\n'


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("config", [PRESETS["nano"], ODD], ids=["nano", "12x20"])
def test_c_packs_the_same_words(config: Config, tmp_path: Path) -> None:
    rng = random.Random(9)
    chosen = [random_full(BY_NAME[o.name], config, rng) for o in OPERATIONS for _ in range(4)]
    (tmp_path / "tilewright.h").write_text(c_header(config))
    (tmp_path / "main.c").write_text(c_code(chosen))
    program = tmp_path / "main"
    subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-o", program],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [encode(i, config).hex() for i in chosen]
