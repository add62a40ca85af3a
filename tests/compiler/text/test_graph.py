"""A graph's text says what the graph holds: every kind of node, to the last attribute."""

from dataclasses import fields

import numpy as np
import pytest
from random_graphs import GraphMaker
from reading import attributes_of, name_of, operations, parse

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.text.graph import graph_operation
from tilewright.compiler.text.mlir import Printer

OPERANDS = {"input", "first", "second", "parts", "other"}


def every_kind() -> Graph:
    """A graph with a node of every kind, and of every option of a convolution."""
    make = GraphMaker(3, (8, 6, 6))
    stem = make.conv(make.input, 8, (3, 3), pads=(1, 1, 1, 1), table=True)
    deep = make.conv(stem, 8, (3, 3), pads=(1, 1, 1, 1), groups=8)
    joined = make.conv(deep, 8, residual=stem)
    scaled = make.conv(joined, 8, residual=deep, kind="multiply")
    pooled = make.pool(scaled, "max", (2, 2), strides=(2, 2))
    averaged = make.pool(scaled, "average", (2, 2), strides=(2, 2), count_include_pad=True)
    summed = make.elementwise("add", pooled, averaged)
    product = make.elementwise("multiply", summed, pooled)
    table = make.requantize(product, table=True)
    both = make.concat(table, summed)
    padded = make.pad(both, (1, 0, 1, 0), 5)
    flat = make.view(padded, 1, 15)
    return make.graph(make.resample(flat, [0, 0], range(15), (1, 2)), deep)


def kinds(kind: type = Node) -> set[str]:
    return {kind.__name__ for kind in kind.__subclasses__()}


def expected(value: object) -> object:
    """What the text must hold of a field's value."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dataclass_fields__"):
        return {
            item.name: expected(getattr(value, item.name))
            for item in fields(value)
            if item.name not in OPERANDS and getattr(value, item.name) is not None
        }
    return value


def assert_same(found: object, wanted: object) -> None:
    if isinstance(wanted, dict):
        assert isinstance(found, dict)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_same(found[key], value)
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    else:
        assert found == wanted


def assert_text_is(graph: Graph) -> None:
    """Read the text of a graph and compare it with the graph, node by node."""
    module = parse(Printer(with_weights=True).text(graph_operation(graph, "section0")))
    (function,) = operations(module, "func.func")
    block = function.body.block
    maps = dict(zip(graph.inputs, block.args, strict=True))
    nodes = list(operations(module))
    assert len(nodes) == len(graph.nodes)
    for found, node in zip(nodes, graph.nodes, strict=True):
        assert name_of(found) == f"tw.{type(node).__name__.lower()}"
        assert list(found.operands) == [maps[name] for name in node.inputs]
        assert_same(attributes_of(found), expected(node))
        (maps[node.output],) = found.results
    assert list(block.last_op.operands) == [maps[name] for name in graph.outputs]
    for name, value in maps.items():
        stored = graph.maps[name]
        assert value.type.get_shape() == stored.shape
        encoding = {key: item.value.data for key, item in value.type.encoding.data.items()}
        assert np.float32(encoding["scale"]) == np.float32(stored.quantization.scale)
        assert encoding["zero_point"] == stored.quantization.zero_point


def test_every_kind_of_node_is_there():
    assert {type(node).__name__ for node in every_kind().nodes} == kinds()


def test_text_holds_all_of_a_graph():
    assert_text_is(every_kind())


@pytest.mark.parametrize("seed", range(8))
def test_text_holds_all_of_random_graphs(seed):
    random = np.random.default_rng(seed)
    print(f"seed {seed}")
    make = GraphMaker(seed, (int(random.integers(1, 20)), 5, 7))
    name = make.input
    for _ in range(5):
        choice = random.integers(4)
        if choice == 0:
            name = make.conv(name, int(random.integers(1, 9)), (3, 3), pads=(1, 1, 1, 1))
        elif choice == 1:
            name = make.pool(name, "average", (3, 3), pads=(1, 1, 1, 1))
        elif choice == 2:
            name = make.elementwise("add", name, name)
        else:
            name = make.requantize(name, table=bool(random.integers(2)))
    assert_text_is(make.graph(name))


def test_weights_are_left_out_unless_asked_for():
    graph = every_kind()
    short, whole = (
        Printer(with_weights=flag).text(graph_operation(graph, "f")) for flag in (False, True)
    )
    assert "dense<" not in short
    assert "dense<" in whole
    assert "weight = {digest = " in short
