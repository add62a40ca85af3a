"""Values on the command line."""

import pytest

from tilewright.flows.sweep.ranges import parse_values
from tilewright.support.errors import InputError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", (8,)),
        ("0", (0,)),
        ("16,4,8,4", (4, 8, 16)),
        ("4:32", (4, 8, 16, 32)),
        ("3:13", (3, 6, 12)),
        ("4:16:4", (4, 8, 12, 16)),
        ("1:2,12", (1, 2, 12)),
        ("8:8", (8,)),
    ],
)
def test_values_are_lists_doublings_and_steps(text, values):
    assert parse_values(text, "--rows") == values


@pytest.mark.parametrize("text", ["", "a", "4,", "-4", "0:4", "8:4", "4:8:0", "1:2:3:4", "4:x"])
def test_what_is_no_value_is_refused(text):
    with pytest.raises(InputError, match=r"--rows: values are a list"):
        parse_values(text, "--rows")


def test_too_many_values_are_refused_before_they_are_made():
    with pytest.raises(InputError, match=r"--cols: '1:9999999999:1' is more than 4096 values"):
        parse_values("4,1:9999999999:1", "--cols")
    assert parse_values("1:8192:2", "--rows") == tuple(range(1, 8192, 2))
