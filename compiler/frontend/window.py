"""Kernel, stride, padding and output size of ONNX Conv and pooling nodes, in two dimensions."""

from collections.abc import Sequence

from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.values import Index, UnsupportedError
from tilewright.compiler.limits import MAX_DILATION, MAX_STRIDE
from tilewright.support.records import record

Pads = tuple[int, int, int, int]
NO_PADS: Pads = (0, 0, 0, 0)


@record(frozen=True, kw_only=True)
class Window:
    """A window sliding over a map; `pads` are (top, left, bottom, right).

    With ceil_mode the bottom and right pads include what the last windows reach beyond the ONNX
    padding; `overhang` (rows, columns) says how much that is.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: Pads
    dilations: tuple[int, int]
    output: tuple[int, int]
    overhang: tuple[int, int]


def spatial_index(index: Index) -> Index:
    """View an index of ONNX shape [1, C, W] or [1, C, H, W] as (C, H, W).

    Raises:
        UnsupportedError: another rank, or a batch other than 1.
    """
    if index.ndim not in (3, 4):
        raise UnsupportedError(
            f"its input must have 1 or 2 spatial dimensions, got the shape {list(index.shape)}"
        )
    if index.shape[0] != 1:
        raise UnsupportedError(f"its batch must be 1, got {index.shape[0]}")
    height = index.shape[2] if index.ndim == 4 else 1
    return index.reshape(index.shape[1], height, index.shape[-1])


def window_of(
    node: Operator, kernel: Sequence[int], size: Sequence[int], extra_pads: Pads = NO_PADS
) -> Window:
    """Resolve the attributes of `node` for an input of spatial `size`; both are 1-D or 2-D.

    `extra_pads` come from a Pad in front of the node and count as part of the input.
    """
    rank = len(kernel)
    strides = list(node.attribute("strides", [1] * rank))
    dilations = list(node.attribute("dilations", [1] * rank))
    pads = list(node.attribute("pads", [0] * (2 * rank)))
    lists = (list(kernel), strides, dilations, pads[:rank], pads[rank:], list(size))
    if any(len(item) != rank for item in lists):
        raise UnsupportedError("its attributes do not fit the rank of its input")
    if rank == 1:
        kernel, strides, dilations = [1, *kernel], [1, *strides], [1, *dilations]
        pads, size = [0, pads[0], 0, pads[1]], [1, *size]
    if min(pads) < 0:
        raise UnsupportedError(f"its pads must not be negative, got {pads}")
    results = [
        _axis(
            auto_pad=node.attribute("auto_pad", "NOTSET"),
            ceil=bool(node.attribute("ceil_mode", 0)),
            size=size[axis] + extra_pads[axis] + extra_pads[axis + 2],
            reach=(kernel[axis] - 1) * dilations[axis] + 1,
            stride=strides[axis],
            before=pads[axis],
            after=pads[axis + 2],
        )
        for axis in (0, 1)
    ]
    outputs, before, after, overhang = zip(*results, strict=True)
    if min(outputs) < 1:
        raise UnsupportedError("its window is larger than its padded input")
    return Window(
        kernel=(kernel[0], kernel[1]),
        strides=_steps("strides", strides, outputs, MAX_STRIDE),
        pads=(
            before[0] + extra_pads[0],
            before[1] + extra_pads[1],
            after[0] + extra_pads[2],
            after[1] + extra_pads[3],
        ),
        dilations=_steps("dilations", dilations, kernel, MAX_DILATION),
        output=(outputs[0], outputs[1]),
        overhang=(overhang[0], overhang[1]),
    )


def _steps(name: str, steps: Sequence[int], counts: Sequence[int], limit: int) -> tuple[int, int]:
    """Return the steps of both axes, which count only where there is more than one of them."""
    rows, columns = (
        step if count > 1 else min(step, limit) for step, count in zip(steps, counts, strict=True)
    )
    if max(rows, columns) > limit:
        raise UnsupportedError(f"its {name} must be at most {limit}, got {list(steps)}")
    return rows, columns


def _axis(
    *, auto_pad: str, ceil: bool, size: int, reach: int, stride: int, before: int, after: int
) -> tuple[int, int, int, int]:
    """Return (output size, padding before, padding after, overhang) of one axis."""
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output = -(-size // stride)
        total = max((output - 1) * stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        return (output, small, large, 0) if auto_pad == "SAME_UPPER" else (output, large, small, 0)
    if auto_pad == "VALID":
        before = after = 0
    elif auto_pad not in ("NOTSET", ""):
        raise UnsupportedError(f"auto_pad must be NOTSET, VALID or SAME_*, got {auto_pad!r}")
    span = size + before + after - reach
    output = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (output - 1) * stride >= size + before:
        output -= 1
    overhang = max((output - 1) * stride - span, 0)
    return output, before, after + overhang, overhang
