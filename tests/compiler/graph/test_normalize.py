"""Copies where a feature map would need two layouts, and none elsewhere."""

from random_graphs import GraphMaker

from tilewright.compiler.graph.normalize import normalize
from tilewright.hw.spec.config import PRESETS


def test_layers_that_need_no_copy_stay_as_they_are_with_what_they_remember():
    maker = GraphMaker(3, (10, 8, 7))
    first = maker.conv(maker.input, 10, (3, 3), pads=(1, 1, 1, 1))
    second = maker.conv(first, 10, (3, 3), pads=(1, 1, 1, 1), residual=maker.input)
    graph = maker.graph(maker.conv(second, 10, residual=first))
    nodes = normalize(graph, PRESETS["nano"]).nodes
    assert [*map(id, nodes)] == [*map(id, graph.nodes)]
