"""Sizes on the command line and the configs they give."""

import pytest

from tilewright.flows.sweep.points import config_for, parse_sizes, sweep_points
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("8", (8,)),
        ("16,4,8,4", (4, 8, 16)),
        ("4:32", (4, 8, 16, 32)),
        ("3:13", (3, 6, 12)),
        ("4:16:4", (4, 8, 12, 16)),
        ("1:2,12", (1, 2, 12)),
        ("8:8", (8,)),
    ],
)
def test_parse_sizes(text, sizes):
    assert parse_sizes(text, "--rows") == sizes


@pytest.mark.parametrize("text", ["", "a", "4,", "0", "-4", "8:4", "4:8:0", "1:2:3:4", "4:x"])
def test_parse_sizes_rejects(text):
    with pytest.raises(InputError, match=r"--rows: sizes are a list"):
        parse_sizes(text, "--rows")


def test_parse_sizes_rejects_too_many_at_once():
    with pytest.raises(InputError, match=r"--cols: '1:9999999999:1' is more than 4096 sizes"):
        parse_sizes("4,1:9999999999:1", "--cols")
    assert parse_sizes("1:8192:2", "--rows") == tuple(range(1, 8192, 2))


def test_sweep_points_are_all_pairs_or_squares():
    assert sweep_points((4, 8), (2, 3)) == [(4, 2), (4, 3), (8, 2), (8, 3)]
    assert sweep_points((4, 8)) == [(4, 4), (8, 8)]
    with pytest.raises(InputError, match="at most"):
        sweep_points(range(1, 100), range(1, 100))


@pytest.mark.parametrize(
    ("rows", "cols", "lanes", "operand_lanes"),
    [(16, 16, 16, 4), (12, 20, 4, 4), (8, 16, 8, 4), (3, 5, 1, 1), (32, 32, 16, 4), (6, 6, 6, 3)],
)
def test_config_for_adapts_the_lanes(rows, cols, lanes, operand_lanes):
    config = config_for(PRESETS["base"], rows, cols)
    assert (config.rows, config.cols) == (rows, cols)
    assert (config.lanes, config.operand_lanes) == (lanes, operand_lanes)


def test_config_for_rejects_what_the_config_rejects():
    with pytest.raises(ConfigError, match="rows must be 1 to 128, got 256"):
        config_for(PRESETS["base"], 256, 256)
