"""Faults, single-step, restarts and counters of the whole accelerator."""

from dataclasses import replace

import pytest

from tilewright.hw.spec import registers
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Engine, Target, Wait
from tilewright.hw.spec.registers import Fault

DONE, FAULT, BUSY, STOPPED = (
    registers.STATUS_DONE,
    registers.STATUS_FAULT,
    registers.STATUS_BUSY,
    registers.STATUS_STOPPED,
)
DRAM_BASE = 0x4000_0000
END = instruction("END")
pytestmark = pytest.mark.usefixtures("registers")


def after(engine, count):
    return (Wait(engine=engine, count=count),)


def copy(source=0, destination=0x4000, words=16, sram=0):
    """Load words from DRAM and store them elsewhere."""
    return [
        instruction("LOAD", target=Target.ACTIVATION, dram_address=source, sram_address=sram,
                    run=words, count0=1, count1=1, count2=1),
        instruction("STORE", after(Engine.LOAD, 1), dram_address=destination, sram_address=sram,
                    run=words, count0=1, count1=1, count2=1),
    ]  # fmt: skip


def run_and_read(system, names=("fault_cause", "fault_instruction", "dispatched"), **settings):
    """Run the placed program; return the status and the registers."""
    result = {}

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        for name, value in settings.items():
            await host.write(ctx, name, value)
        await host.start(ctx)
        result["status"] = await host.finish(ctx)
        for name in names:
            result[name] = await host.read(ctx, name)

    system.run(script)
    return result


@pytest.mark.parametrize("seed", [None, 1])
def test_copy_program_copies(make_system, seed):
    system = make_system(seed=seed)
    system.dram.data[:64] = bytes(range(64))
    system.place_program([*copy(), END])
    result = run_and_read(system)
    assert result == {"status": DONE, "fault_cause": 0, "fault_instruction": 0, "dispatched": 2}
    assert system.dram.data[0x4000:0x4040] == bytes(range(64))


def test_counters_of_every_engine_sum_to_the_cycles(make_system):
    system = make_system(seed=7)
    system.place_program([*copy(), *copy(words=40)[:1], END])

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.start(ctx)
        assert await host.finish(ctx) == DONE
        cycles = await host.read(ctx, "cycles_low")
        for engine in Engine:
            buckets = await host.buckets(ctx, engine)
            assert sum(buckets.values()) == cycles
        buckets = await host.buckets(ctx, Engine.STORE)
        assert buckets[registers.Bucket.WAIT_LOAD] > 0
        assert await host.read(ctx, "load_retired") == 2
        assert await host.read(ctx, "store_retired") == 1
        assert await host.read(ctx, "depthwise_retired") == 0

    system.run(script)


def test_illegal_word(make_system):
    system = make_system()
    system.place_program([*copy(), b"\x02" + bytes(63), END])
    result = run_and_read(system)
    assert result["status"] == FAULT
    assert result["fault_cause"] == Fault.ILLEGAL_INSTRUCTION
    assert result["fault_instruction"] == 2


def test_future_wait(make_system):
    system = make_system()
    load = replace(copy()[0], waits=after(Engine.STORE, 1))
    system.place_program([load, END])
    result = run_and_read(system)
    assert result == {"status": FAULT, "fault_cause": Fault.FUTURE_WAIT, "fault_instruction": 0,
                      "dispatched": 0}  # fmt: skip


@pytest.mark.parametrize("place", [0, 1])
def test_address_behind_the_sram(make_system, place):
    system = make_system()
    program = copy()
    program[place] = copy(sram=system.config.activation_words - 8)[place]
    system.place_program([*program, END])
    result = run_and_read(system)
    assert result["status"] == FAULT
    assert result["fault_cause"] == Fault.SRAM_RANGE
    assert result["fault_instruction"] == place


def bus_error(system, address):
    system.dram.error.add(DRAM_BASE + address)
    result = run_and_read(system)
    assert result["status"] == FAULT
    assert result["fault_cause"] == Fault.BUS_ERROR
    return result["fault_instruction"]


