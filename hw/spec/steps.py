"""What a run does, step by step: sections of the accelerator and islands of the host in turn."""

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any

from tilewright.hw.spec.binding import Binding
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Section:
    """One start of the accelerator: a range of the program's instructions that ends with END.

    The host writes `inputs` into DRAM before it and reads `outputs` behind it.
    """

    name: str
    first: int
    """Index of its first instruction."""
    num_instructions: int
    """END included."""
    inputs: tuple[Binding, ...] = ()
    outputs: tuple[Binding, ...] = ()

    @property
    def stop(self) -> int:
        """Index of the instruction behind its END."""
        return self.first + self.num_instructions


@record(frozen=True, kw_only=True)
class HostOperator:
    """One ONNX node that runs on the host: why, how much it computes, and an estimate of it."""

    name: str
    op_type: str
    reason: str
    elements: int
    """Of its largest result."""
    macs: int = 0
    seconds: float = 0.0
    """Estimate of the host's time."""


@record(frozen=True, kw_only=True)
class Island:
    """Operators that the host runs between sections, as an ONNX model."""

    name: str
    model: bytes = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[HostOperator, ...]
    moved_bytes: int
    """Between accelerator and host: tensors that a section wrote, or reads."""
    seconds: float
    """Estimate of the host's time, moving included."""


Step = Section | Island


def step_as_dict(step: Step) -> dict[str, Any]:
    """Return JSON-able values; an island's model is a file of its own."""
    if isinstance(step, Section):
        bindings = {
            "inputs": [binding.as_dict() for binding in step.inputs],
            "outputs": [binding.as_dict() for binding in step.outputs],
        }
        return {
            "kind": "section",
            "name": step.name,
            "first": step.first,
            "num_instructions": step.num_instructions,
            **bindings,
        }
    return {"kind": "island"} | {
        key: value for key, value in asdict(step).items() if key != "model"
    }


def step_from_dict(fields: Mapping[str, Any], models: Mapping[str, bytes]) -> Step:
    """The inverse of `step_as_dict`; models: by island. Raises KeyError, TypeError."""
    values = {key: value for key, value in fields.items() if key != "kind"}
    if fields["kind"] == "section":
        for key in ("inputs", "outputs"):
            values[key] = tuple(Binding.from_dict(item) for item in values[key])
        return Section(**values)
    return Island(
        **{
            **values,
            "model": models[values["name"]],
            "inputs": tuple(values["inputs"]),
            "outputs": tuple(values["outputs"]),
            "operators": tuple(HostOperator(**item) for item in values["operators"]),
        }
    )
