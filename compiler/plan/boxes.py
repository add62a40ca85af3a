"""Boxes of pixels: tiles of a map, what their windows read, and the sizes to choose from."""

from tilewright.compiler.limits import MAX_SIDE
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Box:
    """Pixels [top, bottom) x [left, right) of a map."""

    top: int
    bottom: int
    left: int
    right: int

    # By hand: of a record they are not native code, and boxes are looked up for every transfer.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Box):
            return False
        is_same_top = self.top == other.top and self.left == other.left
        return is_same_top and self.bottom == other.bottom and self.right == other.right

    def __hash__(self) -> int:
        return hash((self.top, self.bottom, self.left, self.right))

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def pixels(self) -> int:
        return self.height * self.width


def source_box(
    out: Box,
    *,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    size: tuple[int, int],
) -> Box:
    """Return the source pixels inside a map of `size` that the windows of `out` touch."""
    rows, columns = (out.top, out.bottom), (out.left, out.right)
    top, bottom = reach(rows, kernel[0], strides[0], pads[0], dilations[0], size[0])
    left, right = reach(columns, kernel[1], strides[1], pads[1], dilations[1], size[1])
    return Box(top=top, bottom=bottom, left=left, right=right)


def reach(
    outputs: tuple[int, int], kernel: int, stride: int, pad: int, dilation: int, size: int
) -> tuple[int, int]:
    """Return the source rows (or columns) inside `size` that the windows of a range touch."""
    first = outputs[0] * stride - pad
    behind = (outputs[1] - 1) * stride - pad + (kernel - 1) * dilation + 1
    first = min(max(first, 0), size)
    return first, max(min(behind, size), first)


def split(size: int, step: int) -> list[tuple[int, int]]:
    """Cut [0, size) into ranges of `step`."""
    return [(at, min(at + step, size)) for at in range(0, size, step)]


def ceilings(size: int) -> list[int]:
    """Ceilings of size / n, from the whole down to 1."""
    return sorted({-(-size // n) for n in range(1, size + 1)}, reverse=True)


def tile_sides(
    out: tuple[int, int],
    source: tuple[int, int],
    *,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> tuple[list[int], list[int]]:
    """Return the heights and the widths of tiles to choose from, largest first: ceilings of the
    output's over n, so that neither the tile nor the source it reads is too large for the fields.
    """
    heights, widths = (
        [
            side
            for side in ceilings(out[axis])
            if max(out[axis], source[axis]) <= MAX_SIDE
            or max(side, (side - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1)
            <= MAX_SIDE
        ]
        for axis in (0, 1)
    )
    return heights, widths


def boxes(height: int, width: int, tile_height: int, tile_width: int) -> list[Box]:
    """Cut a map of height x width into tiles, row by row."""
    return [
        Box(top=top, bottom=bottom, left=left, right=right)
        for top, bottom in split(height, tile_height)
        for left, right in split(width, tile_width)
    ]
