"""MLIR's generic form: operations with regions, and Python values as builtin attributes.

Only the builtin types and attributes occur besides the dialect `tw`, which nobody has to register:
`mlir-opt --allow-unregistered-dialect` and xDSL read the text. See MLIR's Language Reference,
"Operations" and "Attributes".
"""

import enum
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INDENT = "  "
_KEY = re.compile(r"[A-Za-z_][\w$.]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Value:
    """An SSA value: its name without the sign, and its type's text."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation; `attributes` are Python values."""

    name: str
    operands: tuple[Value, ...] = ()
    results: tuple[Value, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of an operation that MLIR itself knows."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[Value, ...] = ()
    """Of the region's only block."""
    body: "tuple[Operation, ...] | None" = None
    """The region, if there is one."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The text of an attribute that has no Python value, such as a type."""

    text: str


def function_type(arguments: tuple[Value, ...], results: tuple[Value, ...]) -> str:
    """Return the type of an operation, or a function, with these operands and results."""
    return f"({_types(arguments)}) -> ({_types(results)})"


def _types(values: tuple[Value, ...]) -> str:
    return ", ".join(value.type for value in values)


class Names:
    """Hands out legal, unique SSA names for any texts."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, text: str) -> str:
        """Return a name that reads like `text`; every call's name is another one."""
        stem = re.sub(r"\W", "_", text, flags=re.ASCII) or "_"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name


class Printer:
    """Formats operations. Arrays are shape and digest, their values only `with_weights`."""

    def __init__(self, *, with_weights: bool = False) -> None:
        self._with_weights = with_weights

    def text(self, operation: Operation) -> str:
        """Return the lines of an operation, the last one ended."""
        return "".join(f"{line}\n" for line in self._lines(operation))

    def _lines(self, operation: Operation) -> Iterator[str]:
        results = ", ".join(f"%{value.name}" for value in operation.results)
        operands = ", ".join(f"%{value.name}" for value in operation.operands)
        head = f"{results} = " if results else ""
        head += f'"{operation.name}"({operands})'
        if operation.properties:
            head += f" <{self._dictionary(operation.properties)}>"
        tail = f" {self._dictionary(operation.attributes)}" if operation.attributes else ""
        tail += f" : {function_type(operation.operands, operation.results)}"
        if operation.body is None:
            yield head + tail
            return
        yield f"{head} ({{"
        if operation.arguments:
            block = ", ".join(f"%{value.name}: {value.type}" for value in operation.arguments)
            yield f"^bb0({block}):"
        for inner in operation.body:
            for line in self._lines(inner):
                yield INDENT + line
        yield "})" + tail

    def _dictionary(self, values: Mapping[str, Any]) -> str:
        inner = ", ".join(f"{_key(key)} = {self.attribute(v)}" for key, v in values.items())
        return f"{{{inner}}}"

    def attribute(self, value: Any) -> str:
        """Return the attribute of a Python value; records are dictionaries of their fields."""
        if isinstance(value, Raw):
            return value.text
        if isinstance(value, enum.Enum):
            return string(value.name)
        if isinstance(value, bool | np.bool_):
            return "true" if value else "false"
        if isinstance(value, int | np.integer):
            return f"{value} : i64"
        if isinstance(value, float | np.floating):
            return binary32(float(value))
        if isinstance(value, str):
            return string(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, Mapping):
            return self._dictionary(value)
        if is_dataclass(value):
            return self._dictionary(record(value))
        assert isinstance(value, tuple | list), type(value)
        if value and all(type(item) is int for item in value):
            return f"array<i64: {', '.join(map(str, value))}>"
        return f"[{', '.join(self.attribute(item) for item in value)}]"

    def _array(self, array: NDArray[Any]) -> str:
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        kind = tensor_type(array.shape, array.dtype)
        if not self._with_weights:
            digest = hashlib.sha256(data).hexdigest()[:16]
            return f"{{digest = {string(digest)}, type = {kind}}}"
        return f'dense<"0x{data.hex().upper()}"> : {kind}' if data else f"dense<> : {kind}"


def record(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that hold something."""
    found = {item.name: getattr(value, item.name) for item in fields(value)}
    return {name: content for name, content in found.items() if content is not None}


ELEMENTS = {"i": "i", "u": "ui", "f": "f"}
"""MLIR's names of NumPy's kinds of numbers."""


def tensor_type(shape: "tuple[int | None, ...]", dtype: "np.dtype[Any]", encoding: str = "") -> str:
    """Return the type of a tensor of numbers, signed ones signless, or of truth values.

    An axis of None has any size.
    """
    size = "".join(f"{'?' if length is None else length}x" for length in shape)
    element = "i1" if dtype.kind == "b" else f"{ELEMENTS[dtype.kind]}{8 * dtype.itemsize}"
    return f"tensor<{size}{element}{encoding and ', ' + encoding}>"


def string(text: str) -> str:
    """Return a string attribute; bytes beyond printable ASCII are hexadecimal, as MLIR prints."""
    return '"' + "".join(_escaped(byte) for byte in text.encode()) + '"'


def _escaped(byte: int) -> str:
    character = chr(byte)
    is_plain = 0x20 <= byte < 0x7F and character not in '"\\'
    return character if is_plain else f"\\{byte:02X}"


def binary32(value: float) -> str:
    """Return the attribute of a binary32 value: a decimal that reads back to the same bits."""
    single = np.float32(value)
    assert np.isnan(single) or float(single) == value, f"{value!r} is no binary32 value"
    if not np.isfinite(single):
        return f"0x{single.view(np.uint32):08X} : f32"
    short = str(single)
    text = short if np.float32(float(short)) == single else repr(float(single))
    mantissa, exponent, power = text.partition("e")
    mantissa += "" if "." in mantissa else ".0"
    return f"{mantissa}{exponent}{power} : f32"


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) else string(key)
