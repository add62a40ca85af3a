"""The sum of stored maps as a depthwise convolution, whose accumulators hold it unrounded.

The maps lie one row above the other, and a further one for each where the ratio of its scale to the
coarsest is no ratio of two weights: what the smaller scale's weight, rounded, lacks is a number of
accumulator steps for each stored value, which a table gives. So the sum of two is exact to half a
step of the accumulators, 1/254 of a step of the coarser map.
"""

from collections.abc import Sequence

import numpy as np

from tilewright.compiler.frontend.builder import GraphBuilder, natural_index
from tilewright.compiler.frontend.context import Context
from tilewright.compiler.frontend.table import IDENTITY, as_table
from tilewright.compiler.frontend.values import Combined, Linear, Quantized
from tilewright.compiler.frontend.weights import LARGEST_WEIGHT
from tilewright.compiler.graph.graph import Concat, Epilogue, Requantize, View
from tilewright.hw.spec.tensor import Quantization, Tensor

EXACT_WEIGHTS = (1, 2, 4, 8, 16, 32, 64)
"""Of the coarsest map: the first that makes all others integers; else LARGEST_WEIGHT."""


def sum_as_linear(context: Context, producer: Combined, name: str) -> Linear:
    """The sum that `producer` is; its values lie in the order of the maps."""
    assert producer.kind == "add"
    return sum_of_maps(context, [(producer.first, 1), (producer.second, 1)], name)


def sum_of_maps(context: Context, signed: Sequence[tuple[str, int]], name: str) -> Linear:
    """The sum of maps of one shape, each with its sign, 1 or -1."""
    builder = context.builder
    maps = sorted(
        ((builder.maps[item], sign) for item, sign in signed),
        key=lambda item: -item[0].quantization.scale,
    )
    coarse = maps[0][0]
    ratios = [stored.quantization.scale / coarse.quantization.scale for stored, _ in maps]
    exact = (
        weight for weight in EXACT_WEIGHTS if all((weight * ratio).is_integer() for ratio in ratios)
    )
    largest = next(exact, LARGEST_WEIGHT)
    unit = Quantization(scale=float(np.float32(coarse.quantization.scale / largest)), zero_point=0)
    weights, parts, bias = [], [], 0
    for (stored, sign), ratio in zip(maps, ratios, strict=True):
        weight = round(largest * ratio)
        if weight:
            weights.append(sign * weight)
            parts.append(stored.name)
            bias -= sign * weight * stored.quantization.zero_point
        rest = _rest(builder, stored, largest * ratio - weight, unit, name)
        if rest is not None:
            weights.append(sign)
            parts.append(rest)
    channels, pixels = coarse.channels, coarse.pixels
    rows = []
    for number, part in enumerate(parts):
        row = builder.add_map(f"{name}/row{number}", (channels, 1, pixels), unit)
        builder.add(View(name=row, output=row, input=part))
        rows.append(row)
    joined = builder.add_map(f"{name}/rows", (channels, len(rows), pixels), unit)
    builder.add(Concat(name=joined, output=joined, parts=tuple(rows), axis=1))
    source = Quantized(
        origin=joined,
        index=natural_index(builder.maps[joined].shape),
        quantization=unit,
        is_unsigned=False,
    )
    return Linear(
        source=source,
        feature_map=joined,
        weight=np.tile(np.array(weights, np.int16).reshape(1, 1, -1, 1), (channels, 1, 1, 1)),
        weight_scale=np.ones(channels, np.float32),
        bias=np.full(channels, float(bias)),
        groups=channels,
        shape=(channels, 1, pixels),
    )


def _rest(
    builder: GraphBuilder, fine: Tensor, lacking: float, unit: Quantization, name: str
) -> str | None:
    """Add what a rounded weight lacks for each of a map's values, in accumulator steps, as a map.

    None: nothing.
    """
    values = IDENTITY.astype(np.float64) - fine.quantization.zero_point
    steps = np.rint(lacking * values)
    if not steps.any():
        return None
    rest = builder.add_map(f"{name}/rest", fine.shape, unit)
    epilogue = Epilogue(
        quantization=fine.quantization,
        table=as_table(np.clip(steps, -128, 127).astype(np.int8)),
        table_quantization=unit,
    )
    builder.add(Requantize(name=rest, output=rest, input=fine.name, epilogue=epilogue))
    return rest
