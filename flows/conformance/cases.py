"""The cases of onnx.backend.test: models of one operator or a few, with inputs."""

import fnmatch
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from tilewright.flows.conformance.results import KINDS
from tilewright.support.errors import InputError
from tilewright.support.records import record

EXPANDED = re.compile(r"_expanded(_ver\d+)?$")
"""How a case is named whose operator is replaced by the body of its function."""


@record(frozen=True, kw_only=True, eq=False)
class Case:
    """One case; `inputs` has an array, list or None for each input that no initializer gives."""

    name: str
    kind: str
    operator: str
    """Its row in the table: the operator that it tests, or how its kind calls its models."""
    model: bytes
    """As ONNX has it."""
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    """What the package expects."""
    base: bytes | None = None
    """The model of one operator that an expanded case comes from."""


def collect(pattern: str | None = None, kinds: Sequence[str] = KINDS) -> list[Case]:
    """Return the cases whose operator or name is like `pattern`, in the order of their names.

    pattern: as a shell has it, upper and lower case alike. Raises InputError where none is.
    """
    found = [case for kind in kinds for case in _cases(kind)]
    chosen = [case for case in found if pattern is None or _is_like(case, pattern)]
    if not chosen:
        names = ", ".join(sorted({case.operator for case in found}))
        raise InputError(f"no case has an operator or a name like {pattern!r}; operators: {names}")
    return sorted(chosen, key=lambda case: (KINDS.index(case.kind), case.name))


def _is_like(case: Case, pattern: str) -> bool:
    wanted = pattern.lower()
    return any(fnmatch.fnmatchcase(text.lower(), wanted) for text in (case.operator, case.name))


def _cases(kind: str) -> list[Case]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, on what the cases divide by zero
        tests = load_model_tests(kind=kind)
    models = {test.name: test.model for test in tests if test.model is not None}
    result = []
    for test in tests:
        if test.model is None or test.data_sets is None:
            result.append(_stored(test.name, kind, Path(test.model_dir or "")))
            continue
        base = models.get(EXPANDED.sub("", test.name), test.model)
        inputs, outputs = test.data_sets[0]
        result.append(
            Case(
                name=test.name,
                kind=kind,
                operator=operator_of(base, kind),
                model=test.model.SerializeToString(),
                inputs=tuple(map(_value, inputs)),
                outputs=tuple(map(_value, outputs)),
                base=None if base is test.model else base.SerializeToString(),
            )
        )
    return result


def _value(given: Any) -> Any:
    """Return an array where the package has a tensor of a type that NumPy lacks."""
    if isinstance(given, np.generic):
        return np.asarray(given)
    return numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else given


def _stored(name: str, kind: str, folder: Path) -> Case:
    """Return a case that lies in a folder: model.onnx, test_data_set_0/input_N.pb."""
    model = onnx.load(folder / "model.onnx")
    given = {item.name for item in model.graph.initializer}
    wanted = [item for item in model.graph.input if item.name not in given]
    data = folder / "test_data_set_0"
    return Case(
        name=name,
        kind=kind,
        operator=operator_of(model, kind),
        model=model.SerializeToString(),
        inputs=tuple(_read(data / f"input_{n}.pb", item) for n, item in enumerate(wanted)),
        outputs=tuple(_read(data / f"output_{n}.pb", o) for n, o in enumerate(model.graph.output)),
    )


def _read(path: Path, item: onnx.ValueInfoProto) -> Any:
    if item.type.WhichOneof("value") == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def operator_of(model: ModelProto, kind: str) -> str:
    """Return the operator of a model of one, with its domain if that is not ONNX's own."""
    nodes = [node for node in model.graph.node if node.op_type != "Constant"] or model.graph.node
    if len(nodes) > 1:
        return f"several ({kind})"
    domain = nodes[0].domain
    return f"{domain}.{nodes[0].op_type}" if domain else nodes[0].op_type
