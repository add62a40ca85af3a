"""Options of `sweep` and `recommend`, and what they are made into."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.flows.commands.options import (
    Decorator,
    FilePath,
    collected,
    complete_fields,
    parse_settings,
    set_option,
)
from tilewright.flows.sweep.ranges import parse_values
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.support.errors import InputError, ModelError
from tilewright.support.files import check_folder, check_targets, missing
from tilewright.support.records import record

if TYPE_CHECKING:
    from tilewright.flows.sweep.job import Model
    from tilewright.flows.sweep.limits import Limit
    from tilewright.flows.sweep.space import Space


@record(frozen=True, kw_only=True)
class GivenSpace:
    """Which configs are asked for."""

    rows: str | None = None
    cols: str | None = None
    ranges: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    config_files: tuple[Path, ...] = ()
    settings: tuple[str, ...] = ()
    space_file: Path | None = None
    scale: bool | None = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        """What is read."""
        return (*self.config_files, self.space_file)

    def resolve(self, default: "Space | None" = None) -> "Space":
        """Return the space of the file, or the default one, with what the options say above it.

        Raises InputError or ConfigError.
        """
        from tilewright.flows.sweep.space import Space, load_space

        loaded = tuple(Config.from_file(path) for path in self.config_files)
        bases = (*(PRESETS[name] for name in self.presets), *loaded)
        space = (default or Space()) if self.space_file is None else load_space(self.space_file)
        return dataclasses.replace(
            space,
            bases=bases or space.bases,
            asked={**space.asked, **parse_settings(self.settings)},
            ranges={**space.ranges, **self._ranges()},
            scale=space.scale if self.scale is None else self.scale,
        )

    def _ranges(self) -> dict[str, tuple[int, ...]]:
        """The values by field."""
        sides = (("rows", self.rows), ("cols", self.cols))
        found = {name: parse_values(text, f"--{name}") for name, text in sides if text}
        for given in self.ranges:
            name, equals, text = given.partition("=")
            if not equals or name in found:
                raise InputError(f"--set-range: FIELD=VALUES, each field once, got {given!r}")
            found[name] = parse_values(text, f"--set-range {name}")
        return found


space_file_option = click.option(
    "--space", "space_file", type=FilePath, help="Bases, set and ranges as a TOML file."
)
every_config_option = set_option("Change a config field of every config, for example lanes=4.")

space_options = collected(
    (
        click.option("--rows", help="Values: 4,8,12 or 4:32 (doubling) or 4:32:4 (steps)."),
        click.option(
            "--cols", help="Values, combined with every --rows.  [default: square arrays]"
        ),
        click.option(
            "--set-range",
            "ranges",
            multiple=True,
            metavar="FIELD=VALUES",
            shell_complete=complete_fields,
            help="Vary a config field, for example --set-range lanes=4,8,16; may be repeated.",
        ),
        click.option(
            "--preset",
            "presets",
            type=click.Choice(list(PRESETS)),
            multiple=True,
            help="A config to vary; may be repeated.  [default: base]",
        ),
        click.option(
            "--config",
            "config_files",
            type=FilePath,
            multiple=True,
            help="A config to vary, as a TOML file; may be repeated.",
        ),
        every_config_option,
        space_file_option,
        click.option(
            "--scale/--no-scale",
            default=None,
            help="Memories keep their words, lanes and bus their ratio to the array; or all are "
            "the base's as far as they fit.  [default: scale]",
        ),
    ),
    "given",
    GivenSpace,
)
"""The command gets `given`, a GivenSpace."""

fixed_space_options = collected((space_file_option, every_config_option), "given", GivenSpace)
"""The same without ranges."""


def weighted_models(paths: Sequence[Path], weights: str | None) -> "tuple[Model, ...]":
    """Return the models with their weights. Raises InputError."""
    from tilewright.flows.sweep.job import Model

    try:
        given = [float(text) for text in weights.split(",")] if weights else [1.0] * len(paths)
    except ValueError:
        given = []
    if len(given) != len(paths) or not all(0 < weight < float("inf") for weight in given):
        raise InputError(f"--weights: {len(paths)} numbers above 0, got {weights!r}")
    files = [path.name for path in paths]
    names = files if len(set(files)) == len(files) else [str(path) for path in paths]
    return tuple(
        Model(path=path, name=name, weight=weight)
        for path, name, weight in zip(paths, names, given, strict=True)
    )


model_options = collected(
    (
        click.argument("paths", type=FilePath, nargs=-1, required=True, metavar="MODEL..."),
        click.option(
            "--weights", help="How often each model runs, in their order: 2,1.  [default: 1]"
        ),
    ),
    "models",
    weighted_models,
)
"""The command gets `models`, those of a sweep."""


def limits_of(at_most: Sequence[str], at_least: Sequence[str]) -> "tuple[Limit, ...]":
    """Return the limits. Raises InputError."""
    from tilewright.flows.sweep.limits import parse_limit

    return (
        *(parse_limit(text, is_upper=True) for text in at_most),
        *(parse_limit(text, is_upper=False) for text in at_least),
    )


limit_options = collected(
    (
        click.option(
            "--at-most",
            multiple=True,
            metavar="FIGURE=VALUE",
            help="The best keep this, for example --at-most area=40000; may be repeated.",
        ),
        click.option(
            "--at-least",
            multiple=True,
            metavar="FIGURE=VALUE",
            help="The same, for example --at-least frames_per_second=30; may be repeated.",
        ),
    ),
    "limits",
    limits_of,
)
"""The command gets `limits`."""


def clock_option(default: str) -> Decorator:
    """Add --clock; the command gets `clock_mhz`. default: what it is where nobody gives it."""
    return click.option(
        "--clock",
        "clock_mhz",
        type=click.FloatRange(0, min_open=True),
        metavar="MHZ",
        help=f"Of every config, for seconds.  [default: {default}]",
    )


jobs_option = click.option(
    "--jobs", type=click.IntRange(1), help="Points at a time.  [default: CPU cores]"
)


def check_files(
    inputs: Sequence[Path | None],
    models: "Sequence[Model]",
    outputs: Sequence[Path | None],
    folder: Path | None,
) -> None:
    """Raise ModelError or InputError unless the models are there and results can be written.

    inputs: what besides the models must not be written.
    """
    check_targets(outputs, [*inputs, *(model.path for model in models)])
    for model in models:
        if not model.path.is_file():
            raise ModelError(missing(model.path, "an ONNX model"))
    if folder is not None:
        check_folder(folder)
