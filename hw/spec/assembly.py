"""Assembler and disassembler: text <-> program, derived from the instruction table.

One instruction a line: `[label:] OPERATION [after WAIT, ...] [field=value ...]`. A WAIT is a label
of an earlier instruction, or `ENGINE:count`. Fields that are not given are 0; values are decimal,
0x, 0b or 0o numbers, `_` allowed, or the names of an enumerated field. `;` and `#` start comments,
a final `\\` continues a line. Each END closes a section, behind which labels and counts begin anew.
Directives: `.memory BYTES`, `.address BYTE` (of the program),
`.bytes BYTE HEX` (DRAM contents), `.word HEX` (a raw instruction word).
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.encoding import IllegalInstruction, decode, encode
from tilewright.hw.spec.instruction_set import BY_NAME
from tilewright.hw.spec.isa import INSTRUCTION_BYTES, Engine, Instruction, Wait
from tilewright.hw.spec.program import Program, Symbol
from tilewright.hw.spec.steps import Section
from tilewright.support.errors import ProgramError

PAGE_BYTES = 4096
_LABEL = re.compile(r"([A-Za-z_]\w*)\s*:(?!\d)\s*(.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"(\w+)\s*=\s*(\S+)")


def assemble(text: str, config: Config, where: str = "assembly") -> Program:
    """Return the program of an assembly text.

    Raises ProgramError with `where` and the line for whatever is wrong.
    """
    assembler = _Assembler(config)
    number = 0
    for number, line in _logical_lines(text):
        try:
            assembler.line(line)
        except ProgramError as error:
            raise ProgramError(f"{where}:{number}: {error}") from None
    try:
        return assembler.program()
    except ProgramError as error:
        raise ProgramError(f"{where}:{number}: {error}") from None


def disassemble(program: Program) -> str:
    """Return text that `assemble` turns into the same instructions at the same address."""
    lines = [
        f"; {program.config.name}, config digest {program.config.digest[:16]}",
        f".memory {program.memory_bytes}",
        f".address {program.program_address:#x}",
    ]
    for section in program.sections:
        if len(program.sections) > 1:
            lines.append(f"; {section.name}")
        lines += _section_lines(program, section)
    return "\n".join(lines) + "\n"


def _section_lines(program: Program, section: Section) -> Iterator[str]:
    """Yield a line for each instruction of a section, and one in front of each layer."""
    numbers = range(section.first, section.stop)
    entries = [_decode(program.word(index), program) for index in numbers]
    instructions = [entry for entry in entries if isinstance(entry, Instruction)]
    labels = _referenced_labels(instructions)
    defined: dict[tuple[Engine, int], str] = {}
    sent = dict.fromkeys(Engine, 0)
    layer = -1
    for entry, number in zip(entries, program.instruction_layers[section.first :], strict=False):
        if number != layer and 0 <= number < len(program.layers):
            yield f"; layer {number}: {program.layers[number].name}"
        layer = number
        if isinstance(entry, bytes):
            yield f".word {entry.hex()}"
            continue
        label = ""
        if entry.engine is not None:
            sent[entry.engine] += 1
            label = labels.get((entry.engine, sent[entry.engine]), "")
        yield format_instruction(entry, label=label, labels=defined)
        if label and entry.engine is not None:
            defined[(entry.engine, sent[entry.engine])] = label


def format_instruction(
    instruction: Instruction,
    *,
    label: str = "",
    labels: dict[tuple[Engine, int], str] | None = None,
) -> str:
    """Return one line; waits are labels where `labels` has one for (engine, count)."""
    known = labels or {}
    words = [f"{label}:" if label else "", instruction.name]
    waits = [
        known.get((w.engine, w.count), f"{w.engine.name}:{w.count}") for w in instruction.waits
    ]
    if waits:
        words.append("after " + ", ".join(waits))
    if instruction.element_type:
        words.append(f"element_type={instruction.element_type.name}")
    for row in instruction.fields:
        value = getattr(instruction, row.name)
        if value:
            words.append(f"{row.name}={_format_value(row, value)}")
    return " ".join([words[0].ljust(12), *words[1:]]).rstrip()


def _format_value(row: isa.Field, value: int) -> str:
    if row.values is not None:
        return row.values(value).name
    return f"{value:#x}" if row.width == 32 else str(value)


def _decode(word: bytes, program: Program) -> Instruction | bytes:
    """Return the instruction, or the word itself where it would not assemble to the same word."""
    try:
        return decode(word, program.config)
    except IllegalInstruction:
        return word


def _referenced_labels(instructions: Iterable[Instruction]) -> dict[tuple[Engine, int], str]:
    """Return a label for each retirement that a later instruction waits for."""
    sent = dict.fromkeys(Engine, 0)
    labels: dict[tuple[Engine, int], str] = {}
    for instruction in instructions:
        for wait in instruction.waits:
            if 0 < wait.count <= sent[wait.engine]:
                labels[(wait.engine, wait.count)] = f"{wait.engine.name.lower()}_{wait.count}"
        if instruction.engine is not None:
            sent[instruction.engine] += 1
    return labels


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (first line number, text without comment) with continued lines joined."""
    joined, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.split(r"[;#]", raw, maxsplit=1)[0].rstrip()
        first = first or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        joined += line
        if joined.strip():
            yield first, joined.strip()
        joined, first = "", 0
    if joined.strip():
        yield first, joined.strip()


