"""Dispatch: checks each fetched instruction and sends it to the queue of its engine."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.control.decoder import (
    Decoder,
    common_fields,
    engine_operations,
    own_fields,
    queued,
)
from tilewright.hw.rtl.control.waits import awaited_layout, pending_bits, still_pending
from tilewright.hw.rtl.interfaces import INDEX_BITS, bits, engine_layout
from tilewright.hw.rtl.signals import delayed
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.registers import Fault

COUNT_BITS = INDEX_BITS
"""Bits of the counts of instructions: they never wrap before a program's index does."""
FAULT_BITS = 3


def fetched_layout() -> data.StructLayout:
    """What fetch delivers: a word, whether its read had an error, its index in the program."""
    return data.StructLayout({"word": isa.INSTRUCTION_BITS, "error": 1, "index": INDEX_BITS})


def entry_layout(operations: Sequence[isa.Operation], config: Config) -> data.StructLayout:
    """What waits in the queue of an engine of these operations: an instruction and its waits."""
    members = engine_layout(operations, config).members
    waits = awaited_layout(config)
    return data.StructLayout({"fields": members["fields"], "waits": waits, **members})


def counts_layout() -> data.ArrayLayout:
    """A count of instructions for every engine number."""
    return data.ArrayLayout(unsigned(COUNT_BITS), len(isa.Engine))


def queue_name(engine: isa.Engine) -> str:
    """The name of dispatch's stream to an engine's queue."""
    return f"{engine.name.lower()}_entry"


