"""The program container: DRAM image, steps, layers and config in one checked file.

File layout (little endian): HEADER (magic, format version, ISA version, size of the whole file,
size and CRC-32 of the directory, CRC-32 of the header before it), the directory (JSON: name,
offset, size and SHA-256 of every section), then the sections at multiples of 64 bytes. Nothing in
it depends on time, paths or hash order: equal programs have equal bytes.
"""

import dataclasses
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.hw.spec.binding import TensorSpec
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import INSTRUCTION_BYTES, ISA_VERSION, Instruction
from tilewright.hw.spec.steps import Island, Section, Step, step_as_dict, step_from_dict
from tilewright.hw.spec.words import decode_program
from tilewright.support.errors import ConfigError, ProgramError
from tilewright.support.files import replace_file
from tilewright.support.records import record

MAGIC = b"TILEWRT\x1a"
FORMAT_VERSION = 3
HEADER = struct.Struct("<8sIIQIII")
SECTION_ALIGNMENT = 64
SYMBOL_KINDS = ("input", "output", "map", "program")
_MODEL = "island:"


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A named region of DRAM."""

    name: str
    kind: str
    address: int
    size_bytes: int

    def __post_init__(self) -> None:
        assert self.kind in SYMBOL_KINDS, self.kind


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One fused layer: what it came from, its work, and its instructions' index range."""

    name: str
    operator: str
    sources: tuple[str, ...] = ()
    """ONNX nodes that the layer computes."""
    macs: int = 0
    first: int = -1
    """Index of the layer's first instruction; -1 when it has none."""
    last: int = -1
    """Index of the layer's last instruction; others' instructions may lie between."""
    is_chained: bool = False
    """It runs together with the layer behind it."""
    section: str = ""
    """Name of the section that it belongs to."""


class Listing(Protocol):
    """A program's instructions and what they belong to, without data: all that cycles depend on."""

    @property
    def config(self) -> Config: ...

    @property
    def instructions(self) -> Sequence[Instruction]: ...

    @property
    def sections(self) -> Sequence[Section]: ...

    @property
    def layers(self) -> Sequence[Layer]: ...

    @property
    def instruction_layers(self) -> NDArray[np.int32]: ...


@record(frozen=True, kw_only=True, eq=False)
class BareProgram:
    """A listing alone: a program that has neither image nor proof; fields are those of Program."""

    config: Config
    instructions: tuple[Instruction, ...]
    sections: tuple[Section, ...]
    layers: tuple[Layer, ...]
    instruction_layers: NDArray[np.int32]


