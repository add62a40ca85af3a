"""The limits of the fields: the encoder takes them, and nothing larger."""

import pytest

from tilewright.compiler import limits
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.encoding import encode
from tilewright.hw.spec.instruction_set import instruction
from tilewright.support.errors import TilewrightError

FIELDS = [
    ("LOAD", "run", limits.MAX_RUN),
    ("STORE", "run", limits.MAX_RUN),
    ("LOAD", "count2", limits.MAX_COUNT),
    ("STORE", "count0", limits.MAX_COUNT),
    ("MATRIX", "out_blocks", limits.MAX_BLOCKS),
    ("MATRIX", "in_blocks", limits.MAX_BLOCKS),
    ("DEPTHWISE", "blocks", limits.MAX_BLOCKS),
    ("VECTOR", "groups", limits.MAX_GROUPS),
    ("VECTOR", "stride_y", limits.MAX_STRIDE),
    ("VECTOR", "stride_x", limits.MAX_STRIDE),
    ("MATRIX", "kernel_width", limits.MAX_KERNEL),
]


@pytest.mark.parametrize(("operation", "field", "limit"), FIELDS)
def test_fields_hold_their_limit_and_no_more(operation, field, limit):
    config = PRESETS["base"]
    encode(instruction(operation, **{field: limit}), config)
    with pytest.raises(TilewrightError, match=field):
        encode(instruction(operation, **{field: limit + 1}), config)


@pytest.mark.parametrize("field", ["origin_y", "origin_x"])
def test_a_window_of_the_largest_side_starts_as_far_outside_the_map(field):
    encode(instruction("MATRIX", **{field: -limits.MAX_SIDE}), PRESETS["base"])
