"""Convolutions' values that operators of the host read, handed over in 16 bits.

Where a value goes on into operators that the accelerator lacks before anything quantizes it, the
host would have to compute the convolution. Instead the accelerator stores the value in two maps,
8 bits of it and the rest, over all that its accumulators can hold, and the host adds them up. That
is done where all that the host makes of it is quantized again at last, one step off at most by the
bounds of `errors`.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from functools import partial

import numpy as np
from onnx import NodeProto, helper

from tilewright.compiler.frontend.builder import is_permutation
from tilewright.compiler.frontend.context import dequantize_all
from tilewright.compiler.frontend.errors import UNKNOWN, Bound, bound_of
from tilewright.compiler.frontend.functions import is_open_linear
from tilewright.compiler.frontend.inference import MICROSOFT
from tilewright.compiler.frontend.interpret import Interpretation
from tilewright.compiler.frontend.partition import Needs, find_needs
from tilewright.compiler.frontend.room import extreme_values
from tilewright.compiler.frontend.source import Operator, Source
from tilewright.compiler.frontend.table import results_at
from tilewright.compiler.frontend.values import (
    Array,
    Constant,
    Dequantized,
    Linear,
    Quantized,
    Real,
)
from tilewright.compiler.frontend.ways import MARGIN
from tilewright.compiler.frontend.weights import LARGEST_WEIGHT
from tilewright.compiler.frontend.wide import largest_value
from tilewright.compiler.frontend.work import macs_of
from tilewright.hw.spec.numerics import SCALE_LIMIT
from tilewright.support.records import record

REASON = "adds up the two halves of a convolution's value"
FINER = 250
"""By how much the steps of the second map are finer: it holds half a step of the first one."""
SAMPLES_OF_AN_ERROR = 2
"""Of a function, as near as a value and what is handed over of it."""
FIRST_OPSET = 10
"""With QuantizeLinear."""


@record(frozen=True, kw_only=True)
class Handing:
    """What is handed over: the largest magnitude of each value, by name."""

    largest: Mapping[str, float] = field(default_factory=dict)
    copied: frozenset[str] = frozenset()
    """Operators between these and `readers`, by name: the host runs them, too."""
    readers: Mapping[str, str] = field(default_factory=dict)
    """Operators that the accelerator lacks, by name, with the reason."""

    @property
    def hosted(self) -> dict[str, str]:
        """The operators of the host, by name, with the reason."""
        sums = {_named(name, "sum"): REASON for name in self.largest}
        return {**self.readers, **sums}

    def declined(self, refused: Iterable[str]) -> set[str]:
        """The values of which `refused` operators are."""
        names = set(refused)
        return {
            value
            for value in self.largest
            if any(_named(value, what) in names for what in (*STORED, "difference"))
        }


def find_handing(interpretation: Interpretation, declined: AbstractSet[str]) -> Handing:
    """What the accelerator can hand over, but for the values `declined`."""
    names = [spec.name for spec in interpretation.context.source.outputs]
    needs = find_needs(interpretation, names)
    refused = set(declined)
    while True:
        search = _Search(interpretation, needs, refused)
        found = search.handing()
        wrong = search.too_wrong(found)
        if not wrong:
            return found
        refused |= wrong


class _Search:
    """The values that operators of the host read, followed back to convolutions' values."""

    def __init__(
        self, interpretation: Interpretation, needs: Needs, refused: AbstractSet[str]
    ) -> None:
        self.context, self.reasons = interpretation.context, interpretation.reasons
        self.operators = {item.name: item for item in self.context.source.operators}
        self.hosted = [
            item for item in self.context.source.operators if item.name in needs.operators
        ]
        self.refused = refused
        self.sources: dict[str, frozenset[str]] = {}
        """The handed values that a value is computed from, by name."""

    def handing(self) -> Handing:
        readers, copied = {}, set[str]()
        for node in self.hosted:
            if not self._is_lacking(node):
                continue
            read = [name for name in node.reads if self._anchors(name)]
            if read:
                readers[node.name] = self.reasons.get(node.name, REASON)
            copied |= {name for value in read for name in self._between(value)}
        anchors = frozenset().union(*self.sources.values())
        return Handing(
            largest={name: self._largest(name) for name in sorted(anchors)},
            copied=frozenset(copied),
            readers=readers,
        )

    def _is_lacking(self, node: Operator) -> bool:
        """Whether the accelerator does not compute what `node` makes."""
        made = [self.context.values.get(name) for name in node.outputs if name]
        return not any(isinstance(value, Real | Constant) for value in made) and not any(
            isinstance(value, Quantized) and not value.is_border for value in made
        )

    def _anchors(self, name: str) -> frozenset[str]:
        """The values to hand over that the float `name` is computed from by the accelerator."""
        value, maker = self.context.values.get(name), self.context.producers.get(name)
        if not isinstance(value, Real) or maker is None:
            return frozenset()
        if name not in self.sources:
            found: frozenset[str] = frozenset()
            if not isinstance(value.producer, Dequantized):
                if self._is_anchor(name, value):
                    found = frozenset({name})
                elif name not in self.refused:
                    found = frozenset().union(*map(self._anchors, maker.reads))
            self.sources[name] = found
        return self.sources[name]

    def _between(self, name: str) -> Iterator[str]:
        """The operators that make `name` of handed values."""
        if self.sources.get(name) and self.sources[name] != {name}:
            maker = self.context.producers[name]
            yield maker.name
            for read in maker.reads:
                yield from self._between(read)

    def _is_anchor(self, name: str, value: Real) -> bool:
        source, producer = self.context.source, value.producer
        if name in self.refused or not is_open_linear(value):
            return False
        assert isinstance(producer, Linear)
        makers = [self.operators[item] for item in value.names if item in self.operators]
        is_whole = is_permutation(value.index, int(np.prod(producer.shape)))
        is_output = any(spec.name == name for spec in source.outputs)
        is_float = source.types.get(name, ("", None))[0] == "float32"
        has_work = any(macs_of(source, item) for item in makers)
        largest = self._largest(name) if is_whole else 0.0
        is_scale = 0 < largest < SCALE_LIMIT
        return is_whole and is_float and has_work and is_scale and not is_output

    def _largest(self, name: str) -> float:
        value = self.context.values[name]
        assert isinstance(value, Real)
        return largest_value(self.context, value)

    def too_wrong(self, handing: Handing) -> set[str]:
        """Handed values that would make something more than a step off, or a float output wrong."""
        bounds: dict[str, Bound] = {}
        outputs = {spec.name for spec in self.context.source.outputs}
        wrong: set[str] = set()
        anchors = dict(self.sources)
        for node in self.hosted:
            if node.name not in handing.readers and node.name not in handing.copied:
                is_behind = any(anchors.get(name) for name in node.reads)
                if not is_behind or not self._is_lacking(node):
                    continue
            own = frozenset().union(*(anchors.get(name, frozenset()) for name in node.reads))
            if node.op_type == "QuantizeLinear":
                scale = self._constant(node.inputs[1])
                limit = 0.0 if scale is None else MARGIN * float(scale.min())
                wrong |= own if self._bound(node.inputs[0], bounds).error > limit else frozenset()
                continue
            for name in node.outputs:
                if name not in self.sources:
                    bounds[name], anchors[name] = self._made(node, bounds), own
                if not np.isfinite(self._bound(name, bounds).error):
                    wrong |= own
            if node.captured or outputs & {*node.outputs}:
                wrong |= own
        return wrong

    def _made(self, node: Operator, bounds: dict[str, Bound]) -> Bound:
        """Of what a node makes; right where what it reads is right, whatever it does."""
        operands: list[Bound | Array] = []
        for name in filter(None, node.inputs):
            array = self._constant(name)
            operands.append(self._bound(name, bounds) if array is None else array)
        values = [item for item in operands if isinstance(item, Bound)]
        if not values:
            return UNKNOWN
        found = bound_of(node, operands)
        return found if any(item.error for item in values) else replace(found, error=0.0)

    def _constant(self, name: str) -> Array | None:
        value = self.context.values.get(name)
        return value.array if isinstance(value, Constant) else None

    def _bound(self, name: str, bounds: dict[str, Bound]) -> Bound:
        if name not in bounds:
            bounds[name] = self._find_bound(name, bounds)
        return bounds[name]

    def _find_bound(self, name: str, bounds: dict[str, Bound]) -> Bound:
        value, maker = self.context.values.get(name), self.context.producers.get(name)
        if isinstance(value, Quantized):
            return Bound(largest=float(np.abs(dequantize_all(value.quantization)).max()))
        if not isinstance(value, Real):
            return Bound(largest=np.inf)
        producer = value.producer
        if isinstance(producer, Dequantized) and value.is_plain:
            stored = dequantize_all(producer.source.quantization)
            return Bound(largest=float(np.abs(stored).max()))
        if isinstance(producer, Linear) and self.sources.get(name):
            return self._of_function(value, producer)
        assert maker is not None
        return self._made(maker, bounds)

    def _of_function(self, value: Real, producer: Linear) -> Bound:
        """Of a function of a handed value: how far apart results of values so near can be.

        Samples are so dense that between any two such values there are others, jumps or not.
        """
        low, high = extreme_values(producer)
        reach = max(-float(low.min()), float(high.max()))
        half = 2 * LARGEST_WEIGHT * FINER * SAMPLES_OF_AN_ERROR
        inputs = (np.arange(-half, half + 1) * (reach / half)).astype(np.float32)
        if producer.slope is not None:
            slopes = max(1.0, float(np.abs(producer.slope).max())), 1.0
            inputs = np.where(inputs < 0, slopes[0], slopes[1]).astype(np.float32) * inputs
        results = np.clip(results_at(self.context, value, inputs), value.low, value.high)
        lags = range(1, SAMPLES_OF_AN_ERROR + 2)
        error = max(float(np.abs(results[lag:] - results[:-lag]).max()) for lag in lags)
        return Bound(largest=float(np.abs(results).max()), error=error)


