"""The float model that an int8 model came from: it runs on the int8 model's samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilewright.flows.runtime.tensors import Array, Spec
from tilewright.hw.spec.binding import HALF_RANGE
from tilewright.hw.spec.tensor import Quantization
from tilewright.support.errors import InputError
from tilewright.support.files import missing
from tilewright.support.ort import open_session, run_session

if TYPE_CHECKING:
    from tilewright.compiler.frontend.importer import ImportedModel


class FloatModel:
    """One output of a float ONNX model, in ONNX Runtime.

    It has the inputs of the int8 model, by name. Where those are quantized and its own are not, it
    gets the real values; its output is that of the same name, or its only one.

    Raises ModelError where ONNX Runtime refuses the file, InputError where it does not fit.
    """

    def __init__(self, path: Path, model: "ImportedModel", output: str) -> None:
        if not path.is_file():
            raise InputError(f"--float: {missing(path, 'an ONNX model')}")
        self._path = path
        self._session = open_session(str(path), optimized=True, what=str(path))
        self._stored = {
            item.name: item.stored.quantization
            for section in model.sections
            for item in section.inputs
        }
        types = {item.name: item.type for item in self._session.get_inputs()}
        ours = [spec.name for spec in model.inputs]
        if set(types) != set(ours):
            raise InputError(
                f"--float: {path} must have the inputs of the int8 model, {', '.join(ours)}; it "
                f"has {', '.join(types)}"
            )
        self._to_real = [spec.name for spec in model.inputs if self._differs(spec, types)]
        names = [item.name for item in self._session.get_outputs()]
        if output not in names and len(names) > 1:
            raise InputError(f"--float: {path} has no output {output!r}; it has {', '.join(names)}")
        self._output = output if output in names else names[0]
        self._shape = next(spec.shape for spec in model.outputs if spec.name == output)

    def _differs(self, spec: Spec, types: Mapping[str, str]) -> bool:
        """Whether an input is quantized in the int8 model alone."""
        is_real = types[spec.name] == "tensor(float)" and spec.dtype in ("int8", "uint8")
        if is_real and spec.name not in self._stored:
            raise InputError(
                f"--float: input {spec.name!r} of {self._path} is float32, that of the int8 model "
                f"{spec.dtype} without a scale; give a float model with the same inputs"
            )
        return is_real

    def run(self, sample: Mapping[str, Array]) -> Array:
        """Return the output for one sample of the int8 model. Raises InputError."""
        feeds = dict(sample)
        for name in self._to_real:
            feeds[name] = real_values(self._stored[name], sample[name])
        what = f"the inputs of {self._path}"
        found = run_session(self._session, feeds, [self._output], what)[self._output]
        if found.size != np.prod(self._shape):
            raise InputError(
                f"--float: output {self._output!r} of {self._path} has shape {list(found.shape)}, "
                f"that of the int8 model {list(self._shape)}"
            )
        return found


def real_values(quantization: Quantization, values: Array) -> NDArray[np.float32]:
    """Return what int8 or uint8 values stand for; the quantization is that of the stored int8."""
    half = HALF_RANGE if values.dtype == np.uint8 else 0
    centered = values.astype(np.int32) - (half + quantization.zero_point)
    return centered.astype(np.float32) * np.float32(quantization.scale)
