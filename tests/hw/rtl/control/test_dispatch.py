"""Dispatch, the issue queues and the retirement counters together, with stand-in engines."""

import random

import pytest
from dispatch_bench import CONFIG, ENGINES, Bench, packed, words

from tilewright.hw.rtl.control.decoder import engine_operations
from tilewright.hw.rtl.control.dispatch import entry_layout
from tilewright.hw.rtl.control.waits import max_under_way
from tilewright.hw.spec import encoding, isa
from tilewright.hw.spec.cycles import dispatch_cycles
from tilewright.hw.spec.instruction_set import instruction, operations
from tilewright.hw.spec.isa import Engine, Wait
from tilewright.hw.spec.registers import Fault

END = instruction("END")


def random_program(rng, length, operations):
    """Words of random operations, element types and fields, with waits that can be met."""
    sent = dict.fromkeys(Engine, 0)
    program = []
    for _ in range(length):
        operation = rng.choice([each for each in operations if each.engine is not None])
        values = {"element_type": rng.choice(operation.element_types)}
        for field in operation.fields:
            low, high = encoding.field_range(field, CONFIG)
            values[field.name] = rng.randint(low, high)
        for slot, engine in enumerate(rng.choices(list(Engine), k=rng.randrange(5))):
            values[f"wait{slot}_engine"] = engine
            values[f"wait{slot}_count"] = rng.randint(max(0, sent[engine] - 3), sent[engine])
        program.append(packed(operation, values))
        sent[operation.engine] += 1
    return [*program, *words(END)]


def check_random_program(seed, operations, path_registers=0):
    """All instructions of a random program issue, those of an engine in order."""
    program = random_program(random.Random(seed), 60, operations)
    config = CONFIG.replace(path_registers=path_registers)
    bench = Bench(program, seed=seed, operations=operations, config=config)
    bench.run()
    assert sorted(bench.issued) == list(range(60))
    for engine in ENGINES:
        mine = [i for i in bench.issued if bench.by_opcode[program[i] & 0xFF].engine == engine]
        assert mine == sorted(mine)


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_random_programs_issue_in_order_and_after_their_waits(seed, path_registers):
    check_random_program(seed, operations(CONFIG), path_registers)


def toy(name, opcode, engine, element_types, **fields):
    annotations = dict.fromkeys(fields, int)
    members = {**fields, "__annotations__": annotations, "__doc__": name}
    members["element_types"] = element_types
    return isa.operation(opcode, engine, "")(type(name, (isa.Instruction,), members))


TOYS = (
    toy("Short", 0x31, Engine.VECTOR, (0, 3), kind=isa.bits(2, "", values=isa.Combine),
        offset=isa.bits(9, "", signed=True)),
    toy("Long", 0x32, Engine.VECTOR, (1,),
        **{f"word{number}": isa.bits(31, "") for number in range(13)}),
    toy("Bare", 0x12, Engine.LOAD, (0,)),
)  # fmt: skip
SPACING = dispatch_cycles(CONFIG)
WITH_TOYS = (*operations(CONFIG), *TOYS)


@pytest.mark.parametrize("seed", range(4))
def test_several_operations_and_element_types_of_an_engine_reach_it(seed):
    check_random_program(seed, WITH_TOYS)


def test_the_choice_among_one_operation_or_type_costs_no_bits():
    for rows, choices in (
        (operations(CONFIG), {"LOAD": (0, 0), "VECTOR": (0, 0), "STORE": (0, 0)}),
        (WITH_TOYS, {"LOAD": (1, 0), "VECTOR": (2, 2), "STORE": (0, 0)}),
    ):
        for name, expected in choices.items():
            own = engine_operations(rows)[Engine[name]]
            layout = entry_layout(own, CONFIG)
            assert (layout["operation"].width, layout["element_type"].width) == expected


def test_an_instruction_issues_after_its_decoding_and_dispatch_is_ready_every_second_cycle():
    loads = [instruction("LOAD", dram_address=64 * i) for i in range(20)]
    bench = Bench(words(*loads, END))
    bench.run()
    assert bench.issue_cycles == list(range(SPACING, 41, SPACING))


@pytest.mark.parametrize("path_registers", [0, 1])
def test_a_released_wait_issues_in_the_cycle_after_the_retirement(path_registers):
    program = [
        instruction("LOAD"),
        instruction("MATRIX", (Wait(engine=Engine.LOAD, count=1),)),
        END,
    ]
    config = CONFIG.replace(path_registers=path_registers)
    bench = Bench(words(*program), latency=lambda rng: 6, config=config)
    bench.run()
    load, matrix = bench.issue_cycles
    retirement = load + 1 + 6
    assert matrix == retirement + 1


BAD = {
    "illegal word": (words(instruction("LOAD"))[0] | 0x55, Fault.ILLEGAL_INSTRUCTION),
    "unknown opcode": (0x7F, Fault.ILLEGAL_INSTRUCTION),
    "unknown element type": (words(instruction("LOAD"))[0] | 1 << 8, Fault.ILLEGAL_INSTRUCTION),
    "error of the read": (words(instruction("LOAD"))[0] | 1 << 512, Fault.BUS_ERROR),
    "future": (words(instruction("LOAD", (Wait(engine=Engine.LOAD, count=2),)))[0],
               Fault.FUTURE_WAIT),
    "own retirement": (words(instruction("STORE", (Wait(engine=Engine.STORE, count=1),)))[0],
                       Fault.FUTURE_WAIT),
    "depthwise": (words(instruction("LOAD", (Wait(engine=Engine.DEPTHWISE, count=1),)))[0],
                  Fault.FUTURE_WAIT),
    "end that waits for the future": (words(
        instruction("END", (Wait(engine=Engine.VECTOR, count=9),)))[0], Fault.FUTURE_WAIT),
}  # fmt: skip


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_instruction_stops_dispatch(name, path_registers):
    word, cause = BAD[name]
    program = [*words(instruction("LOAD")), word, *words(instruction("LOAD"), END)]
    check_fault(cause, Bench(program, config=CONFIG.replace(path_registers=path_registers)))