def with_handing(source: Source, handing: Handing) -> Source:
    """`source` where operators of the host read the halves of handed values, added up."""
    made = {
        name
        for node in source.operators
        for name in node.outputs
        if node.name in handing.copied or name in handing.largest
    }
    names = {name: _named(name, "sum") for name in made}
    operators: list[Operator] = []
    constants, types = dict(source.constants), dict(source.types)
    for node in source.operators:
        operators.append(_renamed(node, names, {}) if node.name in handing.readers else node)
        if node.name in handing.copied:
            copied = _renamed(node, names, names)
            name = _named(node.name, "copy")
            operators.append(replace(copied, name=name, is_added=True))
        for name in node.outputs:
            if name in handing.largest:
                operators += _halves(source, name, handing.largest[name], constants)
    for name in made:
        for what in (*PARTS, "sum"):
            dtype = "int8" if what in STORED else "float32"
            types[_named(name, what)] = (dtype, types[name][1])
    return replace(source, operators=tuple(operators), constants=constants, types=types)


STORED = ("coarse", "fine")
PARTS = (*STORED, "first", "difference", "rest")


def _named(name: str, what: str) -> str:
    return f"{name}/handed {what}"


def _renamed(node: Operator, reads: Mapping[str, str], makes: Mapping[str, str]) -> Operator:
    inputs = tuple(reads.get(name, name) for name in node.inputs)
    outputs = tuple(makes.get(name, name) for name in node.outputs)
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    proto.input[:], proto.output[:] = inputs, outputs
    return replace(node, inputs=inputs, outputs=outputs, proto=proto)


