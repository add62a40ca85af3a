"""Runs one behind the other without a reset: nothing of a run, or of a fault, stays behind."""

import pytest

from tilewright.hw.spec import registers
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.random_program import InjectedFault, random_program
from tilewright.sim.iss import Iss

OPERATIONS = {
    "all": None,
    "depthwise": ("LOAD", "DEPTHWISE", "MATRIX", "VECTOR", "STORE"),
}
KINDS = (None, InjectedFault.OPCODE, None, InjectedFault.RANGE, None, InjectedFault.WAIT, None)


async def run(ctx, system, program, *, single_step=False):
    """Start a program; return the status."""
    host = system.host
    system.dram.data[:] = program.image.ljust(len(system.dram.data), b"\0")
    await host.write(ctx, "program_address", program.program_address)
    await host.write(ctx, "single_step", single_step)
    await host.start(ctx)
    for _ in range(100_000):
        status = await host.read(ctx, "status")
        if status & registers.STATUS_STOPPED:
            await host.write(ctx, "control", registers.CONTROL_STEP)
        if not status & registers.STATUS_BUSY:
            return status
    raise AssertionError("still busy")


@pytest.mark.parametrize(("name", "seed"), [("all", 0), ("depthwise", 1)])
def test_runs_without_a_reset_equal_the_simulator(make_system, name, seed):
    system = make_system(seed=seed)
    programs = [
        random_program(
            system.config, 100 * seed + number, operations=OPERATIONS[name], fault=kind,
            num_instructions=16,
        )
        for number, kind in enumerate(KINDS)
    ]  # fmt: skip

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        for number, program in enumerate(programs):
            expected = Iss.of_program(program).run(program.program_address)
            status = await run(ctx, system, program, single_step=number == 2)
            cycles = await host.read(ctx, "cycles_low")
            for engine in Engine:
                assert sum((await host.buckets(ctx, engine)).values()) == cycles, engine
            if expected.fault is not None:
                assert status == registers.STATUS_FAULT
                assert await host.read(ctx, "fault_cause") == expected.fault.cause
                assert await host.read(ctx, "fault_instruction") == expected.fault.instruction
                continue
            assert status == registers.STATUS_DONE, (name, seed, number)
            size = program.memory_bytes
            assert bytes(system.dram.data[:size]) == bytes(expected.memory[:size]), number
            for engine, retired in expected.retired.items():
                assert await host.read(ctx, f"{engine.name.lower()}_retired") == retired

    system.run(script)
