"""Who waits for whom at a bank's port that two engines of a chain use."""

from collections import deque

import pytest

from tilewright.compiler.emit.tasks import Task
from tilewright.compiler.program.synchronize import synchronize
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Engine

NANO = PRESETS["nano"]
WINDOW = {
    "kernel_height": 1, "kernel_width": 1, "stride_y": 1, "stride_x": 1, "dilation_y": 1,
    "dilation_x": 1, "height": 1,
}  # fmt: skip


def copy(width, source):
    """The vector unit reads `width` words from `source` on."""
    row = {"out_height": 1, "out_width": width, "width": width, "source_pitch": width}
    return instruction("VECTOR", source=source, destination=source + width, groups=1,
                       destination_pitch=width, **WINDOW, **row)  # fmt: skip


def multiply(width, source):
    """The array reads `width` words from `source` on."""
    row = {"out_height": 1, "out_width": width, "width": width, "source_pitch": width}
    return instruction("MATRIX", source=source, out_blocks=1, in_blocks=1, **WINDOW, **row)


def waits(*items, chains=(range(1),)):
    """The waits of the last of some instructions, each of its own layer where there are several."""
    layers = range(len(items)) if len(chains) > 1 else [0] * len(items)
    tasks = deque(Task(item, n) for item, n in zip(items, layers, strict=True))
    found = synchronize(tasks, chains, NANO, 0)[-1].instruction.waits
    return [(wait.engine, wait.count) for wait in found if wait.count]


BANK = NANO.activation_bank_words


def test_the_array_waits_for_a_busier_vector_unit_in_its_bank():
    assert waits(copy(200, 0), multiply(20, 500)) == [(Engine.VECTOR, 1)]


@pytest.mark.parametrize(
    ("items", "chains"),
    [
        ((copy(200, 0), multiply(20, BANK)), (range(1),)),
        ((copy(20, 0), multiply(200, 500)), (range(1),)),
        ((multiply(20, 500), copy(200, 0)), (range(1),)),
        ((copy(200, 0), multiply(20, 500)), (range(1), range(1, 2))),
    ],
    ids=["another bank", "the array is busier", "the array comes first", "another chain"],
)
def test_nobody_waits(items, chains):
    assert waits(*items, chains=chains) == []


def test_it_waits_for_the_latest_one_in_its_bank():
    items = (copy(200, 0), copy(200, 450), copy(200, BANK), multiply(20, 1000))
    assert waits(*items) == [(Engine.VECTOR, 2)]
