"""Stage 2: adds or multiplies stage 1's results and the second operand."""

import itertools
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.signals import loaded, register
from tilewright.hw.rtl.vector.lanes import make_lane
from tilewright.hw.rtl.vector.layouts import combined_signature, results_layout, slots_layout
from tilewright.hw.rtl.vector.operand import OperandLane
from tilewright.hw.rtl.vector.stages import operand_stages
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config


class SecondStage(wiring.Component):
    """`operand_lanes` results a cycle: a pair of words takes lanes/operand_lanes cycles.

    Both words present in cycle t: the first results, of lanes 0 .. operand_lanes-1, are there in
    cycle t + operand_stages(config).latency, the next lanes' one cycle later; with wire registers
    and with products of digits the lanes' values stand in registers first, and all that is a cycle
    later. Nothing stalls it.

    Members
    -------
    first : In(stream of results_layout)
    second : In(stream of lanes of int8)
    slots : In(slots_layout)
    results : Out(combined_signature)
    first_next : In(1), takes_next : Out(1), with path registers; whether the first word is there in
        the next cycle, and whether the second one then is taken, if it is there
    """

    def __init__(self, *, config: Config, instances: bool = False):
        self._config = config
        self._instances = instances
        self._stages = operand_stages(config)
        self._front = int(config.wire_registers or config.recodes)
        """Stages in front of the lanes."""
        self._steps = config.lanes // config.operand_lanes
        super().__init__(
            {
                "first": In(stream.Signature(results_layout(config))),
                "second": In(stream.Signature(data.ArrayLayout(signed(8), config.lanes))),
                "slots": In(slots_layout()),
                "results": Out(combined_signature(config)),
                **({"first_next": In(1), "takes_next": Out(1)} if config.path_registers else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self._stages.latency + self._front
        pair = Signal()
        behind = Signal(depth)
        slots = [self.first.p.slot]
        slots += [Signal(name=f"slot{k}", reset_less=True) for k in range(1, depth)]
        at = self._count_steps(m, pair)
        last_step = at[-1]
        m.d.comb += [
            pair.eq(self.first.valid & self.second.valid),
            self.first.ready.eq(pair & last_step),
            self.second.ready.eq(pair & last_step),
            self.results.valid.eq(behind[-1]),
        ]
        if self._config.path_registers:
            # `at` is turned by each pair that is taken.
            last_next = Mux(pair, at[-2], at[-1]) if self._steps > 1 else 1
            m.d.comb += self.takes_next.eq(self.first_next & last_next)
        m.d.sync += behind.eq(Cat(pair, behind[:-1]))
        m.d.sync += [after.eq(before) for before, after in itertools.pairwise(slots)]
        self._place_lanes(m, slots, at)
        return m

    def _place_lanes(self, m, slots, at):
        """Lanes whose stages hold values of `slots`."""
        keeps = self.slots[slots[0]].unrounded
        if self._config.recodes:  # what the first slot says, in registers as the values are
            arriving = loaded(m, **self._arriving(slots[0]))
        else:
            arriving = self._arriving(slots[self._front]).values()
        multiplies, first_zero_point, second_zero_point, addend, first_ratio = arriving
        slots = slots[self._front :]
        headers = [self.slots[slot].header for slot in slots]
        scaling, placing = headers[self._stages.scale], headers[self._stages.place]
        low, high = self._find_limits(m, headers)
        placed = self.slots[slots[self._stages.place]]
        is_placed = ~(placed.combine == isa.Combine.MULTIPLY) | placed.unrounded
        product_at = Mux(keeps, at, 0)
        for index in range(self._config.operand_lanes):
            unit, lane = make_lane(OperandLane, self._config, instance=self._instances)
            m.submodules[f"lane{index}"] = unit
            first, second, product = (
                self._choose(values, place, index)
                for values, place in (
                    (self.first.p.values, at),
                    (self.second.payload, at),
                    (self.first.p.products, product_at),
                )
            )
            if self._front:
                first, second, product = loaded(m, first=first, second=second, product=product)
            m.d.comb += [
                lane.multiply.eq(multiplies),
                lane.first.eq(first.as_signed()),
                lane.second.eq(second.as_signed()),
                lane.first_zero_point.eq(first_zero_point),
                lane.second_zero_point.eq(second_zero_point),
                lane.addend.eq(addend),
                lane.first_scale.eq(product | first_ratio),
                lane.second_scale.eq(scaling.second_ratio),
                lane.zero_point.eq(Mux(is_placed, placing.combine_zero_point, 0)),
                lane.low.eq(low),
                lane.high.eq(high),
                self.results.payload[index].eq(lane.result),
            ]

    def _arriving(self, slot):
        """What the first stage of all lanes takes of the instruction in a slot."""
        instruction = self.slots[slot]
        header, unrounded = instruction.header, instruction.unrounded
        return {
            "multiplies": instruction.combine == isa.Combine.MULTIPLY,
            "first_zero_point": header.first_zero_point,
            "second_zero_point": header.second_zero_point,
            "addend": Mux(unrounded, 0, header.combine_zero_point),
            "first_ratio": Mux(unrounded, 0, header.first_ratio),
        }

    def _find_limits(self, m, headers):
        """Limits of the values in front of the clamp; with path registers known before."""
        header = headers[self._stages.clamp - self._config.path_registers]
        limits = header.combine_low, header.combine_high
        if not self._config.path_registers:
            return limits
        places = [register(signed(8), name) for name in ("low", "high")]
        m.d.sync += [place.eq(limit) for place, limit in zip(places, limits, strict=True)]
        return places

    def _count_steps(self, m, takes):
        """Which operand_lanes of the pair are taken: a bit each, from registers, one is set."""
        if self._steps == 1:
            return Const(1, 1)
        at = Signal(self._steps, init=1)
        with m.If(takes):
            m.d.sync += at.eq(at.rotate_left(1))
        return at

    def _choose(self, values, at, index):
        """Lane `index` of the values of the step whose bit is set; 0 without one."""
        lanes = self._config.operand_lanes
        choices = (
            values.as_value().word_select(n * lanes + index, len(values[0]))
            for n in range(self._steps)
        )
        return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(at, choices, strict=True)))
