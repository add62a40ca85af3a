"""Random programs on the RTL and the simulator: equal at every retirement, and in every fault.

By default a few programs on one small config; `-m campaign` runs many on configs of every shape.
"""

import random
from collections.abc import Mapping

import pytest

from tilewright.flows.hardware import rtl_model
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.random_program import InjectedFault, random_program
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.cosim import runner
from tilewright.sim.cosim.build import Model
from tilewright.sim.cosim.parameters import AbortedRun, DramParameters
from tilewright.sim.iss import Iss
from tilewright.sim.recording import record

TINY = Config(
    name="tiny", rows=4, cols=4, activation_kib=1, activation_banks=4, weight_kib=1,
    accumulator_kib=1, accumulator_banks=2, parameter_kib=1, lanes=2, operand_lanes=1,
    axi_data_bits=64, queue_depth=4,
)  # fmt: skip

CAMPAIGN = {
    "tiny": TINY,
    "1x1": Config(
        rows=1, cols=1, lanes=1, operand_lanes=1, activation_kib=1, weight_kib=1,
        accumulator_kib=1, parameter_kib=1, axi_data_bits=64, queue_depth=2,
    ),
    "3x5": Config(
        rows=3, cols=5, lanes=1, operand_lanes=1, activation_kib=8, weight_kib=2,
        accumulator_kib=4, parameter_kib=2, activation_banks=1,
    ),
    "8x16": Config(
        rows=8, cols=16, lanes=8, operand_lanes=2, activation_kib=16, weight_kib=16,
        multiplier_bits=2,
    ),
    "12x20": Config(
        rows=12, cols=20, lanes=4, operand_lanes=2, activation_kib=48, weight_kib=20,
        accumulator_kib=40, parameter_kib=4, axi_data_bits=256,
    ),
    "16x16 of 4x8": Config(
        rows=16, cols=16, tile_rows=4, tile_cols=8, lanes=8, operand_lanes=8, axi_data_bits=512,
        tree_register_levels=1,
    ),
    "6x4 of 2x1": Config(
        rows=6, cols=4, tile_rows=2, tile_cols=1, lanes=2, operand_lanes=2, activation_kib=2,
        activation_banks=4, weight_kib=1, accumulator_kib=2, parameter_kib=2, axi_data_bits=512,
        tree_register_levels=1,
    ),
    "16x8": Config(
        rows=16, cols=8, lanes=4, operand_lanes=4, activation_kib=8, weight_kib=4,
        accumulator_kib=8, parameter_kib=2, axi_data_bits=256,
    ),
    "nano for an FPGA": Config.load("nano").replace(path_registers=1, tree_register_levels=1),
    "edge for a large FPGA": Config.load("edge").replace(
        path_registers=1, wire_registers=1, tree_register_levels=1
    ),
    "base": Config.load("base"),
}  # fmt: skip
PAGE_BYTES = 4096
TIMEOUT_CYCLES = 500_000
WATCHDOG_CYCLES = 20_000


def dram_parameters(seed: int) -> DramParameters:
    """Return a DRAM of random latency and stalls; every third one is ideal."""
    return DramParameters(
        seed=seed,
        latency_cycles=(1, 20, 64)[seed % 3],
        stall_probability=(0.0, 0.2, 0.5)[seed % 3],
        allow_out_of_range=True,
    )


def run_on_rtl(model: Model, program: Program, seed: int, **options):
    image = program.image.ljust(program.memory_bytes, b"\0")
    return runner.run(
        model, image, program_address=program.program_address, dram=dram_parameters(seed),
        dram_base=4096 * (seed % 5), timeout_cycles=TIMEOUT_CYCLES,
        register_values={"watchdog": WATCHDOG_CYCLES}, **options,
    )  # fmt: skip


