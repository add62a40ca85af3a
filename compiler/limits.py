"""How much one instruction does at most: the largest values that its fields hold."""

from tilewright.hw.spec.instruction_set import BY_NAME


def _limit(operation: str, name: str) -> int:
    """Return the largest value of a field whose width depends on no config."""
    (width,) = (field.width for field in BY_NAME[operation].fields if field.name == name)
    assert isinstance(width, int), name
    return (1 << width) - 1


MAX_RUN = min(_limit("LOAD", "run"), _limit("STORE", "run"))
"""Words."""
MAX_COUNT = min(_limit(name, f"count{axis}") for name in ("LOAD", "STORE") for axis in range(3))
"""Runs of a transfer along one of its dimensions."""
MAX_BLOCKS = min(
    _limit("MATRIX", "out_blocks"), _limit("MATRIX", "in_blocks"), _limit("DEPTHWISE", "blocks")
)
MAX_GROUPS = _limit("VECTOR", "groups")
"""Lane groups."""
MAX_KERNEL = min(_limit("MATRIX", "kernel_height"), _limit("MATRIX", "kernel_width"))
"""Rows, or columns, of the window of a MATRIX."""
MAX_STRIDE = min(_limit("VECTOR", "stride_y"), _limit("VECTOR", "stride_x"))
"""Rows, or columns, between two steps of a window of VECTOR."""
MAX_DILATION = min(_limit("VECTOR", "dilation_y"), _limit("VECTOR", "dilation_x"))
"""Rows, or columns, between two rows, or columns, of a window of VECTOR."""
MAX_SIDE = MAX_COUNT
"""Rows, or columns, of a resident map, of a tile, and of a tile's source: what moves it by rows
counts them; the fields of a window's origin then have room for its padding."""