def _halves(
    source: Source, name: str, largest: float, constants: dict[str, Array]
) -> list[Operator]:
    """The operators that make two int8 values of `name`, and their sum of these."""
    coarse, fine = _named(name, "coarse scale"), _named(name, "fine scale")
    zero = _named(name, "zero point")
    constants[coarse] = np.array(largest / LARGEST_WEIGHT, np.float32)
    constants[fine] = np.array(largest / LARGEST_WEIGHT / FINER, np.float32)
    constants[zero] = np.zeros((), np.int8)
    part = partial(_named, name)
    domain = "" if source.opset >= FIRST_OPSET else MICROSOFT
    rows = (
        ("QuantizeLinear", domain, (name, coarse, zero), part("coarse")),
        ("DequantizeLinear", domain, (part("coarse"), coarse, zero), part("first")),
        ("Sub", "", (name, part("first")), part("difference")),
        ("QuantizeLinear", domain, (part("difference"), fine, zero), part("fine")),
        ("DequantizeLinear", domain, (part("fine"), fine, zero), part("rest")),
        ("Add", "", (part("first"), part("rest")), part("sum")),
    )
    return [
        Operator(
            name=output,
            op_type=kind,
            domain=home,
            inputs=inputs,
            outputs=(output,),
            attributes={},
            proto=helper.make_node(kind, inputs, [output], output, domain=home),
            is_added=True,
        )
        for kind, home, inputs, output in rows
    ]
