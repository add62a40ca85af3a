"""Stage 1: window reduction, group parameters, requantization, table."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import bits, is_refused
from tilewright.hw.rtl.read import late_word
from tilewright.hw.rtl.signals import register
from tilewright.hw.rtl.skid import SkidBuffer
from tilewright.hw.rtl.vector.lanes import make_lane
from tilewright.hw.rtl.vector.layouts import (
    choose_values,
    parameter_layout,
    results_layout,
    slots_layout,
    values_layout,
)
from tilewright.hw.rtl.vector.requantize import RequantizeLane, lowest_part_bits
from tilewright.hw.rtl.vector.source import parameter_port
from tilewright.hw.rtl.vector.stages import requantize_stages
from tilewright.hw.rtl.vector.table import LookUp, table_write_signature
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config

NUM_BANKS = 2
LATE = ("activations", "values", "padding", "is_sum", "is_read")
"""What comes a cycle behind its mark, with wire registers."""
FORESEEING = {"arrives": In(1), "ready_next": Out(1), "combines_next": Out(1)}
"""Members with path registers."""


class FirstStage(wiring.Component):
    """`lanes` results a cycle.

    The last value of a window in cycle t gives `results` in cycle t + 2 and as many more as the
    pipeline has stages: those of the lane and two behind it, three with path registers; with wire
    registers there is one in front of it, too, which a value's data reaches a cycle behind its
    mark. It stands when two wait there and a third comes. A group's parameter word is requested in
    the cycle in which its first value arrives and lands in the bias register and in one of two
    scale registers. A third group waits until the first one's values have
    passed the multiplier: from group to group but one there are at least GROUP_PAIR_CYCLES more
    than the first of them has values. Where negative sums have scales of their own, a group takes
    both registers: its values wait for those of the group before, and so do the next one's.

    Members
    -------
    values : In(stream of values_layout)
    slots : In(slots_layout)
    results : Out(stream of results_layout)
    parameter : read port
    table_write : In(table_write_signature)
    fault, fault_slot : Out; a parameter word of that slot's instruction is out of range,
        with path registers a cycle before
    arrives : In(1), with path registers; values.valid & values.ready
    ready_next, combines_next : Out(1), with path registers; in the next cycle values.ready, and
        results for the second stage
    """

    def __init__(self, *, config: Config, instances: bool = False):
        self._config = config
        self._instances = instances
        self._stages = requantize_stages(config)
        self._front = config.wire_registers
        """Stages in front of the lanes."""
        self._look_up_stage = self._front + self._stages.latency
        self._last_stage = self._look_up_stage + 1 + config.path_registers
        super().__init__(
            {
                "values": In(stream.Signature(values_layout(config))),
                "slots": In(slots_layout()),
                "results": Out(stream.Signature(results_layout(config))),
                "parameter": Out(parameter_port(config)),
                "table_write": In(table_write_signature()),
                "fault": Out(1),
                "fault_slot": Out(1),
                **(FORESEEING if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # valid[k]: a value sits in front of stage k; the stages move together on advance.
        self._advance = Signal(init=1)
        self._valid = Signal(self._last_stage + 1)
        self._slot = [Signal(name=f"slot{k}", reset_less=True) for k in range(self._last_stage + 1)]
        stages = self._front + self._stages.scale
        self._bank, self._by_sign = (
            [Signal(name=f"{name}{k}", reset_less=True) for k in range(stages)]
            for name in ("bank", "by_sign")
        )
        m.submodules.buffer = buffer = SkidBuffer(shape=results_layout(self._config))
        wiring.connect(m, buffer.source, wiring.flipped(self.results))
        m.d.comb += buffer.sink.valid.eq(self._valid[self._last_stage])
        following = Mux(
            self._advance, self._valid[self._last_stage - 1], self._valid[self._last_stage]
        )
        advances = ~(following & buffer.fills)
        m.d.sync += self._advance.eq(advances)
        value, leaves = self._receive(m, advances)
        self._shift(m, value, leaves)
        word, maximum = self.parameter.data, self._maximum
        if self._front:
            value, word, maximum, leaves = self._enter(m, value, leaves)
        total = self._reduce(m, value, maximum, leaves)
        bias, scales = self._take_parameters(m, value, word, leaves)
        results, products = self._requantize(m, total, bias, scales)
        self._look_up(m, results, products, buffer.sink.p)
        if self._config.path_registers:
            self._look_ahead(m, buffer)
        return m

    def _look_ahead(self, m, buffer):
        """Whether there are results for the second stage in the next cycle."""
        new, results = buffer.sink, self.results
        spare = register(1, "spare_combines")
        with m.If(new.ready):
            m.d.sync += spare.eq(new.p.combines)
        stalls = results.valid & ~results.ready
        behind = Mux(new.ready, new.valid & new.p.combines, spare)
        m.d.comb += self.combines_next.eq(Mux(stalls, results.p.combines, behind))

    def _receive(self, m, advances):
        """The value in front of the reduction; `leaves`: it moves on at the end of this cycle.

        advances: the pipeline moves in the next cycle.
        """
        occupied, leaves = bits("occupied", "leaves")
        registered = self._config.path_registers
        arrives = self.arrives if registered else Signal(name="arrives")
        value = Signal.like(self.values.p, reset_less=True)
        usable = register(1, "usable")
        m.d.comb += leaves.eq(occupied & self._advance & usable)
        if not registered:
            m.d.comb += arrives.eq(self.values.valid & self.values.ready)
        # The choice comes with the value: nothing but the adder lies between the two and a total.
        reduction = self.slots[self.values.p.mark.slot].reduction
        self._maximum = register(1, "maximum")
        # With path registers what is on offer is taken, valid or not: the enable is a register.
        with m.If(self.values.ready if registered else arrives):
            m.d.sync += value.eq(self.values.p)
            m.d.sync += self._maximum.eq(reduction == isa.Reduction.MAX)
        with m.If(arrives):
            m.d.sync += occupied.eq(1)
        with m.Elif(leaves):
            m.d.sync += occupied.eq(0)

        # Whether the value of the next cycle has its parameters is known in this one.
        new = self.values.p.mark
        becomes_usable = Mux(
            arrives, self._may_leave(new, value.mark, leaves), self._may_leave(value.mark)
        )
        if registered:
            becomes_usable &= ~is_refused(self.parameter)
        m.d.sync += usable.eq(becomes_usable)
        ready = ~occupied | (self._advance & usable)
        m.d.comb += self.values.ready.eq(
            self._find_ready(m, arrives, ready, advances & becomes_usable)
        )
        self._fetch(m, value.mark, new, occupied & ~leaves, arrives)
        domain = m.d.sync if registered else m.d.comb
        domain += [
            self.fault.eq(leaves & value.mark.fetch & ~value.mark.parameter_exists),
            self.fault_slot.eq(value.mark.slot),
        ]
        return value, leaves

    def _enter(self, m, value, leaves):
        """A stage in front of the lanes: the value, whose data is late, and its parameters."""
        entered = register(value.shape(), "entered")
        word = register(self.parameter.data.shape(), "entered_word")
        maximum, occupied = register(1, "entered_maximum"), Signal(name="entered_valid")
        taken = self.values.p
        assert {"mark", *LATE} == taken.shape().members.keys()
        late = late_word(m, self.values.ready, Cat(*(taken[name] for name in LATE)), "value")
        place = Cat(*(entered[name] for name in LATE))
        with m.If(self._advance):
            m.d.sync += [
                occupied.eq(leaves),
                entered.mark.eq(value.mark),
                place.eq(late),
                word.eq(self.parameter.data),
                maximum.eq(self._maximum),
            ]
        return entered, word, maximum, occupied & self._advance

    def _fetch(self, m, mark, new, stays, arrives):
        """Ask for the parameters of the value that waits for them, else of the one that comes."""
        waits = stays & mark.fetch
        chosen = data.View(mark.shape(), Mux(waits, mark.as_value(), new.as_value()))
        if self._config.path_registers:  # either needs few bits
            request = (stays & mark.parameter_exists) | (arrives & new.parameter_exists)
        else:
            request = (waits | (arrives & new.fetch)) & chosen.parameter_exists
        m.d.comb += [
            self.parameter.request.eq(request),
            self.parameter.address.eq(chosen.parameter_address),
        ]

    def _find_ready(self, m, arrives, now, may_leave):
        """Whether a value may come `now`; may_leave: one may leave in the next cycle."""
        if not self._config.path_registers:
            return now
        ready = Signal(init=1)
        m.d.comb += self.ready_next.eq((ready & ~arrives) | may_leave)
        m.d.sync += ready.eq(self.ready_next)
        m.d.sync += Assert((ready == now) & (arrives == (self.values.valid & ready)))
        return ready

    def _may_leave(self, mark, before=None, leaves=0):
        """Whether a value may leave in the next cycle, as far as its parameters are concerned.

        They are there, if it fetches any, and no value on its way awaits the scales that they
        replace; nor does the one `before`, which sets out in this cycle if it `leaves`.
        """
        awaited = []
        if before is not None:
            by_sign = self.slots[before.slot].negative_scales
            awaited.append((leaves & before.last, by_sign, before.bank))
        # As many stages in front of the scales' choice, no matter where the parameters land.
        marks = list(zip(self._bank, self._by_sign, strict=True))[: self._stages.scale]
        for stage, (bank, by_sign) in enumerate(marks):
            is_last = stage == len(marks) - 1
            there = self._valid[stage] & ~self._advance if is_last else self._valid[stage]
            awaited.append((there, by_sign, bank))
        conflicts = Cat(
            there & (by_sign | (bank == mark.bank)) for there, by_sign, bank in awaited
        ).any()
        if self._config.path_registers:  # a refusal comes late: it is known of both values
            return ~mark.fetch | ~conflicts
        has_word = self.parameter.grant | ~mark.parameter_exists
        return ~mark.fetch | (has_word & ~conflicts)

    def _shift(self, m, value, leaves):
        """The marks travel with the data."""
        with m.If(self._advance):
            m.d.sync += self._valid.eq(Cat(leaves & value.mark.last, self._valid[:-1]))
        by_sign = self.slots[value.mark.slot].negative_scales
        for marks, new in (
            (self._slot, value.mark.slot),
            (self._bank, value.mark.bank),
            (self._by_sign, by_sign),
        ):
            with m.If(leaves):
                m.d.sync += marks[0].eq(new)
            for stage in range(1, len(marks)):
                with m.If(self._advance & self._valid[stage - 1]):
                    m.d.sync += marks[stage].eq(marks[stage - 1])

    def _reduce(self, m, value, maximum, leaves):
        """Sum (wraps) or maximum over the window: one adder a lane, which compares as well."""
        totals = []
        for lane, new in enumerate(choose_values(value)):
            total = Signal(signed(32), name=f"total{lane}", reset_less=True)
            inverted = Cat(*(bit ^ maximum for bit in new), new[-1] ^ maximum).as_signed()
            combined = Signal(signed(33), name=f"combined{lane}")
            m.d.comb += combined.eq(total + inverted + maximum)
            keeps = maximum & ~combined[32]
            with m.If(leaves & (value.mark.first | ~keeps)):
                m.d.sync += total.eq(Mux(value.mark.first | maximum, new, combined))
            totals.append(total)
        return totals

    def _take_parameters(self, m, value, parameters, leaves):
        """Bias and the two scale registers of every lane."""
        word = data.View(parameter_layout(self._config), parameters)
        biases, scales = [], []
        for lane in range(self._config.lanes):
            bias = Signal(signed(32), name=f"bias{lane}", reset_less=True)
            banks = [Signal(32, name=f"scale{lane}_{b}", reset_less=True) for b in range(NUM_BANKS)]
            with m.If(leaves & value.mark.fetch):
                m.d.sync += bias.eq(word[lane].bias)
                for number, scale in enumerate(banks):
                    with m.If(value.mark.bank == number):
                        m.d.sync += scale.eq(word[lane].scale)
            biases.append(bias)
            scales.append(banks)
        return biases, scales

    def _requantize(self, m, totals, biases, scales):
        """The lanes; the last stage sees the header of the instruction whose data it holds."""
        stages, slot = self._stages, self._slot[self._front :]
        placing = self.slots[slot[stages.place]].header
        keep = self.slots[slot[stages.integer]].unrounded
        enable = Signal(stages.latency)
        valid = self._valid[self._front : self._front + stages.latency]
        m.d.comb += enable.eq(Mux(self._advance, valid, 0))
        low, high = self._find_limits(m, enable)
        results, products = [], []
        lowest_bits = lowest_part_bits(self._config)
        for index in range(self._config.lanes):
            unit, lane = make_lane(RequantizeLane, self._config, instance=self._instances)
            m.submodules[f"lane{index}"] = unit
            m.d.comb += [
                lane.enable.eq(enable),
                lane.accumulator.eq(totals[index]),
                lane.bias.eq(biases[index]),
                lane.bank.eq(self._bank[self._front + stages.bank]),
                lane.by_sign.eq(self._by_sign[self._front + stages.bank]),
                lane.lowest_parts.eq(Cat(scale[:lowest_bits] for scale in scales[index])),
                lane.scales.eq(Cat(scales[index])),
                lane.zero_point.eq(placing.zero_point),
                lane.low.eq(low),
                lane.high.eq(high),
                lane.keep_product.eq(keep),
            ]
            results.append(lane.result)
            products.append(lane.product)
        return results, products

    def _find_limits(self, m, enable):
        """Limits of the values in front of the clamp; with path registers known before."""
        stage = self._stages.clamp - self._config.path_registers
        header = self.slots[self._slot[self._front + stage]].header
        if not self._config.path_registers:
            return header.low, header.high
        limits = [register(signed(8), name) for name in ("low", "high")]
        with m.If(enable[stage]):
            m.d.sync += [
                limit.eq(value)
                for limit, value in zip(limits, (header.low, header.high), strict=True)
            ]
        return limits

    def _look_up(self, m, results, products, new):
        """Table or not."""
        m.submodules.look_up = look_up = LookUp(config=self._config)
        wiring.connect(m, wiring.flipped(self.table_write), look_up.write)
        moves = self._advance & self._valid[self._look_up_stage]
        slot = self._slot[self._look_up_stage]
        direct = Signal.like(new.values, reset_less=True)
        kept = Signal.like(new.products, reset_less=True)
        m.d.comb += [
            look_up.enable.eq(moves & self.slots[slot].use_table),
            look_up.slot.eq(slot),
        ]
        for lane, result in enumerate(results):
            m.d.comb += look_up.index[lane].eq(result)
            with m.If(moves):
                m.d.sync += [direct[lane].eq(result), kept[lane].eq(products[lane])]

        if self._config.path_registers:
            direct, kept = self._register_results(m, look_up, direct, kept)
        last_slot = self._slot[self._last_stage]
        use_table = self.slots[last_slot].use_table
        m.d.comb += [
            new.slot.eq(last_slot),
            new.combines.eq(self.slots[last_slot].combine.any()),
            *(place.eq(product) for place, product in zip(new.products, kept, strict=True)),
        ]
        for lane in range(self._config.lanes):
            m.d.comb += new.values[lane].eq(Mux(use_table, look_up.value[lane], direct[lane]))

    def _register_results(self, m, look_up, *results):
        """A stage between the tables and the results."""
        moves = self._advance & self._valid[self._look_up_stage + 1]
        m.d.comb += look_up.moves_on.eq(moves)
        later = [[register(value.shape(), "later") for value in values] for values in results]
        with m.If(moves):
            for places, values in zip(later, results, strict=True):
                m.d.sync += [place.eq(value) for place, value in zip(places, values, strict=True)]
        return later
