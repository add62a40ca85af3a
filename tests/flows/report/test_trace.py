"""A run as a trace: what Perfetto is given of engines, layers, ports and DRAM."""

import json
from collections import defaultdict

import pytest

from tilewright.compiler.options import ImportOptions
from tilewright.flows.models import compile_file
from tilewright.flows.report.report import layer_reports
from tilewright.flows.report.trace import chrome_trace
from tilewright.hw.spec.config import Config
from tilewright.sim.timing import simulate

LATENCY = 20


@pytest.fixture
def program(digits):
    return compile_file(digits, Config.load("nano")).program


@pytest.fixture
def trace(program):
    return json.loads(chrome_trace(program, LATENCY))


def tracks(trace):
    """Return the slices of each track by the names of its process and thread."""
    names = {(e["pid"], e.get("tid"), e["name"]): e["args"].get("name")
             for e in trace["traceEvents"] if e["ph"] == "M"}  # fmt: skip
    found = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            process = names[event["pid"], None, "process_name"]
            thread = names[event["pid"], event["tid"], "thread_name"]
            found[process, thread].append(event)
    return found


def test_slices_of_a_track_lie_in_the_run_and_behind_one_another(program, trace):
    cycles = simulate(program, latency=LATENCY).cycles
    assert trace["otherData"]["cycles"] == cycles
    for events in tracks(trace).values():
        end = 0
        for event in sorted(events, key=lambda event: event["ts"]):
            assert event["ts"] >= end
            end = event["ts"] + event["dur"]
        assert end <= cycles


def test_every_instruction_is_on_its_engine_with_its_cycles(program, trace):
    timing = simulate(program, latency=LATENCY)
    seen = {}
    for (process, thread), events in tracks(trace).items():
        for event in events:
            if process == "engines" and not event["name"].startswith("waits for"):
                number = event["args"]["instruction"]
                assert timing.engines[number].name == thread
                seen[number] = tuple(event["args"][k] for k in ("dispatched", "issued", "retired"))
    expected = zip(timing.dispatched, timing.issued, timing.retired, strict=True)
    assert seen == {n: e for n, e in enumerate(expected) if timing.engines[n] is not None}


def test_layers_sum_up_to_the_run(program, trace):
    ((_, events),) = (item for item in tracks(trace).items() if item[0][0] == "layers")
    assert events[0]["ts"] == 0
    reports = layer_reports(program, simulate(program, latency=LATENCY).retirements)
    cycles = {report.name: report.cycles for report in reports if report.cycles is not None}
    assert {event["name"]: event["dur"] for event in events} == cycles


def test_dram_moves_the_bytes_of_program_and_layers(program, trace):
    found = {track: sum(e["dur"] for e in events) for track, events in tracks(trace).items()}
    bus = program.config.axi_bytes
    reports = layer_reports(program)
    assert found["DRAM", "read: LOAD"] >= sum(r.load_bytes for r in reports) // bus
    assert found["DRAM", "write: STORE"] == -(-sum(r.store_bytes for r in reports) // bus)
    assert found["DRAM", "read: FETCH"] >= program.num_instructions * 64 // bus


def test_ports_are_named_by_bank_direction_and_engine(trace):
    assert ("activation SRAM", "bank 2 read: STORE") in tracks(trace)
    assert any(name.endswith("read: MATRIX") for memory, name in tracks(trace)
               if memory == "activation SRAM")  # fmt: skip
    assert any(name.endswith("write: VECTOR") for memory, name in tracks(trace)
               if memory == "activation SRAM")  # fmt: skip
    assert any(name.endswith("read: VECTOR") for memory, name in tracks(trace)
               if memory == "accumulator SRAM")  # fmt: skip


def test_sections_follow_one_another(interrupted):
    program = compile_file(
        interrupted, Config.load("nano"), ImportOptions(keep_sections=True)
    ).program
    assert len(program.sections) == 2
    trace = json.loads(chrome_trace(program, LATENCY))
    found = tracks(trace)
    first, second = (found["layers", section.name] for section in program.sections)
    assert max(e["ts"] + e["dur"] for e in first) <= min(e["ts"] for e in second)
    for instructions in (found["engines", "MATRIX"], found["DRAM", "read: LOAD"]):
        numbers = [event["args"]["instruction"] for event in instructions]
        assert numbers == sorted(numbers)
        assert max(numbers) >= program.sections[1].first