BAD_TOYS = {
    "type in the gap": packed(TOYS[0], {"element_type": 2}),
    "type of another operation of the engine": packed(TOYS[0], {"element_type": 1}),
    "type 0 where there is only another": packed(TOYS[1], {}),
    "no such kind": packed(TOYS[0], {"kind": 3}),
    "bits of a longer operation of the engine": packed(TOYS[0], {}) | 1 << 200,
    "unknown opcode": 0x33,
}


@pytest.mark.parametrize("name", BAD_TOYS)
def test_what_no_operation_of_the_engine_has_is_illegal(name):
    program = [*words(instruction("LOAD")), BAD_TOYS[name], *words(END)]
    bench = Bench(program, operations=WITH_TOYS)
    check_fault(Fault.ILLEGAL_INSTRUCTION, bench)


def check_fault(cause, bench):
    """The second instruction is at fault: it and what follows are not taken."""
    dispatch = bench.dut.dispatch

    async def script(ctx):
        ctx.set(dispatch.run, 1)
        for _ in range(12):
            await bench.cycle(ctx)
        assert ctx.get(dispatch.fault)
        assert ctx.get(dispatch.cause) == cause
        assert ctx.get(dispatch.fault_index) == 1
        assert ctx.get(dispatch.dispatched) == 1
        assert bench.issued == [0]

    bench.run(script)


def test_single_step_takes_one_instruction_after_everything_retired():
    program = words(instruction("LOAD"), instruction("MATRIX"), instruction("STORE"), END)
    bench = Bench(program, latency=lambda rng: 3)
    dispatch = bench.dut.dispatch

    async def script(ctx):
        ctx.set(dispatch.run, 1)
        ctx.set(dispatch.single_step, 1)
        for step in range(4):
            for _ in range(10):
                await bench.cycle(ctx)
            assert bench.position == step
            assert ctx.get(dispatch.stopped)
            ctx.set(dispatch.step, 1)
            await bench.cycle(ctx)
            ctx.set(dispatch.step, 0)
            assert not ctx.get(dispatch.stopped)
        for _ in range(10):
            await bench.cycle(ctx)
        assert ctx.get(dispatch.ended)
        assert not ctx.get(dispatch.stopped)

    bench.run(script)


@pytest.mark.parametrize("path_registers", [0, 1])
def test_waits_for_the_oldest_and_the_newest_of_all_under_way_are_told_apart(path_registers):
    loads = max_under_way(CONFIG)
    waits = [(Wait(engine=Engine.LOAD, count=count),) for count in (1, loads)]
    program = [
        *[instruction("LOAD")] * loads,
        instruction("MATRIX", waits[0]),
        instruction("MATRIX", waits[1]),
        instruction("STORE", waits[0] + waits[1]),
        END,
    ]
    config = CONFIG.replace(path_registers=path_registers)
    latency = (SPACING + path_registers) * (loads + 4)
    bench = Bench(words(*program), latency=lambda rng: latency, config=config)
    bench.run()
    cycles = dict(zip(bench.issued, bench.issue_cycles, strict=True))
    retired = [cycles[number] + 1 + latency for number in range(loads)]
    assert [cycles[loads + number] for number in range(3)] == [
        retired[0] + 1,
        retired[-1] + 1,
        retired[-1] + 1,
    ]


def test_a_queue_in_reset_forgets_everything():
    wait = (Wait(engine=Engine.LOAD, count=1),)
    bench = Bench(words(instruction("LOAD"), instruction("STORE", wait), instruction("LOAD", wait)),
                  latency=lambda rng: 20)  # fmt: skip

    async def script(ctx):
        ctx.set(bench.dut.dispatch.run, 1)
        for _ in range(8):
            await bench.cycle(ctx)
        assert bench.issued == [0]
        assert bench.position == 3
        ctx.set(bench.dut.stop, 1)
        await bench.cycle(ctx)
        ctx.set(bench.dut.stop, 0)
        for _ in range(20):
            await bench.cycle(ctx)
        assert bench.retired[Engine.LOAD] == 1
        assert bench.issued == [0]

    bench.run(script)


@pytest.mark.parametrize("path_registers", [0, 1])
@pytest.mark.parametrize("limit", [0, 2])
def test_the_instruction_behind_the_limit_is_at_fault(limit, path_registers):
    loads = words(*[instruction("LOAD")] * 4)
    bench = Bench(loads, config=CONFIG.replace(path_registers=path_registers))
    dispatch = bench.dut.dispatch

    async def script(ctx):
        ctx.set(dispatch.run, 1)
        ctx.set(bench.dut.limit, limit)
        for _ in range(12):
            await bench.cycle(ctx)
        assert ctx.get(dispatch.cause) == Fault.INSTRUCTION_LIMIT
        assert ctx.get(dispatch.fault_index) == ctx.get(dispatch.dispatched) == limit
        assert bench.issued == list(range(limit))

    bench.run(script)


def test_a_program_as_long_as_the_limit_ends():
    bench = Bench(words(instruction("LOAD"), instruction("STORE"), END))

    async def script(ctx):
        ctx.set(bench.dut.limit, 2)
        await bench.default_script(100)(ctx)
        assert not ctx.get(bench.dut.dispatch.fault)

    bench.run(script)
