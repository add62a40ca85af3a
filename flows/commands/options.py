"""Options that several commands share, and how they become a config."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tilewright.compiler.options import ImportOptions
from tilewright.flows.runtime.wanted import WantedInputs
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.support.errors import ConfigError
from tilewright.support.records import record

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FilePath = click.Path(path_type=Path)
"""A path that the flow itself opens, so that errors have the project's form."""


@record(frozen=True, kw_only=True)
class GivenConfig:
    """What --preset, --config and --set say."""

    preset: str | None = None
    config_file: Path | None = None
    settings: tuple[str, ...] = ()
    default: str = "base"
    """The preset where none of the three is given."""

    @property
    def is_empty(self) -> bool:
        return not (self.preset or self.config_file or self.settings)

    def resolve(self) -> Config:
        """Return the config; one that is changed is named "custom" unless a name is set.

        Raises ConfigError.
        """
        if self.preset and self.config_file:
            raise ConfigError("--preset and --config exclude each other; give one of them")
        preset = PRESETS[self.preset or self.default]
        base = preset if self.config_file is None else Config.from_file(self.config_file)
        changes = parse_settings(self.settings)
        return base.replace(**({"name": "custom"} | changes)) if changes else base


def decorated(function: Function, options: Sequence[Callable[[Any], Any]]) -> Function:
    """Add options to a command, in their order."""
    for option in reversed(options):
        function = option(function)
    return function


def collected(
    options: Sequence[Callable[[Any], Any]], name: str, make: Callable[..., Any]
) -> Decorator:
    """Add options to a command; it gets what `make` makes of their values, under that name."""
    added: Any = decorated(lambda: None, options)
    fields = [option.name for option in added.__click_params__]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            own = {field: values.pop(field) for field in fields}
            return function(**{name: make(**own)}, **values)

        return decorated(command, options)

    return decorate


def set_option(help_text: str) -> Decorator:
    """Add --set; the command gets `settings`."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="FIELD=VALUE",
        shell_complete=complete_fields,
        help=help_text,
    )


def config_options(default: str = "base", *, is_told: bool = True) -> Decorator:
    """Add --preset, --config and --set; the command gets `given`, a GivenConfig.

    is_told: the help says what the default is.
    """
    shown = f"  [default: {default}]" if is_told else ""
    options = (
        click.option(
            "--preset",
            type=click.Choice(list(PRESETS)),
            help=f"A named config.{shown}",
        ),
        click.option("--config", "config_file", type=FilePath, help="A config as a TOML file."),
        set_option("Change a config field, for example --set rows=8 --set lanes=4."),
    )
    return collected(options, "given", functools.partial(GivenConfig, default=default))


def complete_fields(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the config's fields that begin like that, for shells."""
    names = [field.name for field in dataclasses.fields(Config)]
    return [f"{name}=" for name in names if name.startswith(incomplete)]


def complete_passes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the compiler's passes that begin like that, for shells."""
    from tilewright.compiler.passes import PASSES

    return [step.name for step in PASSES if step.name.startswith(incomplete)]


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


def import_options(*, batch: bool = False, host_only: bool = False) -> Decorator:
    """Add --strict and --keep-sections; the command gets `options`, the ImportOptions.

    batch, host_only: with --batch and --allow-host-only.
    """
    flags: list[Decorator] = [
        click.option("--strict", is_flag=True, help="Refuse models that leave work to the host."),
        click.option(
            "--keep-sections",
            is_flag=True,
            help="Keep accelerator sections that cost more than they save by the estimate.",
        ),
    ]
    if host_only:
        flags.append(
            click.option(
                "--allow-host-only",
                is_flag=True,
                help="Accept a model that the accelerator has no part in; the host runs it.",
            )
        )
    if batch:
        flags.append(
            click.option(
                "--batch",
                "batch_size",
                type=int,
                metavar="N",
                help="Samples of every inference, in place of a symbolic batch of the model.",
            )
        )
    return collected(flags, "options", ImportOptions)


input_options = collected(
    (
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
    ),
    "wanted",
    WantedInputs,
)
"""The command gets `wanted`, the WantedInputs."""


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
    return decorated(function, options)
