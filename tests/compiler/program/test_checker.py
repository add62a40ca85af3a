"""The checker passes what is ordered and names what is not; waits are needed, every one of them."""

from collections import Counter
from dataclasses import replace

import pytest
from random_graphs import GraphMaker

from tilewright.compiler.compile import compile_model, list_instructions, lower
from tilewright.compiler.frontend.importer import model_of_graph
from tilewright.compiler.plan.allocate import Lifetime, allocate, extent, largest_gap
from tilewright.compiler.program import checker
from tilewright.compiler.program.checker import CheckError, check_program
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.instruction_set import instruction
from tilewright.hw.spec.isa import Combine, Engine, Instruction, Source, Target, Wait

NANO = PRESETS["nano"]
LOAD = instruction(
    "LOAD", target=Target.ACTIVATION, dram_address=0, sram_address=8, run=4, count0=1, count1=1,
    count2=1,
)  # fmt: skip
STORE = instruction("STORE", dram_address=4096, sram_address=8, run=4, count0=1, count1=1, count2=1)
WRITABLE = [(4096, 8192)]


def waiting(item, *waits):
    return replace(item, waits=tuple(Wait(engine=e, count=c) for e, c in waits))


def test_store_behind_its_load_passes():
    check_program([LOAD, waiting(STORE, (Engine.LOAD, 1))], NANO, writable=WRITABLE)


def test_read_of_words_in_flight_is_found():
    with pytest.raises(CheckError, match=r"instruction 1 \(STORE\) touches ACTIVATION .* LOAD"):
        check_program([LOAD, STORE], NANO, writable=WRITABLE)


def test_overwrite_of_words_being_read_is_found():
    program = [LOAD, waiting(STORE, (Engine.LOAD, 1)), LOAD]
    with pytest.raises(CheckError, match=r"instruction 2 \(LOAD\) touches ACTIVATION .* STORE"):
        check_program(program, NANO, writable=WRITABLE)


def test_a_wait_reaches_through_other_engines():
    again = waiting(LOAD, (Engine.STORE, 1))
    check_program([LOAD, waiting(STORE, (Engine.LOAD, 1)), again], NANO, writable=WRITABLE)


def test_wait_for_the_future_is_found():
    with pytest.raises(CheckError, match="waits for LOAD 2, but only 1"):
        check_program([LOAD, waiting(STORE, (Engine.LOAD, 2))], NANO, writable=WRITABLE)


