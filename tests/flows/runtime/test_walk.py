"""Runs step by step: inputs as the model states them, and no compiler."""

import subprocess
import sys

import numpy as np
import pytest

from tilewright.flows.commands.demo import data_path
from tilewright.flows.models import ReferenceTarget, compile_file
from tilewright.flows.runtime.walk import check_inputs
from tilewright.hw.spec.binding import TensorSpec
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError

IMAGE = TensorSpec(name="image", dtype="float32", shape=(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"other": np.zeros(1)}, "input 'image' is missing; the model needs image float32"),
        (
            {"image": np.zeros((3, 8, 8), np.float32)},
            r"'image' must have shape \[1, 3, 8, 8\], got \[3, 8, 8\]",
        ),
        ({"image": np.zeros((1, 3, 8, 8))}, "'image' must be float32, got float64"),
    ],
)
def test_wrong_inputs_are_refused(inputs, message):
    with pytest.raises(InputError, match=message):
        check_inputs([IMAGE], inputs)


def test_running_a_program_imports_no_compiler(tmp_path):
    compiled = compile_file(data_path("digits.onnx"), PRESETS["nano"])
    assert compiled.program.islands
    compiled.program.save(tmp_path / "model.tw")
    with np.load(data_path("digits_inputs.npz")) as arrays:
        sample = {name: arrays[name][0] for name in arrays.files}
    np.savez(tmp_path / "inputs.npz", **sample)
    script = (
        "import sys, numpy as np\n"
        "from tilewright.hw.spec.program import Program\n"
        "from tilewright.flows.runtime.targets import IssTarget\n"
        f"program = Program.load({str(tmp_path / 'model.tw')!r})\n"
        f"inputs = dict(np.load({str(tmp_path / 'inputs.npz')!r}))\n"
        "outputs = IssTarget(program).run(inputs).outputs\n"
        f"np.savez({str(tmp_path / 'outputs.npz')!r}, **outputs)\n"
        "assert not [name for name in sys.modules if name.startswith('tilewright.compiler')]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with np.load(tmp_path / "outputs.npz") as given:
        for name, expected in ReferenceTarget(compiled.imported).run(sample).outputs.items():
            np.testing.assert_array_equal(given[name], expected)
