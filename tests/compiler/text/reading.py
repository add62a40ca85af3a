"""xDSL as an independent reader of the text: operations, and attributes as Python values."""

from collections.abc import Iterator

import numpy as np
from xdsl.context import Context
from xdsl.dialects import builtin
from xdsl.dialects.func import Func
from xdsl.ir import Attribute, Operation
from xdsl.parser import Parser


def parse(text: str) -> Operation:
    """Return the module of a text, verified."""
    context = Context(allow_unregistered=True)
    context.load_dialect(builtin.Builtin)
    context.load_dialect(Func)
    module = Parser(context, text).parse_module()
    module.verify()
    return module


def name_of(operation: Operation) -> str:
    given = operation.attributes.get("op_name__")
    return operation.name if given is None else given.data


def attributes_of(operation: Operation) -> dict[str, object]:
    found = {**operation.properties, **operation.attributes}
    return {key: value_of(item) for key, item in found.items() if key != "op_name__"}


def operations(module: Operation, prefix: str = "tw.") -> Iterator[Operation]:
    return (found for found in module.walk() if name_of(found).startswith(prefix))


def value_of(attribute: Attribute) -> object:
    """Return the Python value of an attribute."""
    match attribute:
        case builtin.IntegerAttr():
            is_flag = attribute.type == builtin.i1
            return bool(attribute.value.data) if is_flag else attribute.value.data
        case builtin.FloatAttr():
            return float(np.float32(attribute.value.data))
        case builtin.StringAttr():
            return attribute.data
        case builtin.BytesAttr():
            return attribute.data.decode()
        case builtin.ArrayAttr():
            return tuple(value_of(item) for item in attribute)
        case builtin.DenseArrayBase():
            return tuple(attribute.get_values())
        case builtin.DictionaryAttr():
            return {key: value_of(item) for key, item in attribute.data.items()}
        case builtin.DenseIntOrFPElementsAttr():
            kind = attribute.get_type()
            is_float = isinstance(kind.element_type, builtin.Float32Type)
            dtype = "f4" if is_float else _integer(kind.element_type)
            return np.array(attribute.get_values(), dtype).reshape(kind.get_shape())
    return str(attribute)


def _integer(kind: builtin.IntegerType) -> str:
    is_unsigned = kind.signedness.data == builtin.Signedness.UNSIGNED
    return f"{'u' if is_unsigned else 'i'}{kind.width.data // 8}"