def parse_number(text: str) -> int:
    """Return the value of a decimal, 0x, 0b or 0o number. Raises ProgramError."""
    try:
        return int(text, 0)
    except ValueError:
        raise ProgramError(f"{text!r} is no number; write 12, -3, 0x1F, 0b101 or 4_096") from None


def _suggest(name: str, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"


@dataclass
class _Assembler:
    """The words and data read so far."""

    config: Config
    words: list[bytes] = field(default_factory=list)
    labels: dict[str, Wait] = field(default_factory=dict)
    sent: dict[Engine, int] = field(default_factory=lambda: dict.fromkeys(Engine, 0))
    data: list[tuple[int, bytes]] = field(default_factory=list)
    memory_bytes: int | None = None
    address: int = 0
    ended: bool = False
    ends: list[int] = field(default_factory=list)
    """Words behind each END."""

    def line(self, text: str) -> None:
        """Read one logical line."""
        labelled = _LABEL.fullmatch(text)
        label, text = labelled.groups() if labelled else ("", text)
        if text.startswith("."):
            if label:
                raise ProgramError(f"label {label!r} must stand before an instruction")
            self._directive(text)
            return
        name, _, rest = text.partition(" ")
        if name not in BY_NAME:
            raise ProgramError(f"unknown operation {name!r}; {_suggest(name, BY_NAME)}")
        instruction = self._instruction(BY_NAME[name], rest.strip())
        self.words.append(encode(instruction, self.config))
        self.ended = instruction.engine is None
        if instruction.engine is not None:
            self.sent[instruction.engine] += 1
            self._define(label, instruction.engine)
            return
        self._end_section()
        if label:
            raise ProgramError(f"label {label!r}: nothing can wait for {name}")

    def _end_section(self) -> None:
        """Waits and labels behind an END are those of a section of its own."""
        self.ends.append(len(self.words))
        self.labels.clear()
        self.sent = dict.fromkeys(Engine, 0)

    def _define(self, label: str, engine: Engine) -> None:
        if label in self.labels:
            raise ProgramError(f"label {label!r} is defined twice")
        if label:
            self.labels[label] = Wait(engine=engine, count=self.sent[engine])

    def _instruction(self, operation: isa.Operation, rest: str) -> Instruction:
        first = _ASSIGNMENT.search(rest)
        head = rest[: first.start()].strip() if first else rest
        waits: tuple[Wait, ...] = ()
        if head:
            keyword, _, items = head.partition(" ")
            if keyword != "after" or not items.strip():
                raise ProgramError(f"expected field=value or 'after WAIT, ...', got {head!r}")
            waits = tuple(self._wait(item.strip()) for item in items.split(","))
        rows = {row.name: row for row in (isa.COMMON_FIELDS[1], *operation.fields)}
        values = dict.fromkeys(rows, 0)
        tail = rest[first.start() :] if first else ""
        seen: set[str] = set()
        for assignment in _ASSIGNMENT.finditer(tail):
            name, value = assignment.groups()
            if name not in rows:
                raise ProgramError(
                    f"{operation.name} has no field {name!r}; {_suggest(name, rows)}"
                )
            if name in seen:
                raise ProgramError(f"field {name!r} is given twice")
            seen.add(name)
            values[name] = _value(rows[name], value)
        left = _ASSIGNMENT.sub("", tail).strip()
        if left:
            raise ProgramError(f"expected field=value, got {left!r}")
        element_type = isa.ElementType(values.pop("element_type"))
        return operation.of(values, waits, element_type)

    def _wait(self, item: str) -> Wait:
        name, colon, count = item.partition(":")
        if colon:
            if name not in Engine.__members__:
                raise ProgramError(f"unknown engine {name!r}; {_suggest(name, Engine.__members__)}")
            return Wait(engine=Engine[name], count=parse_number(count))
        if item not in self.labels:
            raise ProgramError(
                f"no earlier instruction has the label {item!r}; an instruction waits only for "
                f"earlier ones"
            )
        return self.labels[item]

    def _directive(self, text: str) -> None:
        name, *arguments = text.split()
        expected = {".memory": 1, ".address": 1, ".bytes": 2, ".word": 1}
        if name not in expected:
            raise ProgramError(f"unknown directive {name!r}; {_suggest(name, expected)}")
        if len(arguments) != expected[name]:
            raise ProgramError(f"{name} takes {expected[name]} values, got {len(arguments)}")
        if name == ".memory":
            self.memory_bytes = _bounded(arguments[0], name, 1 << 32)
        elif name == ".address":
            self.address = _bounded(arguments[0], name, 1 << 32)
            if self.address % INSTRUCTION_BYTES:
                raise ProgramError(f".address must be a multiple of 64, got {arguments[0]}")
        elif name == ".bytes":
            self.data.append((_bounded(arguments[0], name, 1 << 32), _hexadecimal(arguments[1])))
        else:
            self._word(_hexadecimal(arguments[0]))

    def _word(self, word: bytes) -> None:
        if len(word) != INSTRUCTION_BYTES:
            raise ProgramError(f".word takes {INSTRUCTION_BYTES} bytes, got {len(word)}")
        self.words.append(word)
        try:
            engine = decode(word, self.config).engine
        except IllegalInstruction:
            return
        self.ended = engine is None
        if engine is None:
            self._end_section()
        else:
            self.sent[engine] += 1

    def program(self) -> Program:
        """Return the program of all lines."""
        if not self.ended:
            raise ProgramError("the last instruction must be END")
        code = b"".join(self.words)
        end = self.address + len(code)
        for address, content in self.data:
            if address < end and self.address < address + len(content):
                raise ProgramError(f".bytes {address:#x} overlaps the program at {self.address:#x}")
        needed = max([end, *(address + len(content) for address, content in self.data)])
        size = -(-needed // PAGE_BYTES) * PAGE_BYTES
        if self.memory_bytes is not None:
            size = self.memory_bytes
        if size < needed:
            raise ProgramError(f".memory must be at least {needed}, got {size}")
        image = bytearray(needed)
        for address, content in [*self.data, (self.address, code)]:
            image[address : address + len(content)] = content
        return Program(
            config=self.config,
            image=bytes(image),
            memory_bytes=size,
            program_address=self.address,
            num_instructions=len(self.words),
            steps=tuple(
                Section(name=f"section{number}", first=first, num_instructions=stop - first)
                for number, (first, stop) in enumerate(pairwise((0, *self.ends)))
            ),
            symbols=(
                Symbol(name="program", kind="program", address=self.address, size_bytes=len(code)),
            ),
        )


def _value(row: isa.Field, text: str) -> int:
    if row.values is None:
        return parse_number(text)
    if text in row.values.__members__:
        return int(row.values[text])
    if text.lstrip("-")[:1].isdigit() and parse_number(text) in set(row.values):
        return parse_number(text)
    names = ", ".join(f"{member.name} ({member.value})" for member in row.values)
    raise ProgramError(f"{row.name} must be one of {names}, got {text!r}")


def _bounded(text: str, name: str, limit: int) -> int:
    value = parse_number(text)
    if not 0 <= value <= limit:
        raise ProgramError(f"{name} must be 0 to {limit}, got {value}")
    return value


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ProgramError(f"expected pairs of hexadecimal digits, got {text[:32]!r}") from None
