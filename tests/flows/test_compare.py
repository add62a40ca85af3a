"""Agreement of outputs and of memories."""

import numpy as np
import pytest

from tilewright.flows.compare import compare_outputs, first_difference
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.program import Program, Symbol


def test_equal_outputs_are_exact():
    samples = [{"y": np.array([1.0, np.nan, -0.0], np.float32)}] * 2
    agreement = compare_outputs(samples, samples)
    assert agreement.is_exact
    assert agreement.sentence() == "all 6 elements of 2 samples equal"


def test_differences_are_counted_in_steps():
    ours = [{"y": np.array([0.5, 1.0, 0.0], np.float32)}, {"y": np.array([3, 1, 2], np.float32)}]
    theirs = [{"y": np.array([0.5, 0.5, 0.0], np.float32)}, {"y": np.array([2, 3, 2], np.float32)}]
    agreement = compare_outputs(ours, theirs, {"y": 0.25})
    assert (agreement.elements, agreement.equal, agreement.same_top) == (6, 3, 0)
    assert agreement.largest_difference == pytest.approx(8)
    assert agreement.steps_known
    assert not compare_outputs(ours, theirs).steps_known


def test_integer_differences_do_not_wrap():
    agreement = compare_outputs(
        [{"y": np.array([-128], np.int8)}], [{"y": np.array([127], np.int8)}]
    )
    assert agreement.largest_difference == 255


def test_first_difference_names_the_symbol():
    program = Program(
        config=PRESETS["nano"],
        image=bytes(64),
        memory_bytes=256,
        program_address=0,
        num_instructions=1,
        symbols=(Symbol(name="out", kind="output", address=100, size_bytes=50),),
    )
    expected = np.zeros(256, np.uint8)
    given = expected.copy()
    assert first_difference(program, given, expected) is None
    given[[110, 200]] = 7
    assert first_difference(program, given, expected) == (
        "2 bytes differ, the first at 0x6e (output 'out' + 10): 0x07, expected 0x00"
    )