def test_bus_error_of_a_load(make_system):
    system = make_system()
    system.place_program([*copy(), END])
    assert bus_error(system, 8) == 0


def test_bus_error_of_a_store(make_system):
    system = make_system()
    system.place_program([*copy(), END])
    assert bus_error(system, 0x4008) == 1


def test_bus_error_of_a_fetched_word(make_system):
    system = make_system()
    system.place_program([*copy(), END])
    assert bus_error(system, 0x8000 + 64 + 8) == 1


def test_bus_error_behind_the_end_is_no_fault(make_system):
    system = make_system()
    system.place_program([*copy(), END])
    system.dram.error.add(DRAM_BASE + 0x8000 + 3 * 64)
    assert run_and_read(system)["status"] == DONE


def test_memory_that_never_answers_wakes_the_watchdog(make_system):
    system = make_system()
    system.place_program([*copy(), END])
    system.dram.dead = True

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.write(ctx, "watchdog", 100)
        await host.start(ctx)
        cycles = 0
        while not ctx.get(system.dut.irq):
            await ctx.tick()
            cycles += 1
        assert 95 < cycles < 110
        assert await host.read(ctx, "status") == BUSY | FAULT
        assert await host.read(ctx, "fault_cause") == Fault.WATCHDOG
        await host.start(ctx)
        assert await host.read(ctx, "fault_cause") == Fault.WATCHDOG
        system.dram.dead = False
        assert await host.finish(ctx) == FAULT
        await host.start(ctx)
        assert await host.finish(ctx) == DONE

    system.run(script)


@pytest.mark.parametrize("fields", [{"run": 0}, {"count1": 0}])
def test_zero_length_instructions_retire(make_system, fields):
    system = make_system()
    empty = [instruction(each.name, **{**each.values(), **fields}) for each in copy()]
    system.place_program([*empty, instruction("MATRIX"), instruction("VECTOR"), END])
    names = [f"{engine.name.lower()}_retired" for engine in Engine]
    result = run_and_read(system, names)
    assert result.pop("status") == DONE
    assert list(result.values()) == [1, 1, 0, 1, 1]


def test_start_after_a_fault_runs_the_program_anew(make_system):
    system = make_system()
    system.dram.data[:64] = bytes(range(64))
    system.place_program([*copy(), *copy(words=64)[:1] * 8, b"\xff" * 64])

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.start(ctx)
        assert await host.finish(ctx) == FAULT
        assert await host.read(ctx, "fault_instruction") == 10
        system.dram.data[0x4000:0x4040] = bytes(64)
        system.place_program([*copy(), END])
        await host.start(ctx)
        assert await host.finish(ctx) == DONE
        assert await host.read(ctx, "dispatched") == 2

    system.run(script)
    assert system.dram.data[0x4000:0x4040] == bytes(range(64))


def test_start_while_busy_is_ignored(make_system):
    system = make_system(latency=40)
    system.place_program([*copy(), END])

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.start(ctx)
        await ctx.tick().repeat(20)
        await host.start(ctx)
        assert await host.finish(ctx) == DONE
        assert await host.read(ctx, "load_retired") == 1
        assert await host.read(ctx, "cycles_low") > 100

    system.run(script)


def test_single_step_stops_before_each_instruction(make_system):
    system = make_system()
    system.place_program([*copy(), END])

    async def script(ctx):
        host = system.host
        await host.setup(ctx)
        await host.write(ctx, "single_step", 1)
        await host.start(ctx)
        for dispatched in range(3):
            while await host.read(ctx, "status") != BUSY | STOPPED:
                pass
            assert await host.read(ctx, "dispatched") == dispatched
            assert await host.read(ctx, "load_retired") == min(dispatched, 1)
            assert await host.read(ctx, "store_retired") == max(dispatched - 1, 0)
            await host.write(ctx, "control", registers.CONTROL_STEP)
        assert await host.finish(ctx) == DONE

    system.run(script)
