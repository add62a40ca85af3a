"""Seeded random quantized graphs for the back end's tests, and their run on the simulator."""

from dataclasses import replace

import numpy as np
from model_runs import run_on_iss

from tilewright.compiler.compile import compile_graph
from tilewright.compiler.graph.graph import (
    Concat,
    Conv,
    Elementwise,
    Epilogue,
    Graph,
    Node,
    Pad,
    Piece,
    Pool,
    Requantize,
    Resample,
    Residual,
    View,
)
from tilewright.compiler.graph.reference import Reference
from tilewright.compiler.options import DEFAULT, Options
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.tensor import Quantization, Shape, Tensor


def windows(sizes, kernel, strides, pads, dilations) -> list[int]:
    """Rows and columns of the windows that a map of those sizes holds."""
    return [
        (size + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1)
        // strides[axis] + 1
        for axis, size in enumerate(sizes)
    ]  # fmt: skip


class GraphMaker:
    """Grows a graph layer by layer; every method returns the new map's name."""

    def __init__(self, seed: int, shape: Shape) -> None:
        self.random = np.random.default_rng(seed)
        self.maps: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.input = self.new_map(shape)

    def quantization(self) -> Quantization:
        scale = float(np.float32(self.random.uniform(0.02, 0.2)))
        return Quantization(scale=scale, zero_point=int(self.random.integers(-20, 20)))

    def new_map(self, shape: Shape, quantization: Quantization | None = None) -> str:
        name = f"map{len(self.maps)}"
        self.maps[name] = Tensor(
            name=name, shape=shape, quantization=quantization or self.quantization()
        )
        return name

    def shape(self, name: str) -> Shape:
        return self.maps[name].shape

    def conv(
        self,
        source,
        filters,
        kernel=(1, 1),
        *,
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        groups=1,
        residual=None,
        kind="add",
        unrounded=False,
        table=False,
        slopes=False,
        pieces=0,
    ) -> str:
        channels, *sizes = self.shape(source)
        output = self.new_map((filters, *windows(sizes, kernel, strides, pads, dilations)))
        inputs = channels // groups
        weight = self.random.integers(-127, 128, (filters, inputs, *kernel)).astype(np.int8)
        scale = 0.3 / (60 * 70 * (inputs * kernel[0] * kernel[1]) ** 0.5)
        result = self.maps[output].quantization
        epilogue = self._epilogue(self.quantization() if residual else result, table=table)
        if unrounded:
            epilogue = self._unrounded_epilogue(result, residual, kind)
        bias = self.random.integers(-2000, 2000, filters).astype(np.int32)
        scales = self.random.uniform(scale, 40 * scale, filters).astype(np.float32)
        if pieces:
            epilogue = replace(epilogue, pieces=self._pieces(pieces))
        factors = self.random.uniform(-0.5, 1.5, filters).astype(np.float32) if slopes else None
        added = Residual(kind=kind, other=residual, unrounded=unrounded) if residual else None
        self.nodes.append(
            Conv(
                name=f"conv{len(self.nodes)}",
                output=output,
                input=source,
                weight=weight,
                bias=bias,
                weight_scale=scales,
                negative_scale=None if factors is None else scales * factors,
                strides=strides,
                pads=pads,
                dilations=dilations,
                groups=groups,
                epilogue=epilogue,
                residual=added,
            )
        )
        return output

    def _unrounded_epilogue(self, result: Quantization, residual: str, kind: str) -> Epilogue:
        operand = self.maps[residual].quantization.scale if kind == "multiply" else 1.0
        steps = Quantization(scale=float(np.float32(result.scale / operand)), zero_point=0)
        return Epilogue(quantization=steps, low=1, high=1)

    def _epilogue(self, own: Quantization, *, table: bool) -> Epilogue:
        entries = self.random.integers(-128, 128, 256).astype(np.int8) if table else None
        return Epilogue(
            quantization=self.quantization() if table else own,
            low=int(self.random.integers(-128, -20)),
            high=int(self.random.integers(60, 128)),
            table=entries,
            table_quantization=own if table else None,
        )

    def _pieces(self, count: int) -> tuple[Piece, ...]:
        return tuple(
            Piece(
                middle=0.5 * number,
                step=0.01,
                results=self.random.integers(-50, 50, 256).astype(np.int8),
            )
            for number in range(count)
        )

    def resample(self, source, rows, columns, phases=(1, 1)) -> str:
        channels = self.shape(source)[0] // (phases[0] * phases[1])
        shape = (channels, len(rows), len(columns))
        output = self.new_map(shape, self.maps[source].quantization)
        self.nodes.append(
            Resample(
                name=f"resample{len(self.nodes)}",
                output=output,
                input=source,
                rows=tuple(map(int, rows)),
                columns=tuple(map(int, columns)),
                phases=phases,
            )
        )
        return output

    def pool(self, source, kind, kernel, strides=(1, 1), pads=(0, 0, 0, 0), **options) -> str:
        channels, height, width = self.shape(source)
        rows = (height + pads[0] + pads[2] - kernel[0]) // strides[0] + 1
        columns = (width + pads[1] + pads[3] - kernel[1]) // strides[1] + 1
        quantization = self.maps[source].quantization if kind == "max" else None
        output = self.new_map((channels, rows, columns), quantization)
        self.nodes.append(
            Pool(
                name=f"pool{len(self.nodes)}",
                output=output,
                kind=kind,
                input=source,
                kernel=kernel,
                strides=strides,
                pads=pads,
                **options,
            )
        )
        return output

    def elementwise(self, kind, first, second) -> str:
        output = self.new_map(self.shape(first))
        self.nodes.append(
            Elementwise(
                name=f"{kind}{len(self.nodes)}",
                output=output,
                kind=kind,
                first=first,
                second=second,
            )
        )
        return output

    def requantize(self, source, quantization=None, table=False) -> str:
        output = self.new_map(self.shape(source), quantization)
        result = self.maps[output].quantization
        entries = self.random.integers(-128, 128, 256).astype(np.int8) if table else None
        epilogue = Epilogue(
            quantization=self.maps[source].quantization if table else result,
            table=entries,
            table_quantization=result if table else None,
        )
        self.nodes.append(
            Requantize(
                name=f"unary{len(self.nodes)}", output=output, input=source, epilogue=epilogue
            )
        )
        return output

    def concat(self, *parts, axis=0) -> str:
        quantization = self.maps[parts[0]].quantization
        parts = tuple(
            p if self.maps[p].quantization == quantization else self.requantize(p, quantization)
            for p in parts
        )
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        output = self.new_map(tuple(shape), quantization)
        name = f"concat{len(self.nodes)}"
        self.nodes.append(Concat(name=name, output=output, parts=parts, axis=axis))
        return output

    def pad(self, source, pads, value) -> str:
        channels, height, width = self.shape(source)
        shape = (channels, height + pads[0] + pads[2], width + pads[1] + pads[3])
        output = self.new_map(shape, self.maps[source].quantization)
        self.nodes.append(
            Pad(name=f"pad{len(self.nodes)}", output=output, input=source, pads=pads, value=value)
        )
        return output

    def view(self, source, height, width) -> str:
        output = self.new_map(
            (self.shape(source)[0], height, width), self.maps[source].quantization
        )
        self.nodes.append(View(name=f"view{len(self.nodes)}", output=output, input=source))
        return output

    def graph(self, *outputs) -> Graph:
        return Graph(maps=self.maps, nodes=tuple(self.nodes), inputs=(self.input,), outputs=outputs)


def assert_matches_reference(
    graph: Graph, config: Config, seed: int = 0, options: Options = DEFAULT
) -> Program:
    """Compile (which proves the program race free), run, compare every output byte.

    The reference runs three samples at once, the simulator the one in the middle.
    """
    program = compile_graph(graph, config, options)
    random = np.random.default_rng(seed)
    inputs = {
        name: random.integers(-128, 128, (*graph.maps[name].shape, 3)).astype(np.int8)
        for name in graph.inputs
    }
    expected = Reference(graph=graph).run(inputs)
    found = run_on_iss(program, {name: array[..., 1] for name, array in inputs.items()})
    assert set(found) == set(graph.outputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], expected[name][..., 1], err_msg=name)
    return program
