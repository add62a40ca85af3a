"""Types and shapes of what operators make that ONNX Runtime knows and ONNX does not."""

from collections.abc import Sequence

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from tilewright.support.errors import ModelError
from tilewright.support.ort import open_session

RENAMED = {"float": "FLOAT", "double": "DOUBLE"}
"""ONNX Runtime's names of types that ONNX calls otherwise."""


def is_unknown(node: NodeProto) -> bool:
    """Whether ONNX has no such operator."""
    return not onnx.defs.has(node.op_type, "" if node.domain == "ai.onnx" else node.domain)


def is_accepted(model: ModelProto) -> bool:
    """Whether ONNX Runtime can run it."""
    try:
        open_session(model.SerializeToString())
    except (ModelError, ValueError):  # as below
        return False
    return True


def runtime_types(model: ModelProto, names: Sequence[str]) -> list[ValueInfoProto]:
    """The values `names` with their types and static shapes, as far as ONNX Runtime knows them.

    None of them where it refuses the model.
    """
    asked = ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    try:
        outputs = open_session(asked.SerializeToString()).get_outputs()
    except (ModelError, ValueError):  # protobuf holds no more than 2 GiB
        return []
    return [
        helper.make_tensor_value_info(item.name, kind, item.shape)
        for item in outputs
        if (kind := _kind(item.type)) and all(isinstance(size, int) for size in item.shape)
    ]


def _kind(name: str) -> int:
    """The element type of "tensor(float)"; 0 of what is no tensor."""
    given = name.removeprefix("tensor(").removesuffix(")")
    known = dict(TensorProto.DataType.items())
    return 0 if given == name else known.get(RENAMED.get(given, given.upper()), 0)
