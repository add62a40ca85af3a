"""Lower a segment: plan its layers within one workspace, give them their buffers, run them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from tilewright.compiler.context import Context, DoesNotFitError
from tilewright.compiler.conv_plan import ConvMemory, ConvPlan, Work, plan_conv
from tilewright.compiler.conv_shape import conv_shape
from tilewright.compiler.depthwise_plan import DepthwisePlan, plan_depthwise
from tilewright.compiler.graph import Conv, Node
from tilewright.compiler.interleave import run_segment
from tilewright.compiler.lower_conv import ConvLowering, conv_memory
from tilewright.compiler.lower_depthwise import DepthwiseLowering, depthwise_shape
from tilewright.compiler.lower_vector import VectorLowering
from tilewright.compiler.lowering import Lowering
from tilewright.compiler.rings import lay_out_rings
from tilewright.compiler.streams import bind_parameters

SHARES = 8
"""The workspace of a segment is shared out in eighths."""

Plan = ConvPlan | DepthwisePlan
Planner = Callable[[int], Plan]
"""Plans a layer for so many words of workspace. Raises DoesNotFitError."""


def lower_segment(
    nodes: Sequence[Node], numbers: range, on_unit: Sequence[bool], context: Context
) -> None:
    """Emit the tasks of the layers `numbers`. Raises DoesNotFitError, ModelError."""
    words = context.workspace[1]
    lowerings: list[Lowering] = []
    if len(nodes) == 1 and not isinstance(nodes[0], Conv):
        context.tasks.layer = numbers[0]
        lowerings.append(VectorLowering(nodes[0], context, words))
    else:
        convs = [node for node in nodes if isinstance(node, Conv)]
        planners = [
            _planner(node, context, is_on_unit=unit, is_chained=len(convs) > 1)
            for node, unit in zip(convs, on_unit, strict=True)
        ]
        for number, node, plan in zip(numbers, convs, _plans(planners, words), strict=True):
            context.tasks.layer = number
            lowerings.append(_lowering(node, plan, context))
    needs = [need for lowering in lowerings for need in lowering.ring_needs]
    rings = lay_out_rings(needs, context.workspace, context.config.activation_bank_words)
    for lowering in lowerings:
        count = len(lowering.ring_needs)
        lowering.bind(rings[:count])
        rings = rings[count:]
    bind_parameters([lowering.parameters for lowering in lowerings], context)
    run_segment(list(zip(numbers, lowerings, strict=True)), context)


def _planner(node: Conv, context: Context, *, is_on_unit: bool, is_chained: bool) -> Planner:
    memory = conv_memory(node, context, 0, is_chained=is_chained)
    if is_on_unit:
        return partial(_plan_depthwise, node, context, memory)
    return partial(_plan_conv, node, context, memory)


def _plan_depthwise(node: Conv, context: Context, memory: ConvMemory, words: int) -> Plan:
    accumulators = context.tasks.depthwise_words
    memory = replace(memory, workspace=words, accumulators=accumulators)
    return plan_depthwise(depthwise_shape(node, context), memory)


def _plan_conv(node: Conv, context: Context, memory: ConvMemory, words: int) -> Plan:
    return plan_conv(conv_shape(node, context), replace(memory, workspace=words))


def _lowering(node: Conv, plan: Plan, context: Context) -> Lowering:
    if isinstance(plan, DepthwisePlan):
        return DepthwiseLowering(node, context, depthwise_shape(node, context), plan)
    return ConvLowering(node, context, conv_shape(node, context), plan)


def _plans(planners: Sequence[Planner], words: int) -> list[Plan]:
    """Return a plan for each layer; several share the workspace as is fastest for all together."""
    if len(planners) == 1:
        return [planners[0](words)]
    tried: dict[tuple[int, int], Plan | None] = {}

    def plan(layer: int, share: int) -> Plan | None:
        if (layer, share) not in tried:
            try:
                tried[layer, share] = planners[layer](words * share // SHARES)
            except DoesNotFitError:
                tried[layer, share] = None
        return tried[layer, share]

    best: list[Plan] | None = None
    for shares in _splits(SHARES, len(planners)):
        found = [plan(layer, share) for layer, share in enumerate(shares)]
        plans = [each for each in found if each is not None]
        if len(plans) == len(planners) and (best is None or _cost(plans) < _cost(best)):
            best = plans
    if best is None:
        raise DoesNotFitError(
            f"{len(planners)} layers that run together do not fit into {words} free words of "
            f"activation SRAM; raise activation_kib"
        )
    return best


def _splits(whole: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to cut `whole` into `parts` positive shares."""
    if parts == 1:
        yield (whole,)
        return
    for first in range(1, whole - parts + 2):
        for rest in _splits(whole - first, parts - 1):
            yield (first, *rest)


def _cost(plans: Sequence[Plan]) -> int:
    """Cycles of a segment: the busiest engine's work, and what its layers do not overlap."""
    work = Work(*(sum(column) for column in zip(*(plan.work for plan in plans), strict=True)))
    return max(work) + sum(plan.startup for plan in plans)
