"""Options that several commands share, and how they become a config."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tilewright.hw.spec.config import PRESETS, Config
from tilewright.support.errors import ConfigError
from tilewright.support.files import missing

Function = TypeVar("Function", bound=Callable[..., Any])

FilePath = click.Path(path_type=Path)
"""A path that the flow itself opens, so that errors have the project's form."""


def config_options(default: str | None = "base") -> Callable[[Function], Function]:
    """Add --preset, --config and --set; the command gets `preset`, `config_file`, `settings`."""
    shown = f"  [default: {default}]" if default else ""
    options = (
        click.option(
            "--preset",
            type=click.Choice(list(PRESETS)),
            help=f"A named config.{shown}",
        ),
        click.option("--config", "config_file", type=FilePath, help="A config as a TOML file."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="FIELD=VALUE",
            shell_complete=complete_fields,
            help="Change a config field, for example --set rows=8 --set lanes=4.",
        ),
    )

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def complete_fields(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the config's fields that begin like that, for shells."""
    names = [field.name for field in dataclasses.fields(Config)]
    return [f"{name}=" for name in names if name.startswith(incomplete)]


def complete_passes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the compiler's passes that begin like that, for shells."""
    from tilewright.compiler.passes import PASSES

    return [step.name for step in PASSES if step.name.startswith(incomplete)]


def resolve_config(
    preset: str | None, config_file: Path | None, settings: tuple[str, ...], default: str = "base"
) -> Config:
    """Return the config that the shared options describe.

    A changed config is named "custom" unless a name is set. Raises ConfigError.
    """
    if preset and config_file:
        raise ConfigError("--preset and --config exclude each other; give one of them")
    if config_file is not None:
        if not config_file.is_file():
            raise ConfigError(missing(config_file, "a TOML file; `tilewright generate` writes one"))
        try:
            text = config_file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{config_file}: not a TOML text file") from None
        base = Config.from_toml(text, str(config_file))
    else:
        base = PRESETS[preset or default]
    changes = parse_settings(settings)
    return base.replace(**({"name": "custom"} | changes)) if changes else base


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """Parse FIELD=VALUE texts; several may stand in one, separated by commas or spaces."""
    fields = {field.name: field.type for field in dataclasses.fields(Config)}
    changes: dict[str, Any] = {}
    for setting in " ".join(settings).replace(",", " ").split():
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set needs FIELD=VALUE, got {setting!r}")
        if name not in fields:
            raise ConfigError(
                f"--set: unknown field {name!r}; the fields are {', '.join(sorted(fields))}"
            )
        changes[name] = value if name == "name" else _integer(name, value)
    return changes


def _integer(name: str, value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise ConfigError(f"--set: {name} must be an integer, got {value!r}") from None


def cache_option(function: Function) -> Function:
    """Add --no-cache; the command gets `cached`."""
    return click.option(
        "--no-cache",
        "cached",
        flag_value=False,
        default=True,
        help="Compile anew, and keep nothing on disk.",
    )(function)


def section_options(function: Function) -> Function:
    """Add --strict and --keep-sections; the command gets `strict` and `keep_sections`."""
    options = (
        click.option("--strict", is_flag=True, help="Refuse models that leave work to the host."),
        click.option(
            "--keep-sections",
            is_flag=True,
            help="Keep accelerator sections that cost more than they save by the estimate.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def batch_option(function: Function) -> Function:
    """Add --batch; the command gets `batch_size`."""
    return click.option(
        "--batch",
        "batch_size",
        type=int,
        metavar="N",
        help="Samples of every inference, in place of a symbolic batch of the model.",
    )(function)


def host_only_option(function: Function) -> Function:
    """Add --allow-host-only; the command gets `allow_host_only`."""
    return click.option(
        "--allow-host-only",
        is_flag=True,
        help="Accept a model that the accelerator has no part in; the host runs it.",
    )(function)


def input_options(function: Function) -> Function:
    """Add --input, --samples and --seed; the command gets `input_file`, `samples`, `seed`."""
    options = (
        click.option(
            "--input",
            "input_file",
            type=FilePath,
            help="A .npz file with an array for each model input: one sample, or [n, *shape].",
        ),
        click.option(
            "--samples",
            type=int,
            help="How many samples.  [default: all of --input, else 1 random one]",
        ),
        click.option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random inputs."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def waveform_option(function: Function) -> Function:
    """Add --vcd; the command gets `waveform`."""
    return click.option(
        "--vcd",
        "waveform",
        type=FilePath,
        metavar="FILE.vcd|FILE.fst",
        help="Write the RTL's waveforms of the first sample.",
    )(function)


def check_waveform(waveform: Path | None) -> None:
    """Raise InputError for a name that is none of a waveform file; called before long work."""
    from tilewright.sim.cosim.build import trace_format

    if waveform is not None:
        trace_format(waveform)


def json_option(*further: str) -> Callable[[Function], Function]:
    """Add --json and its `further` names; the command gets `json_files`, for `write_json`."""
    return click.option(
        "--json",
        *further,
        "json_files",
        type=FilePath,
        multiple=True,
        metavar="[FILE]",
        help="Print JSON instead of tables, or also write it to a file.",
    )


class CommandWithPasses(click.Command):
    """A command whose help ends with the list of the compiler's passes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the passes in their order."""
        from tilewright.compiler.passes import PASSES

        with formatter.section("Passes"):
            formatter.write_dl([(step.name, step.meaning) for step in PASSES])


def pass_options(function: Function) -> Function:
    """Add --print-after, --stop-after and --print-weights.

    The command gets `print_after`, `stop_after`, `with_weights`.
    """
    options = (
        click.option(
            "--print-after",
            multiple=True,
            metavar="PASS",
            shell_complete=complete_passes,
            help="Print MLIR of each section after a pass, or `all`; may be repeated.",
        ),
        click.option(
            "--stop-after",
            metavar="PASS",
            shell_complete=complete_passes,
            help="End after a pass, which is printed, and write no program.",
        ),
        click.option(
            "--print-weights", "with_weights", is_flag=True, help="Print constants in full, too."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function
