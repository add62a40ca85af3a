"""Every operation of the instruction set stands in every table; a missing part fails by name."""

import dataclasses
import gc

import pytest
from amaranth.lib.wiring import ConnectionError

from tilewright.compiler.plan.estimate import issue_cycles, latency_cycles
from tilewright.compiler.program.regions import regions
from tilewright.flows.report.occupancy import ENGINE_NAMES
from tilewright.hw.rtl.accelerator import Accelerator
from tilewright.hw.spec import isa
from tilewright.hw.spec.access import accesses
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.isa import OPERATIONS, Engine, Instruction, instruction
from tilewright.sim.timing.machine import Machine

CONFIG = PRESETS["edge"]
PARTS = {"accesses": accesses, "regions": regions, "issue": issue_cycles, "latency": latency_cycles}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_has_every_part(operation, part):
    PARTS[part](instruction(operation.name), CONFIG)


@pytest.mark.parametrize("part", PARTS)
def test_an_unknown_operation_is_no_silent_nothing(part):
    with pytest.raises((AssertionError, KeyError), match="TOY"):
        PARTS[part](Instruction(operation="TOY", fields={}), CONFIG)


def test_every_engine_has_a_name_and_a_timing_model():
    assert set(ENGINE_NAMES) == set(Engine)
    assert set(Machine([instruction("END")], CONFIG, 64).queues) == set(Engine)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_an_operation_that_its_engine_does_not_name_cannot_be_built(monkeypatch):
    toy = dataclasses.replace(isa.BY_NAME["VECTOR"], name="TOY", opcode=0x7F)
    monkeypatch.setattr(isa, "operations", lambda config: (*OPERATIONS, toy))
    with pytest.raises(ConnectionError, match="'TOY'"):
        Accelerator(config=CONFIG).elaborate(None)
    gc.collect()  # what is not built warns as it goes
