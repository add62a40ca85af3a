"""The timing model: small programs by hand, the demo model against cycles counted on the RTL.

`data/digits_*.asm` are programs of the shipped demo model (`tilewright compile` of
flows/data/digits.onnx, then `tilewright disasm`), the JSON files next to them what the RTL needed
for them at DRAM latency 64. `pytest -m campaign tests/flows/test_rtl_cycles.py` runs them on the
RTL again.
"""

import json
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path

import pytest

from tilewright.hw.spec import cycles
from tilewright.hw.spec.assembly import assemble
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.random_program import random_program
from tilewright.hw.spec.registers import Bucket
from tilewright.sim.timing import machine, simulate
from tilewright.sim.timing.ports import MAX_KEPT, BankTimeline
from tilewright.support.errors import ExecutionError

DATA = Path(__file__).resolve().parent / "data"
BASE = PRESETS["base"]
LOAD = "LOAD target=PARAMETER run=4 count0=1 count1=1 count2=1"
MATRIX = (
    "MATRIX kernel_height=1 kernel_width=1 out_height=4 out_width=8 stride_y=1 stride_x=1 "
    "height=4 width=8 source_pitch=8 out_blocks=1 in_blocks=2"
)
# By hand, at `base` (an instruction is 4 beats) and latency 64: the first address is requested in
# cycle 1, on the bus in 3, its beats come in 67..70, it is decoded in 72, sent in 73 and can issue
# in 74.
FIRST_DISPATCH, FIRST_ISSUE = 73, 74


def timing(*lines, config=BASE, latency=64):
    return simulate(assemble("\n".join([*lines, "END", ""]), config), latency=latency)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.asm")), ids=lambda path: path.stem)
def test_what_is_over_can_be_forgotten(path, monkeypatch):
    program = assemble(path.read_text(), PRESETS[path.stem.split("_")[1]])
    kept = simulate(program)
    forgotten = []

    def forget(timeline, cycle):
        forgotten.append(cycle)
        for starts, ends in zip(timeline._starts, timeline._ends, strict=True):
            place = bisect_right(ends, cycle)
            del starts[:place], ends[:place]

    monkeypatch.setattr(machine, "FORGET_INTERVAL", 1)
    monkeypatch.setattr(BankTimeline, "forget", forget)
    found = simulate(program)
    assert forgotten
    assert (found, found.buckets, found.refused) == (kept, kept.buckets, kept.refused)


def test_a_timeline_forgets_what_is_over_and_much():
    timeline = BankTimeline(8, 2)
    for start in range(0, 4 * MAX_KEPT, 2):
        timeline.occupy_bank(1, start, start + 1)
    timeline.forget(2 * MAX_KEPT)
    assert len(timeline.intervals(1)[0]) == 2 * MAX_KEPT
    timeline.forget(3 * MAX_KEPT)
    starts, ends = timeline.intervals(1)
    assert starts == list(range(3 * MAX_KEPT, 4 * MAX_KEPT, 2))
    assert ends == [start + 1 for start in starts]


def test_an_empty_program_ends_with_its_prefetch():
    # 16 reads are requested before END arrives; the last one's last beat is in cycle 130.
    assert timing().cycles == 130 + 1 + 2
    # Latency 4: END's first beat is in cycle 7, so that 7 instructions were requested.
    assert timing(latency=4).cycles == 7 + 7 * 4 - 1 + 1 + 2


def test_a_lone_load():
    # Address out of the engine in 76, on the bus in 77, behind the prefetched beats up to 130 the
    # 4 words of 8 beats each in 141..172, the last one written two cycles later.
    result = timing(LOAD)
    assert result.dispatched[0] == FIRST_DISPATCH
    assert result.issued[0] == FIRST_ISSUE
    assert result.retired == (172 + 2, -1)
    assert result.cycles == 174 + 3


def test_lone_instructions_take_the_formulas_latency():
    result = timing(MATRIX)
    matrix = assemble(f"{MATRIX}\nEND\n", BASE).instructions[0]
    assert result.retired[0] - result.issued[0] == matrix.latency(BASE)