def check_buckets(registers: Mapping[str, int]) -> None:
    """Every cycle of every engine is in exactly one bucket."""
    for engine in Engine:
        name = engine.name.lower()
        cycles = sum(registers[f"{name}_{bucket.name.lower()}"] for bucket in Bucket)
        assert cycles == registers["cycles_low"], name


def check_lockstep(model: Model, config: Config, seed: int) -> None:
    """Run one program; every SRAM word an instruction wrote is compared as it retires."""
    program = random_program(config, seed, num_instructions=40)
    expected, expectations = record(program)
    result = run_on_rtl(model, program, seed, expectations=expectations)
    assert (result.fault, result.fault_instruction) == (0, None), f"seed {seed}"
    assert not result.num_mismatches, f"seed {seed}: {result.mismatches[0]}"
    assert result.num_checked_bytes == sum(len(e.data) for e in expectations), f"seed {seed}"
    assert bytes(result.memory) == expected.memory.tobytes(), f"seed {seed}: DRAM differs"
    assert result.registers["dispatched"] == expected.dispatched
    check_buckets(result.registers)
    for engine, retired in expected.retired.items():
        assert result.registers[f"{engine.name.lower()}_retired"] == retired, f"seed {seed}"


def check_fault(model: Model, config: Config, seed: int, kind: InjectedFault) -> None:
    """Run one program with a mistake; cause and instruction index are the simulator's."""
    program = random_program(config, seed, num_instructions=20, fault=kind)
    expected = record(program)[0].fault
    assert expected is not None
    result = run_on_rtl(model, program, seed)
    check_buckets(result.registers)
    found = (result.fault, result.fault_instruction)
    assert found == (expected.cause, expected.instruction), f"seed {seed}, {kind}"


def check_aborts(model: Model, config: Config, seed: int) -> None:
    """Start and abort programs at random moments, then run one: it does what it does alone."""
    rng = random.Random(seed)
    programs = [random_program(config, 10 * seed + n, num_instructions=30) for n in range(6)]
    last, *cut = programs
    places, image = [], b""
    for program in programs:
        places.append(len(image))
        image += program.image.ljust(-(-program.memory_bytes // PAGE_BYTES) * PAGE_BYTES, b"\0")
    expected = Iss.of_program(last).run(last.program_address)
    result = runner.run(
        model, image, program_address=last.program_address, dram=dram_parameters(seed),
        timeout_cycles=TIMEOUT_CYCLES, register_values={"watchdog": WATCHDOG_CYCLES},
        aborted=[
            AbortedRun(program_address=program.program_address, dram_base=place,
                       cycles=rng.randrange(3000), reset=rng.random() < 0.5)
            for program, place in zip(cut, places[1:], strict=True)
        ],
    )  # fmt: skip
    assert (result.fault, result.fault_instruction) == (0, None), f"seed {seed}"
    memory = bytes(result.memory[: last.memory_bytes])
    assert memory == expected.memory.tobytes(), f"seed {seed}: DRAM differs"
    check_buckets(result.registers)
    for engine, retired in expected.retired.items():
        assert result.registers[f"{engine.name.lower()}_retired"] == retired, f"seed {seed}"


def test_random_programs_equal_the_simulator(registers: dict[str, int]) -> None:
    config = TINY.replace(**registers)
    model = rtl_model(config, srams_public=True)
    for seed in range(4):
        check_lockstep(model, config, seed)
    for seed, kind in enumerate(InjectedFault):
        check_fault(model, config, seed, kind)
    for seed in range(3):
        check_aborts(model, config, seed)


@pytest.mark.campaign
@pytest.mark.parametrize("name", CAMPAIGN)
def test_campaign_of_random_programs(name: str) -> None:
    config = CAMPAIGN[name]
    model = rtl_model(config, srams_public=True)
    for seed in range(100, 140):
        check_lockstep(model, config, seed)
        check_fault(model, config, seed, tuple(InjectedFault)[seed % len(InjectedFault)])
        check_aborts(model, config, seed)
