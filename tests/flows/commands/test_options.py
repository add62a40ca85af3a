"""--preset, --config and --set."""

import pytest

from tilewright.flows.commands.options import parse_settings, resolve_config
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import ConfigError


def test_default_and_preset():
    assert resolve_config(None, None, ()) is PRESETS["base"]
    assert resolve_config("nano", None, ()) is PRESETS["nano"]


def test_config_file_and_settings(tmp_path):
    (tmp_path / "c.toml").write_text(PRESETS["edge"].to_toml())
    assert resolve_config(None, tmp_path / "c.toml", ()) == PRESETS["edge"]
    config = resolve_config(None, tmp_path / "c.toml", ("rows=12", "lanes=4,cols=20"))
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
        resolve_config("base", None, settings)


def test_bad_files(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        resolve_config(None, tmp_path / "missing.toml", ())
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not a TOML text file"):
        resolve_config(None, tmp_path / "bad.toml", ())
    (tmp_path / "bad.toml").write_text("rows = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        resolve_config(None, tmp_path / "bad.toml", ())
    with pytest.raises(ConfigError, match="exclude each other"):
        resolve_config("base", tmp_path / "bad.toml", ())