def chain_ends(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return for each layer the number of the last one of those that run together with it."""
    ends = list(range(len(layers)))
    for number in reversed(range(len(layers) - 1)):
        if layers[number].is_chained:
            ends[number] = ends[number + 1]
    return tuple(ends)


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A compiled program, a Listing. Two programs are equal when their files are."""

    config: Config
    image: bytes
    """DRAM contents from byte 0 on; the rest of `memory_bytes` is zero."""
    memory_bytes: int
    program_address: int
    num_instructions: int
    """Instructions in the image at program_address, END included."""
    inputs: tuple[TensorSpec, ...] = ()
    """Of the model; a program that was assembled by hand has none."""
    outputs: tuple[TensorSpec, ...] = ()
    steps: tuple[Step, ...] = ()
    """In their order; by default one section of all instructions."""
    symbols: tuple[Symbol, ...] = ()
    layers: tuple[Layer, ...] = ()
    instruction_layers: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Layer number of each instruction, -1 for none."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able facts: model name, host work, compiler options, ..."""

    def __post_init__(self) -> None:
        layers = np.array(self.instruction_layers, np.int32)
        if not layers.size:
            layers = np.full(self.num_instructions, -1, np.int32)
        layers.setflags(write=False)
        object.__setattr__(self, "instruction_layers", layers)
        if not self.steps:
            whole = Section(name="section0", first=0, num_instructions=self.num_instructions)
            object.__setattr__(self, "steps", (whole,))
        end = self.program_address + self.num_instructions * INSTRUCTION_BYTES
        assert self.program_address % INSTRUCTION_BYTES == 0
        assert end <= len(self.image) <= self.memory_bytes <= 1 << 32
        assert layers.shape == (self.num_instructions,)
        assert sum(s.num_instructions for s in self.sections) == self.num_instructions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.to_bytes() == other.to_bytes()

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(step for step in self.steps if isinstance(step, Section))

    @property
    def islands(self) -> tuple[Island, ...]:
        return tuple(step for step in self.steps if isinstance(step, Island))

    def address_of(self, section: Section) -> int:
        """Return the DRAM byte of a section's first instruction."""
        return self.program_address + section.first * INSTRUCTION_BYTES

    def symbol(self, name: str) -> Symbol:
        """Return the symbol of that name. Raises ProgramError when there is none."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol
        names = ", ".join(symbol.name for symbol in self.symbols)
        raise ProgramError(f"the program has no symbol {name!r}; it has {names or 'none'}")

    def of_kind(self, kind: str) -> tuple[Symbol, ...]:
        """Return the symbols of a kind, in order."""
        return tuple(symbol for symbol in self.symbols if symbol.kind == kind)

    def word(self, index: int) -> bytes:
        """Return the 64 bytes of the instruction with that index."""
        start = self.program_address + index * INSTRUCTION_BYTES
        return self.image[start : start + INSTRUCTION_BYTES]

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """The decoded instructions. Raises IllegalInstruction."""
        end = self.program_address + self.num_instructions * INSTRUCTION_BYTES
        return decode_program(self.image[self.program_address : end], self.config)

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        return _assemble(self._sections())

    def save(self, path: str | Path) -> None:
        """Write the file atomically: a reader sees the old file or the whole new one.

        Raises ProgramError when the folder is missing or not writable, or the disk is full.
        """
        try:
            replace_file(Path(path), self.to_bytes())
        except OSError as error:
            raise ProgramError(f"{path}: cannot be written: {error.strerror or error}") from None

    def _sections(self) -> dict[str, bytes]:
        description = {
            "config_digest": self.config.digest,
            "config_name": self.config.name,
            "memory_bytes": self.memory_bytes,
            "program_address": self.program_address,
            "num_instructions": self.num_instructions,
            "inputs": [dataclasses.asdict(spec) for spec in self.inputs],
            "outputs": [dataclasses.asdict(spec) for spec in self.outputs],
            "steps": [step_as_dict(step) for step in self.steps],
            "symbols": [dataclasses.asdict(symbol) for symbol in self.symbols],
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }
        sections = {
            "config": self.config.to_toml().encode(),
            "description": _to_json(description),
            "metadata": _to_json(dict(self.metadata)),
            "instruction_layers": self.instruction_layers.astype("<i4").tobytes(),
            "image": self.image,
        }
        return sections | {_MODEL + island.name: island.model for island in self.islands}

    @classmethod
    def load(cls, path: str | Path, expected_config: Config | None = None) -> "Program":
        """Read a program file.

        Raises ProgramError when the file is missing, no program, truncated, altered, of another
        version, or (with `expected_config`) made for another config.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ProgramError(f"{path}: cannot be read: {error.strerror}") from None
        return cls.from_bytes(data, expected_config, str(path))

    @classmethod
    def from_bytes(
        cls, data: bytes, expected_config: Config | None = None, where: str = "program"
    ) -> "Program":
        """Parse a file's bytes; `where` names them in errors. Raises as `load` does."""
        sections = _disassemble(data, where)
        try:
            program = cls._from_sections(sections)
        except (KeyError, TypeError, ValueError, AssertionError, ConfigError) as error:
            raise ProgramError(
                f"{where}: its sections contradict each other ({error!r}); compile it again"
            ) from None
        if expected_config is not None and program.config.digest != expected_config.digest:
            raise ProgramError(
                f"{where}: made for config {_names(program.config)}, but this is "
                f"{_names(expected_config)}; compile the model for {expected_config.name} or use "
                f"the program's own config"
            )
        return program

    @classmethod
    def _from_sections(cls, sections: Mapping[str, bytes]) -> "Program":
        description = json.loads(sections["description"])
        config = Config.from_toml(sections["config"].decode())
        if config.digest != description["config_digest"]:
            raise ValueError("the config does not have the digest that the program names")
        return cls(
            config=config,
            image=sections["image"],
            memory_bytes=description["memory_bytes"],
            program_address=description["program_address"],
            num_instructions=description["num_instructions"],
            inputs=_specs(description["inputs"]),
            outputs=_specs(description["outputs"]),
            steps=tuple(
                step_from_dict(step, _named(sections, _MODEL)) for step in description["steps"]
            ),
            symbols=tuple(Symbol(**symbol) for symbol in description["symbols"]),
            layers=tuple(
                Layer(**(layer | {"sources": tuple(layer["sources"])}))
                for layer in description["layers"]
            ),
            instruction_layers=np.frombuffer(sections["instruction_layers"], "<i4"),
            metadata=json.loads(sections["metadata"]),
        )


def _specs(rows: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(**{**row, "shape": tuple(row["shape"])}) for row in rows)


def _named(sections: Mapping[str, bytes], prefix: str) -> dict[str, bytes]:
    """Return the sections whose names start with `prefix`, which is cut off."""
    return {
        name.removeprefix(prefix): content
        for name, content in sections.items()
        if name.startswith(prefix)
    }


def _names(config: Config) -> str:
    return f"{config.name!r} ({config.rows}x{config.cols}, digest {config.digest[:16]})"


def _to_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _align(position: int) -> int:
    return -(-position // SECTION_ALIGNMENT) * SECTION_ALIGNMENT


def _assemble(sections: Mapping[str, bytes]) -> bytes:
    """Return the file of named sections. The directory's offsets count from its own end."""
    rows, position = [], 0
    for name, content in sections.items():
        checksum = hashlib.sha256(content).hexdigest()
        rows.append({"name": name, "offset": position, "size": len(content), "sha256": checksum})
        position = _align(position + len(content))
    directory = _to_json(rows)
    start = _align(HEADER.size + len(directory))
    data = bytearray(start + position)
    data[: HEADER.size] = _header(len(data), directory)
    data[HEADER.size : HEADER.size + len(directory)] = directory
    for row, content in zip(rows, sections.values(), strict=True):
        first = start + int(str(row["offset"]))
        data[first : first + len(content)] = content
    return bytes(data)


def _header(size: int, directory: bytes) -> bytes:
    fields = (MAGIC, FORMAT_VERSION, ISA_VERSION, size, len(directory), zlib.crc32(directory))
    return HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0)[:-4]))