@pytest.mark.parametrize("name", ["dram_address", "dram_stride0"])
def test_address_that_hardware_would_round_is_found(name):
    load = replace(LOAD, **{name: NANO.activation_pitch // 2})
    with pytest.raises(CheckError, match=rf"\(LOAD\): {name} must be a multiple of 4 bytes, got 2"):
        check_program([load], NANO, writable=WRITABLE)


def test_read_of_unwritten_words_is_found():
    with pytest.raises(
        CheckError, match=r"\(STORE\) reads ACTIVATION word 8, which was not written"
    ):
        check_program([STORE], NANO, writable=WRITABLE)


def test_store_outside_the_maps_is_found():
    program = [LOAD, waiting(STORE, (Engine.LOAD, 1))]
    with pytest.raises(CheckError, match="hold the program or constants"):
        check_program(program, NANO, writable=[(0, 4096)])


def test_address_behind_the_sram_is_found():
    beyond = replace(LOAD, **{"sram_address": NANO.activation_words - 1})
    with pytest.raises(CheckError, match="leaves an SRAM"):
        check_program([beyond], NANO, writable=WRITABLE)


def element_wise(source: int, destination: int, **fields: int) -> list[Instruction]:
    """Loads of 16 activation and 16 parameter words, and a VECTOR of 8 pixels behind them."""
    once = {"dram_address": 0, "sram_address": 0, "run": 16, "count0": 1, "count1": 1, "count2": 1}
    counts = {"out_height": 1, "out_width": 8, "groups": 1, "kernel_height": 1, "kernel_width": 1}
    place = {"height": 1, "width": 8, "source_pitch": 8, "destination_pitch": 8, "stride_x": 1}
    vector = instruction(
        "VECTOR", source_kind=Source.ACTIVATION, source=source, destination=destination,
        **(counts | place | fields),
    )  # fmt: skip
    return [
        instruction("LOAD", target=Target.ACTIVATION, **once),
        instruction("LOAD", target=Target.PARAMETER, **once),
        waiting(vector, (Engine.LOAD, 2)),
    ]


@pytest.mark.parametrize("destination", [1, 7])
def test_vector_that_overwrites_what_it_reads_later_is_found(destination):
    message = (
        rf"instruction 2 \(VECTOR\) must read each word before it writes it, but of ACTIVATION "
        rf"words {destination} to {destination + 7} .* or each in the step that reads it"
    )
    with pytest.raises(CheckError, match=message):
        check_program(element_wise(0, destination), NANO, writable=WRITABLE)


@pytest.mark.parametrize("destination", [3, 2, 11])
def test_vector_in_place_behind_its_reads_or_elsewhere_passes(destination):
    check_program(element_wise(3, destination), NANO, writable=WRITABLE)


def test_vector_that_overwrites_its_operand_is_found():
    apart = {"combine": Combine.ADD, "operand": 7, "operand_pitch": 8}
    with pytest.raises(CheckError, match="must read each word before it writes it"):
        check_program(element_wise(0, 8, **apart), NANO, writable=WRITABLE)


def test_window_in_place_that_reads_overwritten_neighbours_is_found():
    window = {"kernel_width": 2, "origin_x": -1}
    with pytest.raises(CheckError, match="must read each word before it writes it"):
        check_program(element_wise(0, 0, **window), NANO, writable=WRITABLE)
    check_program(element_wise(0, 0, kernel_width=2), NANO, writable=WRITABLE)


def test_depthwise_blocks_that_accumulate_into_the_same_words_are_found():
    depthwise = instruction(
        "DEPTHWISE", blocks=2, kernel_height=1, kernel_width=1, out_height=1, out_width=4,
        stride_y=1, stride_x=1, height=1, width=4, source_pitch=4, accumulate=1,
        destination_stride=3,
    )  # fmt: skip
    with pytest.raises(CheckError, match=r"\(DEPTHWISE\) .* a destination_stride of out_height"):
        check_program([depthwise], PRESETS["base"], writable=WRITABLE)


def test_load_whose_runs_overlap_is_found():
    load = replace(LOAD, **{"count0": 2, "sram_stride0": 3})
    message = r"\(LOAD\) must write each word once, .* overlap in ACTIVATION words 8 to 14"
    with pytest.raises(CheckError, match=message):
        check_program([load], NANO, writable=WRITABLE)


def test_store_whose_runs_overlap_is_found():
    pitch = NANO.activation_pitch
    fields = {"dram_stride0": 3 * pitch, "count0": 2, "run": 4, "sram_stride0": 0}
    store = waiting(replace(STORE, **fields), (Engine.LOAD, 1))
    message = rf"\(STORE\) must write each word once, .* DRAM bytes 4096 to {4095 + 7 * pitch}"
    with pytest.raises(CheckError, match=message):
        check_program([LOAD, store], NANO, writable=WRITABLE)


def test_zero_counts_touch_nothing():
    empty = replace(LOAD, **{"count0": 0, "sram_stride0": 1})
    nothing = element_wise(0, 1, out_height=0)[2]
    check_program([empty, empty, nothing], NANO, writable=WRITABLE)


def test_compiled_stores_moved_by_a_page_into_inputs_or_constants_are_found():
    maker = GraphMaker(5, (6, 6, 6))
    lowered = lower(maker.graph(maker.conv(maker.input, 6)), NANO)
    placement = lowered.placement
    inputs = {placement.places[name].storage for name in lowered.graph.inputs}
    writable = [
        (address, address + placement.storages[name].size * NANO.activation_pitch)
        for name, address in placement.dram.items()
        if name not in inputs
    ]
    check_program(lowered.instructions, NANO, writable=writable)
    moved = 0
    for number, item in enumerate(lowered.instructions):
        if item.name == "STORE":
            for step in (-4096, 4096):
                mutant = [*lowered.instructions]
                fields = {**item.values(), "dram_address": item.dram_address + step}
                mutant[number] = type(item).of(fields, item.waits)
                with pytest.raises(CheckError, match="hold the program or constants"):
                    check_program(mutant, NANO, writable=writable)
                moved += 1
    assert moved >= 2


def test_every_wait_of_a_compiled_program_is_needed():
    maker = GraphMaker(2, (6, 6, 6))
    first = maker.conv(maker.input, 6, (3, 3), pads=(1, 1, 1, 1))
    second = maker.conv(first, 6, residual=maker.input)
    lowered = lower(maker.graph(maker.pool(second, "max", (2, 2), (2, 2))), NANO)
    instructions = list(lowered.instructions)
    writable = [(0, lowered.placement.dram_end)]
    check_program(instructions, NANO, writable=writable)
    dropped = 0
    for number, item in enumerate(instructions):
        for wait in item.waits:
            rest = tuple(w for w in item.waits if w is not wait)
            mutant = [*instructions]
            mutant[number] = replace(item, waits=rest)
            with pytest.raises(CheckError):
                check_program(mutant, NANO, writable=writable)
            dropped += 1
    assert dropped >= 8


def test_allocation_overlaps_only_objects_that_do_not_live_together():
    objects = [
        Lifetime(name="a", size=10, first=0, last=2),
        Lifetime(name="b", size=4, first=1, last=3),
        Lifetime(name="c", size=9, first=3, last=5),
        Lifetime(name="d", size=1, first=2, last=2),
    ]
    offsets = allocate(objects)
    for one in objects:
        for other in objects:
            if one is not other and one.first <= other.last and other.first <= one.last:
                low, high = sorted((one, other), key=lambda o: offsets[o.name])
                assert offsets[low.name] + low.size <= offsets[high.name]
    assert extent(objects, offsets) == 15
    assert largest_gap(objects, offsets, step=4, capacity=20) == (9, 11)


@pytest.mark.parametrize("compiled", [compile_model, list_instructions])
def test_more_instructions_than_an_engine_counts_are_refused(monkeypatch, compiled):
    maker = GraphMaker(5, (4, 6, 6))
    model = model_of_graph(maker.graph(maker.conv(maker.conv(maker.input, 4), 4)))
    sent = Counter(item.engine for item in compiled(model, NANO).instructions)
    engine = max(Engine, key=sent.__getitem__)
    monkeypatch.setattr(checker, "MAX_RETIREMENTS", sent[engine])
    compiled(model, NANO)
    monkeypatch.setattr(checker, "MAX_RETIREMENTS", sent[engine] - 1)
    message = (
        f"a program may send at most {sent[engine] - 1} instructions to an engine, this one has "
        f"{sent[engine]} for {engine.name}: use a larger array"
    )
    with pytest.raises(CheckError, match=f"^{message}$"):
        compiled(model, NANO)