def test_a_wait_ends_the_cycle_after_the_retirement():
    result = timing(f"first: {LOAD}", MATRIX.replace("MATRIX", "MATRIX after first"))
    assert result.issued[1] == result.retired[0] + 1
    assert result.waited_for == (None, Engine.LOAD, None)


def test_matrix_instructions_follow_without_a_gap():
    result = timing(*[MATRIX] * 5)
    gaps = {after - before for before, after in pairwise(result.retired[:5])}
    assert gaps == {2 * 32}


def test_dispatch_waits_for_room_in_the_queue():
    depth = BASE.queue_depth
    result = timing(*[MATRIX.replace("in_blocks=2", "in_blocks=64")] * (depth + 3))
    for number in (depth + 1, depth + 2):
        assert result.dispatched[number] == result.issued[number - depth] + 1


def test_vector_reads_wait_for_the_matrix_engine_in_their_bank():
    drain = (
        "VECTOR after first kernel_height=1 kernel_width=1 out_height=4 out_width=8 stride_y=1 "
        "stride_x=1 height=4 width=8 groups=1 source_kind=ACCUMULATOR source_pitch=8 "
        "destination=4096 destination_pitch=8"
    )
    same = MATRIX.replace("in_blocks=2", "in_blocks=64 destination=256")
    other = MATRIX.replace("in_blocks=2", "in_blocks=64 destination=1024")
    apart, together = (timing(f"first: {MATRIX}", each, drain) for each in (other, same))
    vector, matrix = 2, 1
    assert apart.retired[vector] - apart.issued[vector] == 32 + cycles.vector_pipeline(BASE)
    assert apart.buckets[Engine.VECTOR][Bucket.BANK] == 0
    # Its 32 words are read before and after the second MATRIX adds, never meanwhile.
    assert together.retired[vector] > together.retired[matrix]
    assert together.buckets[Engine.VECTOR][Bucket.BANK] >= 62 * 32


def test_reads_behind_the_address_modulus_are_in_the_first_banks():
    # Row 512 of pitch 2048 is 2^20 words behind row 0: the words read are those of bank 0.
    far = (
        "MATRIX kernel_height=1 kernel_width=1 out_height=1 out_width=32 stride_y=1 stride_x=1 "
        "origin_y=512 height=513 width=32 source_pitch=2048 out_blocks=1 in_blocks=8"
    )
    copy = (
        "VECTOR after MATRIX:1 kernel_height=1 kernel_width=1 out_height=1 out_width=8 stride_y=1 "
        "stride_x=1 height=1 width=8 groups=1 source={} source_pitch=8 destination=4096 "
        "destination_pitch=8"
    )
    met, apart = (timing(MATRIX, far, copy.format(bank * 2048)) for bank in (0, 5))
    assert apart.buckets[Engine.VECTOR][Bucket.BANK] == 0
    assert met.buckets[Engine.VECTOR][Bucket.BANK] > 32


def test_a_wait_for_the_future_is_an_error():
    with pytest.raises(ExecutionError, match="FUTURE_WAIT"):
        timing(MATRIX.replace("MATRIX", "MATRIX after LOAD:1"))


@pytest.mark.parametrize("latency", [1, 64, 200])
@pytest.mark.parametrize("preset", ["nano", "base"])
def test_random_programs_end_and_every_cycle_has_a_bucket(preset, latency):
    for seed in range(8):
        program = random_program(PRESETS[preset], seed)
        result = simulate(program, latency=latency)
        order = [engine for engine in result.engines if engine is not None]
        for engine in Engine:
            retired = [
                r for r, of in zip(result.retired, result.engines, strict=True) if of == engine
            ]
            assert retired == sorted(set(retired)), (seed, engine)
            assert sum(result.buckets[engine].values()) == result.cycles - 2
            assert min(result.buckets[engine].values()) >= 0
        assert len(result.retirements) == len(order)