class Dispatch(wiring.Component):
    """Takes an instruction in the second cycle of its offer, or once its engine's queue has room.

    What the first cycle decodes is registered: an instruction goes in every second cycle at most.
    With path_registers it is the third one, since the counts that waits are compared with are
    chosen before, and fetch takes another one. One that is at fault is not taken: `fault` stays
    high until `run` falls. In single-step mode an instruction is taken only when all engines have
    retired everything, once for each `step`.

    Members
    -------
    instruction : In(stream of fetched_layout())
    reset : In(1), forgets all counts and END
    run : In(1), a program runs and has no fault; nothing is taken without it
    limit : In(COUNT_BITS), instructions that may be dispatched
    single_step, step : In(1), the mode; a pulse that allows one instruction
    retired : In(counts_layout())
    retiring : In, a bit an engine number: it retires in this cycle
    <engine>_entry : Out(stream of entry_layout), one for each engine of engine_operations
    fault : Out(1), with `cause` (a Fault) and `fault_index`
    dispatched : Out(COUNT_BITS), instructions sent to engines
    drained : Out(1), every engine has retired all it was sent
    ended : Out(1), END was taken
    stopped : Out(1), waits for a step
    """

    def __init__(self, *, config: Config, operations: Sequence[isa.Operation]):
        self._config = config
        self._operations = operations
        super().__init__(
            {
                "instruction": In(stream.Signature(fetched_layout())),
                "reset": In(1),
                "run": In(1),
                "limit": In(COUNT_BITS),
                "single_step": In(1),
                "step": In(1),
                "retired": In(counts_layout()),
                "retiring": In(len(isa.Engine)),
                **{
                    queue_name(engine): Out(stream.Signature(entry_layout(own, config)))
                    for engine, own in engine_operations(operations).items()
                },
                "fault": Out(1),
                "cause": Out(FAULT_BITS),
                "fault_index": Out(INDEX_BITS),
                "dispatched": Out(COUNT_BITS),
                "drained": Out(1),
                "ended": Out(1),
                "stopped": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder(config=self._config, operations=self._operations)
        payload = self.instruction.payload
        operation, is_end = Signal.like(decoder.operation), Signal()
        operations = self._bits_of_engines(operation)
        chosen = {engine: reduce(or_, own) for engine, own in operations.items()}
        queues = {engine: getattr(self, queue_name(engine)) for engine in chosen}
        sent = {engine: Signal(COUNT_BITS, name=f"sent_{engine.name.lower()}")
                for engine in queues}  # fmt: skip

        permitted = self._permit(m)
        m.d.comb += [
            decoder.word.eq(payload.word),
            self.drained.eq(
                Cat(self.retired[engine] == count for engine, count in sent.items()).all()
            ),
        ]
        is_decoded, examined, accepted, taken = bits("is_decoded", "examined", "accepted", "taken")
        ready = Cat(queue.ready for queue in queues.values())
        room = (ready & Cat(chosen.values())).any() | is_end
        m.d.comb += [
            examined.eq(self.instruction.valid & is_decoded & self.run & ~self.ended & permitted),
            self.fault.eq(examined & (self.cause != Fault.NONE)),
            self.fault_index.eq(payload.index),
            accepted.eq(examined & (self.cause == Fault.NONE)),
            taken.eq(accepted & room),
            self.instruction.ready.eq(taken),
        ]
        stays = self.instruction.valid & ~taken
        if self._config.path_registers:
            stays &= delayed(m, stays, "stayed")
        m.d.sync += [
            is_decoded.eq(stays),
            operation.eq(decoder.operation),
            is_end.eq(decoder.is_end),
        ]
        self._find_cause(m, decoder, sent)
        waits = self._follow_waits(m, decoder, sent)
        for engine, queue in queues.items():
            m.d.comb += queue.valid.eq(accepted & chosen[engine])
            self._fill(m, queue.payload, waits, operations[engine])
            with m.If(taken & chosen[engine]):
                m.d.sync += sent[engine].eq(sent[engine] + 1)
        with m.If(taken):
            m.d.sync += self.ended.eq(is_end)
            m.d.sync += self.dispatched.eq(self.dispatched + ~is_end)
        with m.If(self.reset):
            m.d.sync += [count.eq(0) for count in sent.values()]
            m.d.sync += [self.dispatched.eq(0), self.ended.eq(0)]
        return m

    def _bits_of_engines(self, operation: Value) -> dict[isa.Engine, list[Value]]:
        """The one-hot bits of each engine's operations, in the order of engine_operations."""
        found: dict[isa.Engine, list[Value]] = {}
        for each, bit in zip(queued(self._operations), operation, strict=True):
            found.setdefault(each.engine, []).append(bit)
        return found

    def _follow_waits(
        self, m: Module, decoder: Decoder, sent: dict[isa.Engine, Signal]
    ) -> data.View:
        """Return what the instruction awaits from the next cycle on; the counts are compared in the
        cycle before."""
        layout = awaited_layout(self._config)
        found, noted, waits = (Signal(layout, name=n) for n in ("found", "noted", "waits"))
        for slot, wait in zip(decoder.waits, found, strict=True):
            m.d.comb += [
                wait.engine.eq(slot.engine),
                wait.number.eq(slot.count - 1),
                wait.pending.eq(self._is_pending(m, slot, wait.number)),
            ]
        m.d.sync += noted.eq(found)
        m.d.comb += waits.eq(noted)
        progress = self.retired, self.retiring
        m.d.sync += pending_bits(noted).eq(still_pending(found, *progress))
        m.d.comb += pending_bits(waits).eq(still_pending(noted, *progress))
        numbers = 1 << len(noted[0].number)
        with m.If(self.run & ~self.reset):
            for engine, count in sent.items():
                m.d.sync += Assert(count - self.retired[engine] <= numbers)
        return waits

    def _is_pending(self, m: Module, slot: data.View, number: Value) -> Value:
        """Whether a slot's engine has fewer retirements; `number`: of the awaited one, low bits.

        With path_registers its retirements are chosen a cycle before, and one of that cycle counts.
        """
        retired = Array(self.retired)[slot.engine]
        if not self._config.path_registers:
            return retired < slot.count
        retires = delayed(m, Array(self.retiring)[slot.engine], "retires")
        retired = delayed(m, retired, "retired")
        return (retired < slot.count) & ~(retires & (retired[: len(number)] == number))

    def _fill(self, m: Module, entry: data.View, waits: data.View, chosen: list[Value]) -> None:
        """Make an engine's entry of the word; `chosen` say which of its operations it is."""
        payload = self.instruction.payload
        m.d.comb += [
            entry.fields.eq(own_fields(payload.word, entry.fields.shape().size, self._config)),
            entry.waits.eq(waits),
            entry.index.eq(payload.index),
            entry.element_type.eq(common_fields(payload.word, self._config)["element_type"]),
        ]
        for position, bit in enumerate(chosen[1:], start=1):
            with m.If(bit):
                m.d.comb += entry.operation.eq(position)

    def _find_cause(self, m: Module, decoder: Decoder, sent: dict[isa.Engine, Signal]) -> None:
        """What is wrong with the instruction, if anything is; a cycle later."""
        domain = m.d.sync
        wrongs = [
            self.instruction.payload.error,
            decoder.illegal,
            self._waits_for_future(m, decoder.waits, sent),
            ~decoder.is_end & (self.dispatched >= self.limit),
        ]
        if self._config.path_registers:  # what is found is registered, and not what it comes to
            domain = m.d.comb
            wrongs = [delayed(m, wrong, f"wrong{place}") for place, wrong in enumerate(wrongs)]
        has_error, is_illegal, awaits_future, is_beyond = wrongs
        domain += self.cause.eq(Fault.NONE)
        with m.If(has_error):
            domain += self.cause.eq(Fault.BUS_ERROR)
        with m.Elif(is_illegal):
            domain += self.cause.eq(Fault.ILLEGAL_INSTRUCTION)
        with m.Elif(awaits_future.any()):
            domain += self.cause.eq(Fault.FUTURE_WAIT)
        with m.Elif(is_beyond):
            domain += self.cause.eq(Fault.INSTRUCTION_LIMIT)

    def _permit(self, m: Module) -> Value:
        """Return whether single-stepping lets an instruction go, seen a cycle before."""
        pending = Signal()
        waiting = Signal()
        m.d.sync += waiting.eq(self.single_step & ~(pending & self.drained))
        m.d.comb += self.stopped.eq(
            self.run & ~self.ended & self.single_step & ~pending & self.drained
        )
        with m.If(self.reset | (self.instruction.valid & self.instruction.ready)):
            m.d.sync += pending.eq(0)
        with m.Elif(self.step & self.run):
            m.d.sync += pending.eq(1)
        return ~waiting

    def _waits_for_future(
        self, m: Module, waits: data.View, sent: dict[isa.Engine, Signal]
    ) -> Value:
        """Which slots await more retirements than instructions were sent to that engine."""
        of_engine = Array([sent.get(engine, Const(0, COUNT_BITS)) for engine in isa.Engine])
        known = len(isa.Engine)
        counts = [Mux(wait.engine < known, of_engine[wait.engine], 0) for wait in waits]
        if self._config.path_registers:
            counts = [delayed(m, count, "sent") for count in counts]
        return Cat(wait.count > count for wait, count in zip(waits, counts, strict=True))