def _disassemble(data: bytes, where: str) -> dict[str, bytes]:
    """Check a file's bytes and return its sections."""
    if data[: len(MAGIC)] != MAGIC:
        raise ProgramError(f"{where}: not a Tilewright program; `tilewright compile` makes one")
    if len(data) < HEADER.size:
        raise ProgramError(_truncated(where, len(data), HEADER.size))
    _, version, isa_version, size, directory_size, directory_checksum, checksum = HEADER.unpack(
        data[: HEADER.size]
    )
    if zlib.crc32(data[: HEADER.size - 4]) != checksum:
        raise ProgramError(_altered(where, "header"))
    if version != FORMAT_VERSION or isa_version > ISA_VERSION:
        raise ProgramError(
            f"{where}: format version {version}, ISA version {isa_version}; this Tilewright reads "
            f"{FORMAT_VERSION} and up to {ISA_VERSION}; compile the model again with this one"
        )
    if len(data) < size:
        raise ProgramError(_truncated(where, len(data), size))
    if len(data) > size:
        raise ProgramError(
            f"{where}: altered: {len(data) - size} bytes follow the program's {size}; compile again"
        )
    directory = data[HEADER.size : HEADER.size + directory_size]
    if zlib.crc32(directory) != directory_checksum:
        raise ProgramError(_altered(where, "directory"))
    return _read_sections(data, _align(HEADER.size + directory_size), directory, where)


def _read_sections(data: bytes, start: int, directory: bytes, where: str) -> dict[str, bytes]:
    sections: dict[str, bytes] = {}
    expected = bytearray(len(data) - start)
    for row in json.loads(directory):
        content = data[start + row["offset"] : start + row["offset"] + row["size"]]
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            raise ProgramError(_altered(where, f"section {row['name']!r}"))
        expected[row["offset"] : row["offset"] + row["size"]] = content
        sections[row["name"]] = content
    if any(data[HEADER.size + len(directory) : start]) or bytes(expected) != data[start:]:
        raise ProgramError(_altered(where, "padding"))
    return sections


def _truncated(where: str, given: int, needed: int) -> str:
    return f"{where}: truncated: {needed} bytes expected, {given} there; copy or compile it again"


def _altered(where: str, part: str) -> str:
    return f"{where}: altered: the {part} does not match its checksum; copy or compile it again"
