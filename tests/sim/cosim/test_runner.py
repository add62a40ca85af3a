import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import standin
from standin import DESTINATION, SOURCE, copied, make_image

from tilewright.hw.spec.registers import MAGIC, Fault
from tilewright.sim.cosim import runner
from tilewright.sim.cosim.parameters import DramParameters, ErrorRange, Expectation
from tilewright.sim.cosim.runner import run_bare, run_clock
from tilewright.support.errors import ExecutionError, InputError, ToolError

run = functools.partial(runner.run, timeout_cycles=100_000)

BYTES = 8 * 16 * 16
"""Bytes that the default program copies at 128 bit."""


def first_load_cycle(latency, beats):
    """Cycle of the stand-in's first retirement: fetch of 4 beats, then `beats` beats."""
    fetch_handshake = 1
    fetch_done = fetch_handshake + latency + 3
    read_handshake = fetch_done + 1
    return read_handshake + latency + beats


def test_rejects_an_unaligned_base(model):
    with pytest.raises(InputError, match="dram_base must be a multiple of 4096, got 0x10"):
        run(model, make_image(0), program_address=0, dram_base=16)


def test_rejects_an_unknown_trace_format(model):
    with pytest.raises(InputError, match=r"ends in .vcd or .fst, got 'waves.txt'"):
        run(model, make_image(0), program_address=0, trace=Path("waves.txt"))