@pytest.mark.parametrize(
    ("window", "operand", "retired"),
    [
        (1, 1000, (1125, 2149)),
        (2, 1000, (1126, 2150)),
        (2, 5000, (1126, 2150)),
        (3, 1000, (1127, 2151)),
        (6, 1000, (3177, 6220)),
        (6, 5000, (1640, 3176)),
    ],
)
def test_source_and_operand_in_one_bank_take_the_cycles_of_the_rtl(window, operand, retired):
    # 1000 is in the sources' bank, 5000 is not.
    add = (
        f"VECTOR kernel_height={window} kernel_width=1 out_height=16 out_width=16 stride_y=1 "
        f"stride_x=1 height={16 + window} width=16 groups=1 source_kind=ACTIVATION "
        f"source_pitch=16 operand={operand} operand_pitch=16 combine=ADD destination=8192 "
        "destination_pitch=16"
    )
    assert timing(add, add).retired[:2] == retired


RTL_RETIREMENTS = {
    # The third of four lane groups of one value behind another instruction's values.
    ("nano", 11): [768, 800, 844, 875, 876, 922, 927],
    # Two lane groups of one value right behind another instruction, whose scale register is taken.
    ("edge", 3): [740, 776, 870, 873],
    # Sources and operands in one bank.
    ("nano", 9): [653, 873, 877, 893, 894, 917],
    # There, a source word is not read again until the operand has come: that of a value before it,
    # or its own, where no value is left in the pipeline.
    ("base", 12): [651, 963, 985, 1097, 1221, 1373, 1574, 1617, 1627],
    # A header's read comes before DEPTHWISE's weights, the last word's turn before still to come.
    ("edge", 15): [724, 756, 762, 808, 824, 898],
    # A word that waits for the pipeline is not read again while the instruction before awaits its
    # operand, though DEPTHWISE has refused the read before.
    ("edge", 55): [689, 723, 997, 1004, 1029, 1035],
    # Nor while the next instruction awaits its first operand.
    ("nano", 160): [786, 793, 831, 895, 899, 956, 957, 983, 1008, 1026],
    # Behind its last operand an instruction asks for none.
    ("nano", 167): [564, 568, 591, 725, 730, 768, 788, 861, 865, 885, 898, 908],
    # DEPTHWISE gives way earlier than was known, and with it the last position's turn.
    ("edge", 500): [529, 611, 638, 669, 723, 742],
    # The last operand waits for the next instruction's first source.
    ("large", 24): [890, 1064, 1082, 1108],
}
"""Of the VECTOR instructions of data/random_*.asm, by preset and number; at DRAM latency 64."""


def measured_on(preset):
    """Return the config on whose RTL data/ was measured: its queues held two instructions."""
    return PRESETS[preset].replace(queue_depth=2)


@pytest.mark.parametrize(("preset", "seed"), RTL_RETIREMENTS)
def test_vector_instructions_retire_as_on_the_rtl(preset, seed):
    text = (DATA / f"random_{preset}_{seed}.asm").read_text()
    result = simulate(assemble(text, measured_on(preset)))
    found = [cycle for engine, _, cycle in result.retirements if engine == Engine.VECTOR]
    assert found == RTL_RETIREMENTS[preset, seed]


def test_a_store_meets_the_operands_of_instructions_that_have_retired():
    text = (DATA / "stores_nano_60.asm").read_text()
    result = simulate(assemble(text, PRESETS["nano"]))
    found = [cycle for engine, _, cycle in result.retirements if engine == Engine.STORE]
    assert found == [741, 818, 978, 1000]  # as on the RTL


@pytest.mark.parametrize("preset", ["nano", "edge", "base"])
def test_the_demo_model_takes_the_cycles_of_the_rtl(preset):
    program = assemble((DATA / f"digits_{preset}.asm").read_text(), measured_on(preset))
    measured = json.loads((DATA / f"digits_{preset}.json").read_text())
    result = simulate(program)
    found = {engine.name.lower(): [] for engine in Engine}
    for engine, _, cycle in result.retirements:
        found[engine.name.lower()].append(cycle)
    assert {name: retired for name, retired in found.items() if retired} == measured["retirements"]
    assert result.cycles == measured["cycles"]
    counters = {
        f"{engine.name.lower()}_{bucket.name.lower()}": result.buckets[engine][bucket]
        for engine in (Engine.LOAD, Engine.MATRIX, Engine.VECTOR, Engine.STORE)
        for bucket in Bucket
        if result.buckets[engine][bucket]
    }
    assert counters == measured["counters"]
