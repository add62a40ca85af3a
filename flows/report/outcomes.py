"""What a program's runs gave, as a table and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tilewright.flows.report.coverage import coverage_json, print_coverage
from tilewright.flows.report.display import plural, table
from tilewright.flows.runtime.targets import Outcome
from tilewright.flows.runtime.tensors import Array
from tilewright.hw.spec.program import Program


def print_outcomes(out: Console, outcomes: Sequence[Outcome], on: str, program: Program) -> None:
    """Print samples, time and cycles, and the outputs of a few samples in short."""
    print_coverage(out, program)
    rows = [
        (number, name, f"{value.dtype}{list(value.shape)}", summary(value), outcome.cycles)
        for number, outcome in enumerate(outcomes[:8])
        for name, value in outcome.outputs.items()
    ]
    columns = (">sample", "output", "type", "values", ">cycles")
    out.print(table(f"{program.metadata.get('model', 'program')} on {on}", columns, rows))
    seconds = sum(outcome.seconds for outcome in outcomes)
    more = f", {len(outcomes) - 8} not shown" if len(outcomes) > 8 else ""
    out.print(f"{plural(len(outcomes), 'sample')} in {seconds:.2f} s{more}")


def program_json(program: Program, on: str) -> dict[str, Any]:
    """Return what was run, where, as JSON-able values."""
    config = program.config
    return {
        "model": program.metadata.get("model"),
        "config": {"name": config.name, "digest": config.digest},
        "on": on,
    }


def outcomes_json(outcomes: Sequence[Outcome], on: str, program: Program) -> dict[str, Any]:
    """Return all outputs as JSON-able values."""
    samples = [
        {
            "cycles": outcome.cycles,
            "seconds": round(outcome.seconds, 6),
            "outputs": {
                name: {
                    "type": str(value.dtype),
                    "shape": list(value.shape),
                    "values": value.reshape(-1).tolist(),
                }
                for name, value in outcome.outputs.items()
            },
        }
        for outcome in outcomes
    ]
    found = {"coverage": coverage_json(program), **program_json(program, on)}
    return found | {"samples": samples}


def summary(value: Array) -> str:
    """Return a tensor's first elements and the place of its largest."""
    flat = value.reshape(-1)
    shown = " ".join(f"{element:.4g}" for element in flat[:6].tolist())
    dots = " ..." if flat.size > 6 else ""
    return f"{shown}{dots}  (largest at {int(flat.argmax())})"
