"""One case through the flow: compiled, run on reference and simulator, compared."""

import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from tilewright.compiler.options import ImportOptions
from tilewright.flows.conformance.cases import Case
from tilewright.flows.conformance.preparing import Prepared, prepare
from tilewright.flows.conformance.results import Outcome, Result
from tilewright.flows.conformance.witness import judge, judge_each, same, with_every_value
from tilewright.flows.execution import infer, make_target
from tilewright.flows.models import compile_file
from tilewright.flows.runtime.tensors import Array
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.program import Program
from tilewright.support.errors import TilewrightError

OPTIONS = ImportOptions(keep_sections=True, allow_host_only=True)
BORDERS = ("DequantizeLinear", "QuantizeLinear")


class WrongValueError(Exception):
    """Values that must be equal to the byte are not."""


def run_case(case: Case, config: Config) -> Result:
    """Return what becomes of a case; nothing is raised but interrupts."""
    found: dict[str, Any] = {"name": case.name, "kind": case.kind, "operator": case.operator}
    try:
        return Result(**found, **_run(prepare(case), config))
    except WrongValueError as error:
        return Result(**found, outcome=Outcome.WRONG, reason=str(error))
    except TilewrightError as error:
        reason = " ".join(str(error).split())
        return Result(**found, outcome=Outcome.REFUSED, reason=reason)
    except Exception as error:  # that is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
        return Result(**found, outcome=Outcome.TRACEBACK, reason=" ".join(reason.split()))


def _run(prepared: Prepared, config: Config) -> dict[str, Any]:
    program, given = _outputs(prepared, config)
    host = (item for island in program.islands for item in island.operators)
    reasons = {(item.op_type, item.reason) for item in host if item.op_type not in BORDERS}
    found = {"outcome": _place(program), "host": tuple(sorted(reasons))}
    verdict = judge(given, prepared)
    if verdict.reason and prepared.stored:
        every = with_every_value(prepared)
        verdict = judge_each(_outputs(every, config)[1], every)
    if verdict.reason:
        return found | {"outcome": Outcome.WRONG, "reason": verdict.reason}
    return found | {"ties": verdict.ties}


def _outputs(prepared: Prepared, config: Config) -> tuple[Program, Mapping[str, Array]]:
    """Compile the case; return what the simulator gives. Raises WrongValue."""
    with tempfile.TemporaryDirectory(prefix="tilewright-") as folder:
        path = Path(folder) / "case.onnx"
        onnx.save(prepared.model, path)
        compiled = compile_file(path, config, OPTIONS)
        program = compiled.program
        given, expected = (
            infer(make_target(on, program, compiled), program, prepared.feeds).outputs
            for on in ("iss", "reference")
        )
    for name, value in given.items():
        if not same(value, expected[name]):
            raise WrongValueError(f"output {name!r}: simulator and reference differ")
    return program, given


def _place(program: Program) -> Outcome:
    if not program.islands:
        return Outcome.ACCELERATOR
    return Outcome.MIXED if program.sections else Outcome.HOST
