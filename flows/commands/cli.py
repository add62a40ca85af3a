"""The command line: `tilewright COMMAND`. A command's module is imported when it is run."""

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tilewright.support.errors import TilewrightError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, str] = {
    "demo": "Generate, compile and co-simulate the model that ships with the package.",
    "doctor": "Say what is missing on this machine and how to get it.",
    "generate": "Write Verilog, ISA manual, C header, register map and config.",
    "quantize": "Quantize a float ONNX model to int8.",
    "compile": "Compile an ONNX model to a program file.",
    "explain": "Say layer by layer what limits a model, and what each optimization gains.",
    "run": "Run a program or a model on the simulator, the RTL or ONNX Runtime.",
    "cosim": "Compile a model, run it on the RTL and compare it with simulator and reference.",
    "compare": "Compare a model with ONNX Runtime, operator by operator.",
    "evaluate": "Accuracy of a model on a data set, and its agreement with ONNX Runtime.",
    "sweep": "Compile and run a model on many configs.",
    "recommend": "Say which config to build for a model, a device and a number of frames.",
    "synth": "Area and clock of one config, with open tools.",
    "bench": "Measure kernels and models on the RTL, as a table.",
    "conformance": "Run the onnx package's backend suite, as a table by operator.",
    "asm": "Assemble a text into a program file.",
    "disasm": "Print the instructions of a program file.",
}
"""Commands in the order of the help, with their one-line descriptions."""


INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


ANEW = "the same command begins anew, with what is in the cache by now"


NO_JSON_SUFFIXES = (".onnx", ".tw", ".s")
"""What ends like this behind --json is the command's argument."""


def with_json_files(words: Sequence[str]) -> list[str]:
    """Return a command's words with a value behind every --json: `-` where no file follows."""
    result: list[str] = []
    for number, (word, following) in enumerate(zip(words, [*words[1:], "--"], strict=True)):
        if word == "--":
            return [*result, *words[number:]]
        is_file = following == "-" or not following.startswith("-")
        is_file &= not following.lower().endswith(NO_JSON_SUFFIXES)
        result.append("--json=-" if word == "--json" and not is_file else word)
    return result


def set_verbosity(ctx: click.Context, parameter: click.Parameter, value: int) -> None:
    """Show the log while the command runs."""
    if value:
        from tilewright.flows.report.log import show_log

        ctx.find_root().call_on_close(show_log(value))


VERBOSE = click.Option(
    ["-v", "--verbose"],
    count=True,
    expose_value=False,
    callback=set_verbosity,
    help="Log what is done to stderr, and where an error comes from; -vv: passes and programs.",
)
"""An option of the group and of every command."""


def print_completion(ctx: click.Context, parameter: click.Parameter, shell: str | None) -> None:
    """Print a shell's completion script and end."""
    if shell is None or ctx.resilient_parsing:
        return
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.command, {}, "tilewright", "_TILEWRIGHT_COMPLETE").source())
    ctx.exit()


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own: `flows/NAME.py`, object `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tilewright.flows.commands.{cmd_name}")
        command: click.Command = module.command
        if VERBOSE not in command.params:
            command.params.append(VERBOSE)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        """Complete commands without importing any, and the group's options."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=meaning)
            for name, meaning in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; --json, which may stand without a file, gets its value."""
        return super().resolve_command(ctx, with_json_files(args))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C ends it with a line, which may say how to go on."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            how = "; ".join(map(str, interrupt.args)) or ANEW
            click.echo(f"interrupted: {how}", err=True)
            ctx.exit(INTERRUPTED)
        except TilewrightError:
            import logging

            logging.getLogger(__name__).info("where the error comes from", exc_info=True)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="tilewright", prog_name="tilewright")
@click.option(
    "--completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=print_completion,
    help="Print what makes a shell complete commands, options and files.",
)
def cli() -> None:
    """Tensor-accelerator co-design: one config gives Verilog, an instruction set, a compiler and
    simulators that agree byte for byte."""


cli.params.append(VERBOSE)


def as_lines(message: str) -> str:
    """Return an error's message as one line, and below it the items that it lists, indented."""
    head = [line for line in message.splitlines() if not line.startswith("  ")]
    items = [line for line in message.splitlines() if line.startswith("  ")]
    texts = [" ".join(" ".join(head).split()), *(f"  {' '.join(item.split())}" for item in items)]
    return "\n".join(texts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Mistakes of the user, and a package that is not there, end in one line
    on stderr (and one for each item that it lists) and exit status 2."""
    try:
        cli.main(args=arguments, prog_name="tilewright")
    except TilewrightError as error:
        message = as_lines(str(error))
    except ModuleNotFoundError as error:
        message = f"package {error.name} is missing; `tilewright doctor` says how to get it"
        if error.name is None or error.name.startswith("tilewright"):
            raise
    except MemoryError as error:
        message = f"not enough memory for a tensor of this size: {error}"
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
