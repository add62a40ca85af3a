"""The Python API: a model on an accelerator, in the shape of ONNX Runtime's InferenceSession."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tilewright.compiler.options import ImportOptions
from tilewright.flows.execution import infer, make_target
from tilewright.flows.models import CompiledModel, compile_file
from tilewright.flows.runtime.batches import batch_of
from tilewright.flows.runtime.targets import Outcome
from tilewright.flows.runtime.tensors import Array
from tilewright.hw.spec.batch import Batch
from tilewright.hw.spec.binding import TensorSpec
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.program import Program
from tilewright.support.errors import InputError
from tilewright.support.records import record

TargetName = Literal["iss", "rtl", "reference", "ort"]


@record(frozen=True, kw_only=True)
class NodeArgument:
    """Name, ONNX type name and shape of a model input or output, as ONNX Runtime's NodeArg.

    A symbolic batch is a name in the shape.
    """

    name: str
    type: str
    shape: list[int | str]


class Session:
    """A compiled model, ready to run.

    model: an ONNX file, or a program file that `tilewright compile` wrote.
    config: a Config, the name of a preset, or the path of a TOML file; by default `base`, and for
        a program its own (any other one is refused).
    on: "iss" (simulator), "rtl" (co-simulation), "reference" or "ort" (the last two need the ONNX
        file). All give the same bytes but "ort", which is ONNX Runtime, optimizations off.
    strict: refuse models that leave operators to the host.
    keep_sections: keep sections of the accelerator that cost more than they save.
    allow_host_only: accept a model that the accelerator has no part in: the host runs it.
    batch_size: samples of every inference, in place of a symbolic batch of an ONNX file: what has
        no batch axis by its definition (matrix products) loads its weights once for all of them.
    cached: take the program from the cache on disk where it is there, and keep it there.

    Raises ModelError, ConfigError, ProgramError or ToolError.
    """

    def __init__(
        self,
        model: str | Path,
        config: Config | str | Path | None = None,
        on: TargetName = "iss",
        *,
        strict: bool = False,
        keep_sections: bool = False,
        allow_host_only: bool = False,
        batch_size: int | None = None,
        cached: bool = True,
    ) -> None:
        path = Path(model)
        chosen = config if config is None or isinstance(config, Config) else Config.load(config)
        self._compiled: CompiledModel | None = None
        if path.suffix.lower() == ".onnx":
            chosen = chosen or Config.load("base")
            options = ImportOptions(
                strict=strict,
                keep_sections=keep_sections,
                allow_host_only=allow_host_only,
                batch_size=batch_size,
            )
            self._compiled = compile_file(path, chosen, options, cached=cached)
            self.program = self._compiled.program
        else:
            if batch_size is not None:
                raise InputError(
                    f"batch_size belongs to an ONNX model; {path} was compiled with its own"
                )
            self.program = Program.load(path, chosen)
        self._batch = batch_of(self.program)
        self._target = make_target(on, self.program, self._compiled)
        self.last: Outcome | None = None
        """The outcome of the last run: cycles, retirements and memory where there are any.

        Of a batch cycles and seconds are sums over its samples, memory and retirements the last's.
        """

    def get_inputs(self) -> list[NodeArgument]:
        """Return the model's inputs."""
        return [_argument(spec, self._batch) for spec in self.program.inputs]

    def get_outputs(self) -> list[NodeArgument]:
        """Return the model's outputs."""
        return [_argument(spec, self._batch) for spec in self.program.outputs]

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Array]
    ) -> list[Array]:
        """Run one inference and return the outputs, all of them or those named.

        The samples of a batch run one by one.

        Raises InputError for a wrong name, shape or dtype, ExecutionError on a fault.
        """
        known = [spec.name for spec in self.program.outputs]
        for name in output_names or ():
            if name not in known:
                raise InputError(f"the model has no output {name!r}; it has {', '.join(known)}")
        self.last = infer(self._target, self.program, input_feed)
        return [self.last.outputs[name] for name in output_names or known]


def _argument(spec: TensorSpec, batch: Batch | None) -> NodeArgument:
    kind = {"float32": "float", "float64": "double"}.get(spec.dtype, spec.dtype)
    shape = list[int | str](spec.shape) if batch is None else batch.shape(spec.name, spec.shape)
    return NodeArgument(name=spec.name, type=f"tensor({kind})", shape=shape)
