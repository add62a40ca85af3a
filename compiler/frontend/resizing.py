"""The size of what Resize and Upsample make by scales, as ONNX Runtime computes it: in float32.

ONNX's inference computes in float64, where 5 / 3 as a float32 makes less than 5 pixels of 3.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, helper, numpy_helper

from tilewright.compiler.frontend.evaluate import Array
from tilewright.compiler.frontend.known import Known, shape_of


def resized(shape: Sequence[int], scales: ArrayLike) -> tuple[int, ...]:
    """The shape that an array of `shape` has when it is enlarged by a scale for each axis."""
    sizes = np.asarray(scales, np.float32) * np.asarray(shape, np.float32)
    return tuple(int(size) for size in np.floor(sizes))


def fix_sizes(model: ModelProto, inferred: ModelProto) -> bool:
    """Put a Reshape in place of operators of `model` whose size is `inferred` wrongly.

    Tells whether there were any; `model` then states no shapes but those of its inputs.
    """
    graph, known = model.graph, Known(inferred)
    described = (*inferred.graph.value_info, *inferred.graph.output)
    shapes = known.shapes | {item.name: shape_of(item) for item in described}
    is_wrong = False
    for node in graph.node:
        given = shapes.get(node.input[0]) if node.op_type in ("Resize", "Upsample") else None
        scales = _scales(node, known) if given is not None and not node.domain else None
        if given is None or scales is None or len(scales) != len(given):
            continue
        wanted = resized(given, scales)
        if shapes.get(node.output[0], wanted) != wanted:
            is_wrong = True
            name = f"shape of {node.output[0]}"
            graph.initializer.append(numpy_helper.from_array(np.array(wanted), name))
            node.CopyFrom(helper.make_node("Reshape", [node.input[0], name], node.output))
    for item in (*graph.value_info, *graph.output) if is_wrong else ():
        item.type.tensor_type.ClearField("shape")
    return is_wrong


def _scales(node: NodeProto, known: Known) -> Sequence[float] | Array | None:
    """The scales, where they decide the size, are constant and of all axes."""
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if "axes" in attributes:
        return None
    if "scales" in attributes:
        scales: Sequence[float] = attributes["scales"]
        return scales
    *others, name = node.input
    return known.value_of(name) if name and len(others) in (1, 2) else None
