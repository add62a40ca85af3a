"""Performance counters: retirements, and where every cycle of every engine goes."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.control.decoder import ENGINE_BITS, engines
from tilewright.hw.rtl.control.dispatch import counts_layout
from tilewright.hw.rtl.interfaces import Activity, bits
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import Bucket

COUNTER_BITS = 32
WAIT_BUCKETS: dict[Engine, Bucket] = {engine: Bucket[f"WAIT_{engine.name}"] for engine in Engine}
ACTIVITY_BUCKETS: dict[Activity, Bucket] = {
    Activity.IDLE: Bucket.IDLE,
    Activity.BUSY: Bucket.BUSY,
    Activity.MEMORY: Bucket.MEMORY,
    Activity.BANK: Bucket.BANK,
}


class RetirementCounters(wiring.Component):
    """Counts what each engine has retired; a pulse in cycle t shows in `retired` in t+1.

    Members
    -------
    retire : In, a pulse an instruction; a bit an engine of engines(config)
    reset : In(1)
    retired : Out(counts_layout()); 0 for an engine that does not exist
    retiring : Out, the pulses, a bit an engine number
    """

    def __init__(self, *, config: Config):
        self._engines = engines(config)
        super().__init__(
            {
                "retire": In(len(self._engines)),
                "reset": In(1),
                "retired": Out(counts_layout()),
                "retiring": Out(len(Engine)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for position, engine in enumerate(self._engines):
            count = self.retired[engine]
            m.d.comb += self.retiring[engine].eq(self.retire[position])
            with m.If(self.reset):
                m.d.sync += count.eq(0)
            with m.Elif(self.retire[position]):
                m.d.sync += count.eq(count + 1)
        return m


class CycleCounters(wiring.Component):
    """Puts every cycle of one engine in which `run` is high into exactly one bucket.

    The bucket is the engine's activity, except when the head of its queue waits and holds the
    engine up: it is idle, or awaits the memory but could take an instruction. Such a cycle counts
    as waiting for the engine of the head's first unmet slot. A cycle shows in `cycles` three cycles
    later, unless a reset comes between. The counters wrap at 2^32.

    Members
    -------
    run, reset : In(1)
    activity : In(Activity)
    ready : In(1), the engine would take an instruction
    waiting, waiting_for : of the engine's IssueQueue
    cycles : Out, a 32-bit count for every Bucket
    """

    run: In(1)
    reset: In(1)
    activity: In(Activity)
    ready: In(1)
    waiting: In(1)
    waiting_for: In(ENGINE_BITS)
    cycles: Out(data.ArrayLayout(COUNTER_BITS, len(Bucket)))

    def elaborate(self, platform):
        m = Module()
        bucket = Signal(range(len(Bucket)))
        runs, is_counted = bits("runs", "is_counted")
        # What an engine does comes late in a cycle, and is looked at in the next one.
        activity = Signal.like(self.activity)
        ready, waiting = bits("was_ready", "was_waiting")
        waiting_for = Signal.like(self.waiting_for)
        m.d.sync += [
            runs.eq(self.run),
            is_counted.eq(runs),
            activity.eq(self.activity),
            ready.eq(self.ready),
            waiting.eq(self.waiting),
            waiting_for.eq(self.waiting_for),
        ]
        with m.Switch(activity):
            for each, own_bucket in ACTIVITY_BUCKETS.items():
                with m.Case(each):
                    m.d.sync += bucket.eq(own_bucket)
        idle = activity == Activity.IDLE
        held_up = idle | ((activity == Activity.MEMORY) & ready)
        with m.If(waiting & held_up), m.Switch(waiting_for):
            for engine, wait_bucket in WAIT_BUCKETS.items():
                with m.Case(engine):
                    m.d.sync += bucket.eq(wait_bucket)
        with m.If(self.reset):
            m.d.sync += [count.eq(0) for count in self.cycles]
        with m.Elif(is_counted):
            m.d.sync += self.cycles[bucket].eq(self.cycles[bucket] + 1)
        return m


class Watchdog(wiring.Component):
    """Barks when `limit` cycles pass without progress while `armed`.

    Members
    -------
    armed : In(1), progress is expected; the count starts anew when it falls
    progress : In(1), a retirement or a bus beat
    limit : In(32), cycles; 0 never barks
    bark : Out(1), high for one cycle
    """

    armed: In(1)
    progress: In(1)
    limit: In(32)
    bark: Out(1)

    def elaborate(self, platform):
        m = Module()
        elapsed = Signal(COUNTER_BITS)
        m.d.comb += self.bark.eq(self.armed & (self.limit != 0) & (elapsed >= self.limit))
        with m.If(~self.armed | self.progress | self.bark):
            m.d.sync += elapsed.eq(0)
        with m.Else():
            m.d.sync += elapsed.eq(elapsed + 1)
        return m
