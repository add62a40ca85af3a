"""What an operator's handler states beside its code: operators, how they run, conditions, cost.

The table of docs/operators.md is written from these entries (`operators_page.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tilewright.compiler.frontend.context import Context, Values
from tilewright.compiler.frontend.inference import MICROSOFT
from tilewright.compiler.frontend.source import Operator
from tilewright.compiler.frontend.values import Value
from tilewright.support.records import record

Function = Callable[[Context, Operator, Values], list[Value]]


@record(frozen=True, kw_only=True)
class Entry:
    """One way in which operators run on the accelerator: a row of the page, in Markdown."""

    operators: tuple[str, ...] = ()
    microsoft: tuple[str, ...] = ()
    """Those of the domain com.microsoft."""
    runs: str
    conditions: str
    cost: str

    @property
    def keys(self) -> Iterator[tuple[str, str]]:
        """Domain and operator type of each operator."""
        yield from (("", name) for name in self.operators)
        yield from ((MICROSOFT, name) for name in self.microsoft)


@record(frozen=True, kw_only=True)
class Handler:
    """A function that turns an ONNX node into the values of its outputs, and what it takes.

    It raises UnsupportedError where a condition does not hold: the node is the host's then.
    """

    function: Function
    entries: tuple[Entry, ...]
    has_several_outputs: bool = False

    def __call__(self, context: Context, node: Operator, values: Values) -> list[Value]:
        return self.function(context, node, values)


def handles(*entries: Entry, has_several_outputs: bool = False) -> Callable[[Function], Handler]:
    """Decorate the handler of all operators of `entries`."""

    def decorate(function: Function) -> Handler:
        return Handler(function=function, entries=entries, has_several_outputs=has_several_outputs)

    return decorate


def handles_quantized(
    kin: Handler, *, operators: tuple[str, ...] = (), microsoft: tuple[str, ...] = ()
) -> Callable[[Function], Handler]:
    """Decorate the handler of `operators` that have the scales of `kin`'s as inputs of their own.

    They run as the first entry of `kin` says.
    """
    return handles(replace(kin.entries[0], operators=operators, microsoft=microsoft))
