"""--preset, --config and --set."""

import pytest

from tilewright.flows.commands.options import GivenConfig, parse_settings
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ConfigError


def test_default_and_preset():
    assert GivenConfig().resolve() is PRESETS["base"]
    assert GivenConfig(preset="nano").resolve() is PRESETS["nano"]


def test_config_file_and_settings(tmp_path):
    (tmp_path / "c.toml").write_text(PRESETS["edge"].to_toml())
    assert GivenConfig(config_file=tmp_path / "c.toml").resolve() == PRESETS["edge"]
    given = GivenConfig(config_file=tmp_path / "c.toml", settings=("rows=12", "lanes=4,cols=20"))
    config = given.resolve()
    assert (config.name, config.rows, config.cols, config.lanes) == ("custom", 12, 20, 4)
    assert config.tile_rows == 12


def test_parse_settings_takes_lists_and_names():
    assert parse_settings(("rows=8 lanes=0x4", "name=mine")) == {
        "rows": 8,
        "lanes": 4,
        "name": "mine",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("rows",), "needs FIELD=VALUE"),
        (("row=8",), "unknown field 'row'"),
        (("rows=many",), "rows must be an integer, got 'many'"),
        (("rows=12",), "lanes must be a divisor of both rows and cols, got 16"),
        (("weight_kib=0",), "weight_kib must be 1 to 16384, got 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        GivenConfig(preset="base", settings=settings).resolve()


def test_bad_files(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        GivenConfig(config_file=tmp_path / "missing.toml").resolve()
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not a TOML text file"):
        GivenConfig(config_file=tmp_path / "bad.toml").resolve()
    (tmp_path / "bad.toml").write_text("rows = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        GivenConfig(config_file=tmp_path / "bad.toml").resolve()
    with pytest.raises(ConfigError, match="exclude each other"):
        GivenConfig(preset="base", config_file=tmp_path / "bad.toml").resolve()
