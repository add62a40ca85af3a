"""Lower a chain: plan its layers within one workspace, give them their buffers, run them.

Layers that do not fit into the workspace, or parameter SRAM, together run one by one.
"""

from collections.abc import Sequence

from tilewright.compiler.emit.context import Context
from tilewright.compiler.emit.interleave import run_chain
from tilewright.compiler.emit.lower_conv import ConvLowering, conv_memory
from tilewright.compiler.emit.lower_depthwise import DepthwiseLowering, depthwise_shape
from tilewright.compiler.emit.lower_vector import VectorLowering
from tilewright.compiler.emit.lowering import Lowering
from tilewright.compiler.emit.streams import bind_parameters
from tilewright.compiler.graph.graph import Conv, Node
from tilewright.compiler.plan.conv_plan import ConvPlan, conv_plans
from tilewright.compiler.plan.conv_shape import conv_shape
from tilewright.compiler.plan.depthwise_plan import DepthwisePlan, depthwise_plans
from tilewright.compiler.plan.joint_plan import choose_together
from tilewright.compiler.plan.layer_view import DoesNotFitError
from tilewright.compiler.plan.lone_plan import plan_conv
from tilewright.compiler.plan.rings import lay_out_rings
from tilewright.compiler.plan.tiling import Plan
from tilewright.compiler.plan.vector_layer import describe
from tilewright.compiler.plan.vector_plan import VectorPlan, vector_plans


def lower_chain(
    nodes: Sequence[Node], numbers: range, on_unit: Sequence[bool], context: Context
) -> list[range]:
    """Emit the tasks of the layers `numbers`; on_unit: which of them the depthwise unit runs.

    Returns the ranges of layers that run together. Raises ModelError; DoesNotFitError with the
    layer's name.
    """
    num_constants = len(context.constants.parts)
    try:
        _lower_together(nodes, numbers, on_unit, context)
    except DoesNotFitError as error:
        if len(nodes) == 1:
            raise DoesNotFitError(f"{nodes[0].name}: {error}") from error
        del context.constants.parts[num_constants:]
        alone = [range(number, number + 1) for number in numbers]
        for number, node, unit in zip(alone, nodes, on_unit, strict=True):
            lower_chain([node], number, [unit], context)
        return alone
    return [numbers]


def _lower_together(
    nodes: Sequence[Node], numbers: range, on_unit: Sequence[bool], context: Context
) -> None:
    """Emit the tasks of layers that run together. Raises before the first task."""
    lowerings = _lowerings(nodes, numbers, on_unit, context)
    needs = [need for lowering in lowerings for need in lowering.ring_needs]
    rings = lay_out_rings(needs, context.workspace, context.config.activation_bank_words)
    for lowering in lowerings:
        count = len(lowering.ring_needs)
        lowering.bind(rings[:count])
        rings = rings[count:]
    bind_parameters([lowering.parameters for lowering in lowerings], context)
    run_chain(list(zip(numbers, lowerings, strict=True)), context)


def _lowerings(
    nodes: Sequence[Node], numbers: range, on_unit: Sequence[bool], context: Context
) -> list[Lowering]:
    is_chained = len(nodes) > 1
    candidates = [
        _candidates(node, context, is_on_unit=unit, is_chained=is_chained)
        for node, unit in zip(nodes, on_unit, strict=True)
    ]
    if is_chained or on_unit[0]:
        plans = choose_together(
            candidates, context.workspace[1], context.config.activation_bank_words
        )
    else:
        plans = [plans[0] for plans in candidates]
    lowerings: list[Lowering] = []
    for number, node, plan in zip(numbers, nodes, plans, strict=True):
        context.tasks.layer = number
        context.plans[number] = plan
        if isinstance(plan, VectorPlan):
            lowerings.append(VectorLowering(describe(node, context), context, plan))
            continue
        assert isinstance(node, Conv)
        if isinstance(plan, DepthwisePlan):
            shape = depthwise_shape(node, context)
            lowerings.append(DepthwiseLowering(node, context, shape, plan))
        else:
            assert isinstance(plan, ConvPlan)
            lowerings.append(ConvLowering(node, context, conv_shape(node, context), plan))
    return lowerings


def _candidates(
    node: Node, context: Context, *, is_on_unit: bool, is_chained: bool
) -> Sequence[Plan]:
    """Return the plans of a layer; the first one is the best for a layer on its own."""
    if not isinstance(node, Conv):
        return vector_plans(describe(node, context), context, is_chained=is_chained)
    memory = conv_memory(node, context, is_on_unit=is_on_unit, is_chained=is_chained)
    if is_on_unit:
        return depthwise_plans(depthwise_shape(node, context), memory)
    shape = conv_shape(node, context)
    return conv_plans(shape, memory) if is_chained else [plan_conv(shape, memory)]
