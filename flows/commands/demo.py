"""`tilewright demo`: the shipped digits classifier through the whole chain."""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewright.flows.commands.options import FilePath, GivenConfig, config_options, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tilewright.flows.runtime.targets import Outcome
    from tilewright.flows.verify import Verification
    from tilewright.hw.spec.program import Program
    from tilewright.sim.cosim.parameters import DramParameters

MODEL, INPUTS, LABELS = "digits.onnx", "digits_inputs.npz", "digits_labels.npz"


def data_path(name: str) -> Path:
    """Return the path of a file that ships with the package."""
    return Path(str(resources.files("tilewright.flows") / "data" / name))


@click.command(name="demo")
@config_options(default="edge")
@click.option(
    "--images",
    type=click.IntRange(1, 360),
    default=3,
    show_default=True,
    help="How many images on the RTL.",
)
@click.option(
    "-o", "--output", type=FilePath, help="Keep Verilog, documents and program in this folder."
)
@json_option()
def command(
    given: GivenConfig,
    images: int,
    output: Path | None,
    json_files: tuple[Path, ...],
) -> None:
    """Generate, compile and co-simulate the model that ships with the package.

    A digits classifier (int8, trained on real data) runs on the RTL for a few images and on the
    simulator for all 360 test images; RTL, simulator and reference are compared byte for byte.
    """
    from tilewright.flows.execution import run_samples
    from tilewright.flows.models import compile_file
    from tilewright.flows.report.display import console
    from tilewright.flows.report.json_files import STDOUT
    from tilewright.flows.report.progress import status
    from tilewright.flows.runtime.tensors import load_samples
    from tilewright.flows.verify import timed_rtl, verify
    from tilewright.support.files import check_folder, check_targets

    check_targets(json_files, [given.config_file])
    if output is not None:
        check_folder(output)
    config = given.resolve()
    out = console(error=STDOUT in json_files)
    compiled = compile_file(data_path(MODEL), config)
    program = compiled.program
    out.print(
        f"1  compiled {MODEL} for {config.name} ({config.rows}x{config.cols}): "
        f"{program.num_instructions} instructions in {compiled.seconds:.1f} s"
    )
    with status("generating Verilog and building the RTL simulator (a minute or two, once)"):
        target, build_seconds = timed_rtl(program)
    out.print(f"2  generated the Verilog and built its simulator: {build_seconds:.1f} s")
    samples = load_samples(data_path(INPUTS), compiled.imported.inputs)
    result = verify(
        compiled,
        samples,
        target,
        num_rtl=images,
        with_ort=True,
        build_seconds=build_seconds,
        run=run_samples,
    )
    out.print(f"3  ran {len(result.rtl)} images on the RTL, {len(result.iss)} on the simulator\n")
    show(result, target.dram, out, json_files)
    if output is not None:
        keep(output, program, out)
    if not result.is_exact:
        raise SystemExit(1)


def keep(folder: Path, program: "Program", out: "Console") -> None:
    """Write what was generated and compiled."""
    from tilewright.flows.hardware import all_files
    from tilewright.support.files import write_folder

    files = all_files(program.config)
    write_folder(folder, {**files, f"{Path(MODEL).stem}.tw": program.to_bytes()})
    out.print(f"Verilog, documents and program: {folder}", markup=False)


def show(
    result: "Verification", dram: "DramParameters", out: "Console", json_files: tuple[Path, ...]
) -> None:
    """Print the comparison and the accuracy, or write them as JSON."""
    from tilewright.flows.report.json_files import write_json
    from tilewright.flows.report.verification import print_verification, report_of
    from tilewright.flows.runtime.tensors import load_arrays

    labels = load_arrays(data_path(LABELS))["labels"].tolist()
    correct = [read == label for read, label in zip(digits_of(result.iss), labels, strict=True)]
    accuracy = {"images": len(correct), "correct": sum(correct)}
    if not write_json(json_files, report_of(result, MODEL, dram) | {"accuracy": accuracy}):
        print_verification(out, result, MODEL)
        print_accuracy(out, result, labels, sum(correct))


def digits_of(outcomes: "Sequence[Outcome]") -> list[int]:
    """Return the class with the largest score of each image."""
    return [int(outcome.outputs["scores"].argmax()) for outcome in outcomes]


def print_accuracy(
    out: "Console", result: "Verification", labels: "Sequence[int]", correct: int
) -> None:
    """Print how many test images are classified correctly."""
    read = zip(digits_of(result.rtl[:3]), labels, strict=False)
    first = ", ".join(f"{digit} (is {label})" for digit, label in read)
    out.print(f"the RTL reads: {first}")
    out.print(
        f"accuracy: {correct} of {len(labels)} test images, {correct / len(labels):.1%}",
        style="bold",
    )