def test_copies_and_reports(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = make_image(1, repeats=3)
    result = run(model, image, program_address=0, digest_word=standin.DIGEST)
    assert np.array_equal(result.memory, copied(image, BYTES))
    assert result.fault is Fault.NONE
    assert result.fault_instruction is None
    assert result.registers["magic"] == MAGIC
    assert result.cycles == result.registers["cycles_low"]
    assert result.dram.read_bursts == 1 + 3 * 8
    assert result.dram.read_beats_by_id[:3] == (4, 3 * 128, 0)
    assert (result.dram.write_beats, result.dram.write_bytes) == (3 * 128, 3 * BYTES)
    assert result.dram.max_outstanding_reads == 8
    assert [(r.engine, r.count) for r in result.retirements] == [
        (engine, count) for count in (1, 2, 3) for engine in ("load", "store")
    ]
    assert list(tmp_path.iterdir()) == []


def test_image_may_lie_anywhere(model):
    image = make_image(2, at=960)
    result = run(model, image.tobytes(), program_address=960, dram_base=0x8000_0000)
    assert np.array_equal(result.memory, copied(image, BYTES))


@pytest.mark.parametrize("latency", [1, 7, 64, 300])
def test_first_beat_comes_latency_cycles_after_the_address(model, latency):
    dram = DramParameters(latency_cycles=latency)
    result = run(model, make_image(3), program_address=0, dram=dram)
    load, store = result.retirements
    assert load.cycle == first_load_cycle(latency, 128)
    last_data = load.cycle + 128 - 1
    assert store.cycle == last_data + latency + 1
    assert result.cycles == store.cycle + 1


def test_bandwidth_limits_both_directions(model):
    dram = DramParameters(beats_per_cycle=0.25)
    result = run(model, make_image(4), program_address=0, dram=dram)
    assert np.array_equal(result.memory, copied(make_image(4), BYTES))
    load, store = result.retirements
    assert 4 * 128 <= load.cycle - 2 * 64 <= 4 * (128 + 4) + 10
    assert 4 * 127 <= store.cycle - load.cycle - 64 <= 4 * 128 + 10


def test_outstanding_bursts_are_limited(model):
    dram = DramParameters(max_outstanding=2)
    image = make_image(5, num_bursts=16, beats=2)
    result = run(model, image, program_address=0, dram=dram)
    assert np.array_equal(result.memory, copied(image, 16 * 2 * 16))
    assert result.dram.max_outstanding_reads == result.dram.max_outstanding_writes == 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_copies_under_random_stalls(model, seed):
    dram = DramParameters(stall_probability=0.3, seed=seed)
    image = make_image(seed, repeats=4)
    first = run(model, image, program_address=0, dram=dram)
    again = run(model, image, program_address=0, dram=dram)
    assert np.array_equal(first.memory, copied(image, BYTES))
    assert first.cycles == again.cycles
    assert first.dram == again.dram


def test_read_error_ends_in_a_fault(model):
    errors = (ErrorRange(first=SOURCE + 512, last=SOURCE + 513, writes=False),)
    result = run(model, make_image(6), program_address=0, dram=DramParameters(errors=errors))
    assert result.fault is Fault.BUS_ERROR
    assert result.fault_instruction == 0
    assert result.dram.error_responses == 1


def test_write_error_ends_in_a_fault_and_changes_nothing(model):
    errors = (ErrorRange(first=DESTINATION, last=DESTINATION + BYTES, reads=False, response=3),)
    image = make_image(7)
    result = run(model, image, program_address=0, dram=DramParameters(errors=errors))
    assert result.fault is Fault.BUS_ERROR
    assert result.dram.error_responses == 8
    assert np.array_equal(result.memory, image)


@pytest.mark.parametrize(
    ("program", "rule"),
    [
        ({"misbehaviour": standin.EARLY_WLAST}, "WLAST is 1 at beat 0"),
        ({"misbehaviour": standin.WRAPPING}, "burst type 2 is not INCR"),
        ({"source": SOURCE - 64}, "crosses a 4 KiB boundary"),
        ({"source": 2 * standin.IMAGE_BYTES}, r"leaves the image \[0x0, 0x10000\)"),
    ],
)
def test_broken_bus_rules_are_failures(model, program, rule):
    with pytest.raises(ExecutionError, match=rule):
        run(model, make_image(8, **program), program_address=0)


def test_unstable_address_is_a_failure(model):
    image = make_image(9, misbehaviour=standin.UNSTABLE_ADDRESS)
    dram = DramParameters(stall_probability=0.5, seed=9)
    result = run(model, image, program_address=0, dram=dram, allow_violations=True)
    assert any("ARVALID fell or its payload changed" in text for text in result.violations)


def test_out_of_range_access_can_be_an_error_response(model):
    image = make_image(10, source=2 * standin.IMAGE_BYTES)
    dram = DramParameters(allow_out_of_range=True)
    result = run(model, image, program_address=0, dram=dram)
    assert result.fault is Fault.BUS_ERROR
    assert not result.violations


def test_timeout_says_what_was_reached(model):
    image = make_image(11, misbehaviour=standin.HANG)
    with pytest.raises(ExecutionError, match=r"within 5000 cycles: 1 instructions dispatched"):
        run(model, image, program_address=0, timeout_cycles=5000)


def test_wrong_config_is_refused(model):
    with pytest.raises(ExecutionError, match=r"digest 0123456789abcdef, the program of 0+1"):
        run(model, make_image(12), program_address=0, digest_word=1)


def test_crashed_simulator_is_a_tool_error(model, tmp_path):
    broken = tmp_path / "simulator"
    broken.write_text("#!/bin/sh\necho 'tilewright: no good' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(ToolError, match=r"simulator failed: tilewright: no good \(log: .*log\)"):
        run(dataclasses.replace(model, executable=broken), make_image(0), program_address=0)


def test_expectations_hold_for_right_contents(model):
    image = make_image(13)
    expectations = [
        Expectation(
            engine="load", count=1, sram="buffer", word=word,
            data=image[SOURCE + 16 * word : SOURCE + 16 * word + 40].tobytes(),
        )
        for word in (0, 5, 125)
    ]  # fmt: skip
    result = run(model, image, program_address=0, expectations=expectations)
    assert (result.num_mismatches, result.num_checked_bytes) == (0, 120)


def test_expectations_find_the_wrong_byte(model):
    image = make_image(14, repeats=2)
    data = bytearray(image[SOURCE : SOURCE + 64])
    data[37] ^= 0x80
    expectation = Expectation(engine="load", count=2, sram="buffer", word=0, data=bytes(data))
    result = run(model, image, program_address=0, expectations=[expectation])
    assert result.num_mismatches == 1
    (mismatch,) = result.mismatches
    assert (mismatch.sram, mismatch.word, mismatch.byte) == ("buffer", 2, 5)
    assert (mismatch.expected, mismatch.actual) == (data[37], data[37] ^ 0x80)
    assert (mismatch.engine, mismatch.count) == ("load", 2)
    assert mismatch.cycle == result.retirements[2].cycle


def test_expectation_of_a_retirement_that_never_comes_is_reported(model):
    expectation = Expectation(engine="load", count=9, sram="buffer", word=0, data=b"\0")
    with pytest.raises(ExecutionError, match="1 expectations met no retirement"):
        run(model, make_image(15), program_address=0, expectations=[expectation])


def test_expectation_names_are_checked(model):
    expectation = Expectation(engine="load", count=1, sram="cache", word=0, data=b"\0")
    with pytest.raises(InputError, match=r"SRAM 'cache': the engines are .* the SRAMs buffer"):
        run(model, make_image(16), program_address=0, expectations=[expectation])


def test_bare_run_reports_its_speed(model):
    assert run_bare(model, make_image(17, repeats=50), program_address=0) > 1000


def test_clock_alone_reports_its_speed(model):
    assert run_clock(model, 20_000) > 1000


@pytest.mark.parametrize("seed", [0, 18])
def test_widest_bus(tmp_path, seed):
    wide = standin.build_standin(tmp_path, address_bits=64, data_bits=512)
    image = make_image(seed, num_bursts=4, beats=16)
    dram = DramParameters(stall_probability=0.2 if seed else 0, seed=seed)
    result = run(wide, image, program_address=0, dram=dram)
    assert np.array_equal(result.memory, copied(image, 4 * 16 * 64))


def test_trace_of_the_narrowest_bus(tmp_path):
    narrow = standin.build_standin(tmp_path, address_bits=40, data_bits=64, trace="vcd")
    image = make_image(19)
    trace = tmp_path / "waves.vcd"
    result = run(narrow, image, program_address=0, trace=trace)
    assert np.array_equal(result.memory, copied(image, 8 * 16 * 8))
    text = trace.read_text()
    assert "memory_araddr" in text
    assert "beats_got" in text
