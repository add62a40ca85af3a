"""What an instruction of the vector engine does at the ports, for a trace."""

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing.activity import ACCUMULATOR, ACTIVATION, Trace
from tilewright.sim.timing.flight import Flight
from tilewright.sim.timing.ports import BankTimeline, bank_range
from tilewright.sim.timing.vector_plan import Planner
from tilewright.sim.timing.vector_ports import source_banks


def note_ports(
    trace: Trace, planner: Planner, flight: Flight, config: Config, accumulators: BankTimeline
) -> None:
    """Note when an instruction that retires reads and writes; accumulators: of their banks."""
    name, number, work = Engine.VECTOR.name, flight.number, flight.work
    reads = work.operand_banks if work.kind == "sums" else work.operand_banks + work.source_banks
    writes = bank_range(flight.instruction.destination_walk(config), config)
    ports = {"read": (planner.reading, reads), "write": (planner.writing, writes)}
    for port, (timeline_of, banks) in ports.items():
        for timeline in {timeline_of(flight, bank) for bank in banks}:
            if timeline is not None:
                trace.note_banks(ACTIVATION, port, name, number, timeline)
    if work.kind == "sums":
        starts = planner.turn_cycles(flight)
        ends = starts + 1 if flight.replay is None else flight.replay.moves
        sums = accumulators.like()
        sums.occupy_union(source_banks(work.segments), starts, ends)
        trace.note_banks(ACCUMULATOR, "read", name, number, sums)
