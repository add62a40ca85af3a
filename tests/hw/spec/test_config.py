"""The config: presets, rules and their messages, derived sizes, TOML, digest."""

import dataclasses

import pytest

from tilewright.hw.spec.config import PRESETS, Config, largest_divisor, next_power_of_two
from tilewright.support.errors import ConfigError


def test_presets_have_the_published_sizes() -> None:
    sizes = {name: (c.rows, c.cols, c.lanes, c.axi_data_bits) for name, c in PRESETS.items()}
    assert sizes == {
        "nano": (4, 4, 2, 64),
        "edge": (8, 8, 4, 128),
        "base": (16, 16, 16, 128),
        "large": (32, 32, 32, 256),
        "xl": (64, 64, 32, 512),
    }


def test_base_has_the_published_memories() -> None:
    base = PRESETS["base"]
    assert (base.activation_words, base.weight_words) == (16384, 7168)
    assert (base.accumulator_words, base.parameter_words) == (2048, 128)
    assert (base.header_words, base.table_words) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 0}, "rows must be 1 to 128, got 0"),
        ({"cols": 129}, "cols must be 1 to 128, got 129"),
        ({"rows": "16"}, "rows must be an integer, got '16'"),
        ({"rows": True}, "rows must be an integer, got True"),
        ({"tile_rows": 5}, "tile_rows must be a divisor of rows, got 5"),
        ({"lanes": 5}, "lanes must be a divisor of both rows and cols, got 5"),
        ({"operand_lanes": 3}, "operand_lanes must be a divisor of lanes, got 3"),
        ({"activation_banks": 3}, "activation_banks must be 1, 2, 4, 8 or 16, got 3"),
        ({"axi_data_bits": 100}, "axi_data_bits must be 64, 128, 256 or 512, got 100"),
        ({"wire_registers": 1}, "wire_registers must be 0, or 1 with path_registers = 1, got 1"),
        ({"fetch_ahead": 3}, "fetch_ahead must be 4 to 64, got 3"),
        ({"multiplier_bits": 10}, "multiplier_bits must be 2 to 9, got 10"),
        ({"depthwise_taps": 2}, "depthwise_taps must be 0, 1 or 3, and 0 where rows > cols, got 2"),
        (
            {"cols": 8, "lanes": 8, "depthwise_taps": 1},
            "depthwise_taps must be 0, 1 or 3, and 0 where rows > cols, got 1",
        ),
        ({"name": "no spaces"}, "name must be letters, digits, '-' or '_', got 'no spaces'"),
        ({"name": "größe"}, "name must be letters, digits, '-' or '_', got 'größe'"),
        ({"name": ""}, "name must be letters, digits, '-' or '_', got ''"),
        (
            {"rows": 1, "cols": 1, "lanes": 1, "operand_lanes": 1, "activation_kib": 512},
            "activation_kib must give 16 to 262144 words of 1 bytes, got 512 KiB = 524288 words",
        ),
    ],
)
def test_rejects_and_names_field_rule_and_value(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_toml_round_trip(config: Config) -> None:
    assert Config.from_toml(config.to_toml()) == config


def test_names_may_begin_with_a_digit() -> None:
    assert Config.from_toml(Config(name="16x16").to_toml()).name == "16x16"


def test_unknown_fields_and_broken_toml_are_named() -> None:
    with pytest.raises(ConfigError, match=r"x\.toml: unknown field 'row'; the fields are .*rows"):
        Config.from_toml("row = 3", "x.toml")
    with pytest.raises(ConfigError, match=r"x\.toml: not valid TOML"):
        Config.from_toml("rows = ", "x.toml")


def test_load_takes_presets_and_files(tmp_path) -> None:
    assert Config.load("edge") is PRESETS["edge"]
    path = tmp_path / "mine.toml"
    path.write_text("name = 'mine'\nrows = 12\ncols = 20\nlanes = 4\n")
    assert (Config.load(path).rows, Config.load(path).tile_rows) == (12, 12)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine\.toml: not a TOML text file"):
        Config.load(path)
    with pytest.raises(ConfigError, match=r"nothing is neither a preset \(nano, edge, base"):
        Config.load("nothing")


def test_digest_ignores_the_name_and_nothing_else() -> None:
    base = PRESETS["base"]
    assert base.replace(name="other").digest == base.digest
    digests = {base.digest}
    for changes in (
        {"rows": 32}, {"cols": 32}, {"tile_rows": 8}, {"tile_cols": 8}, {"activation_kib": 128},
        {"weight_kib": 64}, {"accumulator_kib": 64}, {"parameter_kib": 8}, {"lanes": 8},
        {"operand_lanes": 2}, {"axi_data_bits": 256}, {"axi_outstanding": 32}, {"queue_depth": 4},
        {"activation_banks": 4}, {"accumulator_banks": 2}, {"tree_register_levels": 1},
        {"axi_address_bits": 40}, {"depthwise_taps": 1}, {"counters": 0}, {"multiplier_bits": 3},
        {"fetch_ahead": 8}, {"path_registers": 1}, {"path_registers": 1, "wire_registers": 1},
    ):  # fmt: skip
        digests.add(base.replace(**changes).digest)
    assert len(digests) == 24


def test_replace_picks_tiles_anew() -> None:
    assert PRESETS["base"].replace(rows=20, lanes=4).tile_rows == 10
    assert dataclasses.replace(PRESETS["base"], cols=32).tile_cols == 16


def test_a_depthwise_unit_is_there_where_it_can_be() -> None:
    taps = {name: config.depthwise_taps for name, config in PRESETS.items()}
    assert taps == {"nano": 1, "edge": 3, "base": 3, "large": 3, "xl": 3}
    assert Config(cols=32).depthwise_taps == 3
    assert Config(cols=8, lanes=8).depthwise_taps == 0
    assert PRESETS["base"].replace(cols=8, lanes=8).depthwise_taps == 0


def test_small_helpers() -> None:
    assert [next_power_of_two(n) for n in (1, 2, 3, 12, 16, 17)] == [1, 2, 4, 16, 16, 32]
    assert [largest_divisor(n, 16) for n in (1, 3, 20, 24, 64, 34)] == [1, 3, 10, 12, 16, 2]


def test_banks_divide_the_words() -> None:
    config = Config(rows=12, cols=20, lanes=4, operand_lanes=2)
    assert config.activation_words % config.activation_banks == 0
    assert config.activation_bank_words * config.activation_banks == config.activation_words
    assert config.accumulator_bank_words * config.accumulator_banks == config.accumulator_words
    assert (config.activation_pitch, config.weight_pitch, config.parameter_pitch) == (16, 32, 32)
