"""Programs that are cut short at any moment: the bus stays legal, the next program is right."""

import random

import pytest

from tilewright.hw.spec import registers
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Target
from tilewright.hw.spec.random_program import random_program
from tilewright.hw.spec.registers import Fault
from tilewright.sim.iss import Iss

BUSY, DONE, FAULT = registers.STATUS_BUSY, registers.STATUS_DONE, registers.STATUS_FAULT
PROGRAM_ADDRESS = 0x8000
END = instruction("END")
ENDLESS = instruction("MATRIX", kernel_height=15, kernel_width=15, out_blocks=1000,
                      in_blocks=1000, out_height=4, out_width=4)  # fmt: skip
OUT_OF_RANGE = instruction("MATRIX", kernel_height=1, kernel_width=1, out_blocks=1,
                           in_blocks=1000, out_height=16000, out_width=16000)  # fmt: skip
"""Legal words that would keep the array busy for 1e9 and 2.6e11 cycles."""
MOST_BUSY_CYCLES = 1000
"""From the last answer of the memory until `busy` is gone."""
pytestmark = pytest.mark.usefixtures("registers")


async def start(ctx, system, program):
    """Place a program with its image and start it."""
    system.dram.data[:] = program.image.ljust(len(system.dram.data), b"\0")
    await system.host.write(ctx, "program_address", program.program_address)
    await system.host.start(ctx)


async def end(ctx, system):
    """Wait until `busy` is gone; return the status."""
    limit = MOST_BUSY_CYCLES + 20
    while (status := await system.host.read(ctx, "status")) & BUSY:
        quiet_since = max(system.dram.answered, system.started)
        assert system.dram.cycle - quiet_since < limit, "still busy"
    assert system.dram.idle
    return status


async def abort(ctx, system):
    system.started = system.dram.cycle
    await system.host.write(ctx, "control", registers.CONTROL_ABORT)


def check_aborts(system, seed, number_of_aborts):
    """Cut random programs at random moments; after every third one a whole program is right."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    cut = [random_program(system.config, 1000 * seed + number, num_instructions=20)
           for number in range(number_of_aborts)]  # fmt: skip
    ended = set()

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        for number, program in enumerate(cut):
            await start(ctx, system, program)
            await ctx.tick().repeat(rng.randrange(1, 1200))
            await abort(ctx, system)
            status = await end(ctx, system)
            ended.add(status)
            assert status in (DONE, FAULT), number
            if status == FAULT:
                assert await host.read(ctx, "fault_cause") == Fault.ABORTED
            if number % 3:
                continue
            program = random_program(system.config, 1000 * seed + 500 + number, num_instructions=6)
            expected = Iss.of_program(program).run(program.program_address)
            await start(ctx, system, program)
            assert await host.finish(ctx, 100_000) == DONE
            size = program.memory_bytes
            assert bytes(system.dram.data[:size]) == bytes(expected.memory[:size]), number
            for engine, retired in expected.retired.items():
                assert await host.read(ctx, f"{engine.name.lower()}_retired") == retired

    system.run(script)
    assert FAULT in ended


def test_the_program_after_an_abort_at_any_moment_is_right(make_system):
    check_aborts(make_system(seed=0), 0, 4)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_aborts(make_system, seed):
    check_aborts(make_system(seed=seed), seed, 30)


def test_what_would_run_for_days_is_ended_by_abort_and_by_the_watchdog(make_system):
    system = make_system()
    system.place_program([ENDLESS, END])

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.start(ctx)
        await ctx.tick().repeat(300)
        assert await host.read(ctx, "status") == BUSY
        await abort(ctx, system)
        assert await end(ctx, system) == FAULT
        assert await host.read(ctx, "fault_cause") == Fault.ABORTED
        assert await host.read(ctx, "fault_instruction") == 1
        await host.write(ctx, "watchdog", 200)
        await host.start(ctx)
        assert await host.finish(ctx, 400) == FAULT
        assert await host.read(ctx, "fault_cause") == Fault.WATCHDOG
        system.place_program([OUT_OF_RANGE, END])
        await host.start(ctx)
        assert await host.finish(ctx, 400) == FAULT
        assert await host.read(ctx, "fault_cause") == Fault.SRAM_RANGE
        system.place_program([END])
        await host.start(ctx)
        assert await host.finish(ctx, 100) == DONE

    system.run(script)


def test_a_program_without_end_stops_at_the_limit_of_instructions(make_system):
    system = make_system()
    system.place_program([instruction("LOAD")] * 100)

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.write(ctx, "instruction_limit", 50)
        await host.start(ctx)
        assert await host.finish(ctx) == FAULT
        assert await host.read(ctx, "fault_cause") == Fault.INSTRUCTION_LIMIT
        assert await host.read(ctx, "fault_instruction") == 50
        assert await host.read(ctx, "load_retired") <= 50

    system.run(script)


def long_load(**fields):
    values = {"target": Target.ACTIVATION, "run": 128, "count0": 100, "count1": 1, "count2": 1}
    return instruction("LOAD", **values | fields)


@pytest.mark.parametrize("seed", [None, 3])
def test_no_read_address_comes_up_after_a_fault(make_system, seed):
    """Only what waits for its ready, at the port and in fetch behind it, may still go out."""
    system = make_system(seed=seed)
    system.place_program([long_load(), instruction("LOAD"), END])
    system.dram.error.add(0x4000_0000 + 64)

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.start(ctx)
        while not ctx.get(system.dut.irq):
            await ctx.tick()
        stopped = system.dram.cycle
        assert await host.finish(ctx) == FAULT
        assert await host.read(ctx, "fault_cause") == Fault.BUS_ERROR
        await ctx.tick().repeat(100)
        late = [offer for offer in system.dram.offered if offer[0] > stopped]
        assert len(late) <= (0 if seed is None else 1)
        assert system.dram.idle

    system.run(script)
