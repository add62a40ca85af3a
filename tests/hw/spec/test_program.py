"""The program container: round trip, determinism, and every kind of damage."""

import dataclasses
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tilewright.hw.spec.binding import Binding, Gather, TensorSpec
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.fold import Fold
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.program import HEADER, Layer, Program, Symbol
from tilewright.hw.spec.steps import HostOperator, Island, Section
from tilewright.hw.spec.tensor import Layout, Quantization, Tensor
from tilewright.support.errors import ProgramError

NANO = PRESETS["nano"]


QUANTIZED = Binding(
    name="q", dtype="uint8", shape=(1, 3, 2, 2),
    stored=Tensor(
        name="q", shape=(3, 2, 2), quantization=Quantization(scale=0.1, zero_point=-3),
        layout=Layout(base=1024, strides=(16, 8, 4), word_axis=0, block=4),
    ),
    gather=Gather.of(np.arange(12).reshape(3, 2, 2)),
    fold=Fold(rows=1, columns=1, row_step=1, column_step=1, top=0, left=0, height=2, width=2,
              padding=0),
)  # fmt: skip


def example() -> Program:
    words = (instruction("LOAD", run=1, count0=1, count1=1, count2=1), instruction("END"))
    code = b"".join(encode(i, NANO) for i in words)
    return Program(
        config=NANO, image=b"\1" * 64 + code, memory_bytes=4096, program_address=64,
        num_instructions=2,
        inputs=(TensorSpec(name="x", dtype="uint8", shape=(1, 3, 2, 2)),),
        steps=(
            Island(
                name="island0", model=b"onnx", inputs=("x",), outputs=("q",), moved_bytes=12,
                operators=(HostOperator(name="n", op_type="Op", reason="r", elements=12),),
                seconds=1e-6,
            ),
            Section(name="section0", first=0, num_instructions=2, inputs=(QUANTIZED,)),
        ),
        symbols=(
            Symbol(name="x", kind="input", address=1024, size_bytes=64),
            Symbol(name="code", kind="program", address=64, size_bytes=128),
        ),
        layers=(Layer(name="conv", operator="Conv", sources=("a", "b"), macs=7, first=0, last=0),),
        instruction_layers=np.array([0, -1]), metadata={"model": "m", "host": [1, 2.5, None]},
    )  # fmt: skip


def test_save_and_load_keep_everything(tmp_path: Path) -> None:
    program = example()
    path = tmp_path / "a.tile"
    program.save(path)
    loaded = Program.load(path, NANO)
    for field in dataclasses.fields(Program):
        if field.name == "instruction_layers":
            assert loaded.instruction_layers.tolist() == [0, -1]
        else:
            assert getattr(loaded, field.name) == getattr(program, field.name), field.name
    assert loaded == program
    assert [i.name for i in loaded.instructions] == ["LOAD", "END"]
    assert os.listdir(tmp_path) == ["a.tile"]


def test_bytes_are_deterministic() -> None:
    program = example()
    other = dataclasses.replace(
        program,
        metadata=dict(reversed(program.metadata.items())),
    )
    assert other.to_bytes() == program.to_bytes() == example().to_bytes()


def test_every_flipped_byte_and_every_truncation_is_noticed() -> None:
    data = example().to_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ProgramError):
            Program.from_bytes(bytes(damaged))
        with pytest.raises(ProgramError):
            Program.from_bytes(data[:position])


def changed_version(data: bytes, index: int, step: int = 1) -> bytes:
    values = list(HEADER.unpack(data[: HEADER.size]))
    values[index] += step
    values[-1] = zlib.crc32(HEADER.pack(*values)[:-4])
    return HEADER.pack(*values) + data[HEADER.size :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: b"hello", "p: not a Tilewright program; `tilewright compile` makes one"),
        (lambda d: b"", "p: not a Tilewright program; `tilewright compile` makes one"),
        (lambda d: d[:-1], "p: truncated: {size} bytes expected, {less} there; copy or compile "
                           "it again"),
        (lambda d: d + b"\0", "p: altered: 1 bytes follow the program's {size}; compile again"),
        (lambda d: d.replace(b"\1" * 64, b"\2" * 64), "p: altered: the section 'image' does not "
                                                      "match its checksum; copy or compile it "
                                                      "again"),
        (lambda d: changed_version(d, 1), "p: format version 4, ISA version 1; this Tilewright "
                                          "reads 3 and up to 1; compile the model again with this "
                                          "one"),
        (lambda d: changed_version(d, 1, -1), "p: format version 2, ISA version 1; this Tilewright "
                                              "reads 3 and up to 1; compile the model again with "
                                              "this one"),
    ],
)  # fmt: skip
def test_errors_say_what_was_found_and_what_to_do(damage, message: str) -> None:
    data = example().to_bytes()
    with pytest.raises(ProgramError) as caught:
        Program.from_bytes(damage(data), where="p")
    assert str(caught.value) == message.format(size=len(data), less=len(data) - 1)


def test_other_config_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tile"
    example().save(path)
    with pytest.raises(ProgramError, match=r"made for config 'nano' \(4x4.*this is 'edge' \(8x8"):
        Program.load(path, PRESETS["edge"])
    assert Program.load(path, NANO.replace(name="renamed")).config == NANO


def test_missing_file_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"none\.tile: cannot be read: No such file"):
        Program.load(tmp_path / "none.tile")
    with pytest.raises(ProgramError, match=r"a\.tile: cannot be written: No such file"):
        example().save(tmp_path / "missing" / "a.tile")


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.tile"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ProgramError, match=r"a\.tile: cannot be written: No space left"):
        example().save(path)
    assert os.listdir(tmp_path) == ["a.tile"]
    assert path.read_bytes() == b"old"


def test_symbols_by_name_and_kind() -> None:
    program = example()
    assert program.symbol("x").address == 1024
    assert [symbol.name for symbol in program.of_kind("program")] == ["code"]
    with pytest.raises(ProgramError, match="no symbol 'y'; it has x, code"):
        program.symbol("y")


def test_header_is_what_the_docstring_says() -> None:
    data = example().to_bytes()
    magic, version, isa_version, size, directory_size = struct.unpack_from("<8sIIQI", data)
    assert (magic, version, isa_version, size) == (b"TILEWRT\x1a", 3, 1, len(data))
    directory = data[HEADER.size : HEADER.size + directory_size]
    assert zlib.crc32(directory) == struct.unpack_from("<I", data, 28)[0]
