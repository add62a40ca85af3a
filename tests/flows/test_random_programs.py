"""Random programs: the RTL against the instruction-set simulator.

By default a few programs on the model of `nano` that other tests use, too: final DRAM, counts and
faults. The campaign compares every SRAM word that an instruction wrote at its retirement, on many
shapes; TILEWRIGHT_SEEDS=first:end chooses the seeds.
"""

import json
import os

import numpy as np
import pytest

from tilewright.flows.hardware import (
    MANIFEST_NAME,
    VERILOG_NAME,
    hardware_folder,
    probes,
    rtl_model,
)
from tilewright.hw.spec.config import PRESETS, Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.random_program import InjectedFault, random_program
from tilewright.hw.spec.registers import Bucket, Fault
from tilewright.sim.cosim.build import build
from tilewright.sim.cosim.parameters import DramParameters
from tilewright.sim.cosim.runner import run
from tilewright.sim.recording import record

SMALL = {"activation_kib": 2, "activation_banks": 4, "weight_kib": 1, "accumulator_kib": 2,
         "accumulator_banks": 2, "parameter_kib": 2}  # fmt: skip
LARGER = SMALL | {"activation_kib": 8, "weight_kib": 4, "accumulator_kib": 8}
SHAPES = {
    config.name: config
    for config in (
        Config(name="c4x4", rows=4, cols=4, lanes=2, operand_lanes=1, axi_data_bits=64,
               queue_depth=4, **SMALL),
        Config(name="c1x1", rows=1, cols=1, lanes=1, operand_lanes=1, **SMALL),
        Config(name="c3x5", rows=3, cols=5, lanes=1, operand_lanes=1, axi_data_bits=64, **SMALL),
        Config(name="c6x4", rows=6, cols=4, lanes=2, operand_lanes=2, axi_data_bits=512,
               tile_rows=2, tile_cols=1, tree_register_levels=1, **SMALL),
        Config(name="c8x16", rows=8, cols=16, lanes=8, operand_lanes=2, tile_rows=4, tile_cols=8,
               **LARGER),
        Config(name="c16x8", rows=16, cols=8, lanes=4, operand_lanes=4, axi_data_bits=256,
               **LARGER),
        Config(name="c12x20", rows=12, cols=20, lanes=4, operand_lanes=2, **LARGER),
        PRESETS["edge"],
        PRESETS["base"],
    )
}  # fmt: skip


def campaign_model(config):
    """The RTL model with its SRAMs readable."""
    folder = hardware_folder(config)
    facts = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    return build(
        folder / VERILOG_NAME,
        config=config,
        no_inline_modules=(facts["tile_module"],),
        probes=probes(facts),
        srams_public=True,
    )


def check(config, model, seed, fault=None, *, every_retirement=False):
    """Run one random program on both sides and compare what they did."""
    program = random_program(config, seed, fault=fault)
    expected, expectations = record(program)
    image = np.zeros(program.memory_bytes, np.uint8)
    image[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    result = run(
        model,
        image,
        program_address=program.program_address,
        dram_base=0x10000 * (seed % 3),
        dram=DramParameters(latency_cycles=4 + seed % 61, stall_probability=0.3 * (seed % 2),
                            seed=seed, allow_out_of_range=True),
        timeout_cycles=3_000_000,
        expectations=expectations if every_retirement and expected.fault is None else (),
        register_values={"watchdog": 100_000},
    )  # fmt: skip
    registers = result.registers
    for engine in Engine:
        name = engine.name.lower()
        cycles = sum(registers[f"{name}_{bucket.name.lower()}"] for bucket in Bucket)
        assert cycles == registers["cycles_low"], name
    if expected.fault is not None:
        reported = (result.fault, result.fault_instruction)
        assert reported == (expected.fault.cause, expected.fault.instruction)
        return
    assert result.fault == Fault.NONE, f"{result.fault.name} at {result.fault_instruction}"
    assert not result.mismatches, str(result.mismatches[0])
    assert registers["dispatched"] == expected.dispatched
    for engine, count in expected.retired.items():
        assert registers[f"{engine.name.lower()}_retired"] == count
    wrong = np.flatnonzero(result.memory[: len(expected.memory)] != expected.memory)
    assert not len(wrong), f"{len(wrong)} bytes of DRAM differ, the first at {wrong[0]:#x}"


@pytest.mark.parametrize("seed", range(3))
def test_rtl_equals_simulator_on_random_programs(seed):
    config = PRESETS["nano"]
    check(config, rtl_model(config), seed)


@pytest.mark.parametrize("fault", InjectedFault)
def test_rtl_reports_the_simulators_fault(fault):
    config = PRESETS["nano"]
    check(config, rtl_model(config), 17, fault)


def campaign_seeds():
    first, end = os.environ.get("TILEWRIGHT_SEEDS", "0:40").split(":")
    return range(int(first), int(end))


@pytest.mark.campaign
@pytest.mark.parametrize("name", SHAPES)
def test_rtl_equals_simulator_at_every_retirement(name):
    config = SHAPES[name]
    model = campaign_model(config)
    failures = []
    for seed in campaign_seeds():
        fault = list(InjectedFault)[seed // 3 % len(InjectedFault)] if seed % 3 == 2 else None
        try:
            check(config, model, seed, fault, every_retirement=True)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)
