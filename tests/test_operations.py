"""Every operation of the instruction set stands in every table; a missing part fails by name."""

import gc

import pytest
from amaranth.lib.wiring import ConnectionError

from tilewright.flows.report.occupancy import ENGINE_NAMES
from tilewright.hw.rtl import accelerator
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import OPERATIONS, instruction
from tilewright.hw.spec.isa import Engine, Instruction, operation
from tilewright.hw.spec.random_instruction import SAMPLE
from tilewright.sim.iss import EXECUTE
from tilewright.sim.timing.machine import Machine
from tilewright.sim.timing.simulation import Ledger

CONFIG = PRESETS["edge"]
PARTS = ("walks", "cycles", "latency")


@operation(0x7F, Engine.VECTOR, "does nothing yet")
class Toy(Instruction):
    """An operation without parts."""


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_every_operation_has_every_part(row, part):
    getattr(row(), part)(CONFIG)


@pytest.mark.parametrize("table", [EXECUTE, SAMPLE], ids=["semantics", "sampler"])
def test_every_operation_stands_in_every_table(table):
    assert set(table) == {row for row in OPERATIONS if row.engine is not None}


@pytest.mark.parametrize("part", PARTS)
def test_an_operation_without_a_part_is_no_silent_nothing(part):
    with pytest.raises(NotImplementedError, match=f"TOY has no {part}"):
        getattr(Toy(), part)(CONFIG)


def test_every_engine_has_a_name_and_a_timing_model():
    assert set(ENGINE_NAMES) == set(Engine)
    assert len(Machine(Ledger([instruction("END")]), CONFIG, 64).queues) == len(Engine)


def why_it_is_not_built():
    try:
        accelerator.Accelerator(config=CONFIG).elaborate(None)
    except ConnectionError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_an_operation_that_its_engine_does_not_name_cannot_be_built(monkeypatch):
    monkeypatch.setattr(accelerator, "operations", lambda config: (*OPERATIONS, Toy))
    assert "'TOY'" in why_it_is_not_built()
    gc.collect()  # what is not built warns as it goes
