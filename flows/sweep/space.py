"""The space of a sweep: bases, ranges of any config field, and the configs that they make."""

import dataclasses
import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from tilewright.flows.sweep.ranges import parse_values
from tilewright.flows.sweep.scaling import scaled_fields
from tilewright.hw.spec.config import PRESETS, Config, largest_divisor
from tilewright.support.errors import ConfigError, InputError
from tilewright.support.records import record

FIELDS = tuple(item.name for item in dataclasses.fields(Config) if item.name != "name")
"""The config's fields that a sweep can vary."""
TABLES = ("bases", "set", "ranges", "scale")
"""What a space's TOML file can have."""


@record(frozen=True, kw_only=True)
class Candidate:
    """One config of a space, or why there is none."""

    name: str
    base: Config
    asked: Mapping[str, int]
    """The fields that the sweep asks for, with their values."""
    config: Config | None = None
    error: str = ""

    @property
    def changes(self) -> str:
        """What differs from the base besides what was asked; tiles where they are not derived."""
        if self.config is None:
            return ""
        return ", ".join(
            f"{name} {getattr(self.base, name)} -> {value}"
            for name, value in _fields(self.config).items()
            if value != getattr(self.base, name)
            and name not in self.asked
            and not _is_derived(name, value, self.config)
        )

    @property
    def is_without_depthwise(self) -> bool:
        """Whether the base has a depthwise unit that this config cannot have."""
        has_lost = self.config is not None and self.config.depthwise_taps == 0
        return has_lost and self.base.depthwise_taps > 0 and "depthwise_taps" not in self.asked


@record(frozen=True, kw_only=True)
class Space:
    """All combinations of bases and ranges.

    bases: configs whose fields the points have where nothing else is asked.
    asked: fields of every point, which no rule changes.
    ranges: values by field. Arrays are square where `rows` have a range and `cols` are not given.
    scale: memories, lanes and bus grow with the array (`scaling`).

    Raises InputError, naming the field, for one that a config lacks.
    """

    bases: tuple[Config, ...] = (PRESETS["base"],)
    asked: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    scale: bool = True

    def __post_init__(self) -> None:
        for name in (*self.asked, *self.ranges):
            if name not in FIELDS:
                raise InputError(
                    f"a sweep has no field {name!r}; the fields are {', '.join(sorted(FIELDS))}"
                )

    @property
    def num_points(self) -> int:
        """How many configs the space has."""
        return len(self.bases) * math.prod(len(values) for values in self.ranges.values())

    def candidates(self) -> Iterator[Candidate]:
        """Yield the configs, base by base, the last range the fastest."""
        for base in self.bases:
            for values in itertools.product(*self.ranges.values()):
                yield self.candidate(base, dict(zip(self.ranges, values, strict=True)))

    def candidate(self, base: Config, point: Mapping[str, int]) -> Candidate:
        """Return the config of a base with a value of each range, or why there is none."""
        asked = {**self.asked, **point}
        if "rows" in point and "cols" not in asked:
            asked["cols"] = asked["rows"]
        changes = {**scaled_fields(base, asked, self.scale), **asked}
        name = _name(base, point, asked)
        try:
            config = base.replace(name=name, **changes)
        except ConfigError as error:
            return Candidate(name=name, base=base, asked=asked, error=str(error))
        return Candidate(name=name, base=base, asked=asked, config=config)


def load_space(path: Path) -> Space:
    """Read a space from a TOML file: `bases`, `scale`, and the tables `set` and `ranges`.

    Raises InputError or ConfigError.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a TOML file with bases, set and ranges")
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    unknown = sorted(given.keys() - set(TABLES))
    if unknown:
        raise InputError(f"{path}: unknown {unknown[0]!r}; a space has {', '.join(TABLES)}")
    ranges = {
        name: parse_values(_text(values), f"{path}: {name}")
        for name, values in given.get("ranges", {}).items()
    }
    return Space(
        bases=tuple(Config.load(name) for name in given.get("bases", ["base"])),
        asked=given.get("set", {}),
        ranges=ranges,
        scale=given.get("scale", True),
    )


def settings_of(config: Config) -> str:
    """Return the options that give a config to any command: the nearest preset, and changes."""

    def changes(preset: Config) -> list[str]:
        given = _fields(preset)
        return [f"{name}={value}" for name, value in _fields(config).items()
                if value != given[name] and not _is_derived(name, value, config)]  # fmt: skip

    nearest = min(PRESETS.values(), key=lambda preset: len(changes(preset)))
    changed = changes(nearest)
    return f"--preset {nearest.name}" + (f" --set {','.join(changed)}" if changed else "")


def _fields(config: Config) -> dict[str, int]:
    return {name: getattr(config, name) for name in FIELDS}


def _is_derived(name: str, value: int, config: Config) -> bool:
    """Whether a tile's size is the one that the config picks by itself."""
    if name not in ("tile_rows", "tile_cols"):
        return False
    return value == largest_divisor(getattr(config, name.removeprefix("tile_")), 16)


def _name(base: Config, point: Mapping[str, int], asked: Mapping[str, int]) -> str:
    size = f"-{asked['rows']}x{asked['cols']}" if {"rows", "cols"} <= asked.keys() else ""
    others = [f"-{name}{value}" for name, value in point.items() if name not in ("rows", "cols")]
    return f"{base.name}{size}{''.join(others)}"


def _text(values: Any) -> str:
    return ",".join(map(str, values)) if isinstance(values, list) else str(values)
