"""Placement, chains and tilings as operations."""

from collections.abc import Iterator, Mapping, Sequence

from tilewright.compiler.graph.graph import Graph
from tilewright.compiler.plan.placement import Placement, layers_of
from tilewright.compiler.plan.tiling import Plan
from tilewright.compiler.text.graph import operation_name
from tilewright.compiler.text.mlir import Operation, record


def placement_operations(placement: Placement) -> Iterator[Operation]:
    """Yield the storages with their addresses, then the maps' places in them.

    A map without `slots` has channel c at slot c. `sram` is a word, `dram` a byte address.
    """
    for name, storage in placement.storages.items():
        addresses = {"sram": placement.sram.get(name), "dram": placement.dram.get(name)}
        given = {key: address for key, address in addresses.items() if address is not None}
        yield Operation(name="tw.storage", attributes={**record(storage), **given})
    for name, place in placement.places.items():
        slots = {} if place.is_plain else {"slots": tuple(place.slots.tolist())}
        found = {key: value for key, value in record(place).items() if key != "slots"}
        yield Operation(name="tw.place", attributes={"map": name, **found, **slots})


def chain_operations(
    graph: Graph, chains: Sequence[range], on_unit: Sequence[bool], placement: Placement
) -> Iterator[Operation]:
    """Yield the chains with their layers and the activation words free for tiles."""
    layers = layers_of(graph)
    for chain, workspace in zip(chains, placement.workspaces, strict=True):
        body = tuple(
            Operation(
                name="tw.layer",
                attributes={
                    "layer": number,
                    "name": layers[number].name,
                    "kind": operation_name(type(layers[number])),
                    "depthwise_unit": on_unit[number],
                    "output": layers[number].output,
                },
            )
            for number in chain
        )
        yield Operation(name="tw.chain", attributes={"workspace": workspace}, body=body)


def tiling_operations(graph: Graph, plans: Mapping[int, Plan]) -> Iterator[Operation]:
    """Yield each layer's tiling; sizes of rings are in activation words, estimates in cycles."""
    layers = layers_of(graph)
    for number, plan in sorted(plans.items()):
        found = {**record(plan), "work": plan.work._asdict()}
        yield Operation(
            name="tw.tiling",
            attributes={"layer": number, "name": layers[number].name, **found},
        )
