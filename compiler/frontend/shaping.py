"""Operands that decide a shape become constants where exporters compute them from other shapes.

ONNX's inference follows Shape, Gather and Concat in front of a Reshape or Resize, but not every
operator that exporters put there (Div, Cast, Pow, Where in front of Pad, say).
"""

from onnx import ModelProto, numpy_helper

from tilewright.compiler.frontend.known import Known, shape_of

SHAPING_OPERANDS = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Tile": (1,),
    "Upsample": (1,),
}
"""By operator: the inputs whose values decide the shape of its result."""


def fix_shaping_operands(model: ModelProto) -> bool:
    """Make such operands of operators of unknown shape constant; tell whether there were any.

    model: with its shapes inferred; it is changed.
    """
    graph = model.graph
    described = {
        item.name for item in (*graph.value_info, *graph.output) if shape_of(item) is not None
    }
    known = Known(model)
    constants = {}
    for node in graph.node:
        if node.domain or described.issuperset(node.output):
            continue
        for position in SHAPING_OPERANDS.get(node.op_type, ()):
            name = node.input[position] if position < len(node.input) else ""
            value = known.value_of(name) if name in known.makers else None
            if value is not None:
                node.input[position] = f"constant of {name}"
                constants[node.input[position]] = value
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())
    return bool(constants)
