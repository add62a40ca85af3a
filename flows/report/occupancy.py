"""Where a layer's cycles go: what each engine works, and what the layer's engine waits for."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tilewright.flows.report.display import percent
from tilewright.flows.report.spans import Span
from tilewright.hw.spec.isa import Engine

ENGINE_NAMES = {
    Engine.LOAD: "load",
    Engine.MATRIX: "array",
    Engine.DEPTHWISE: "depthwise",
    Engine.VECTOR: "vector",
    Engine.STORE: "store",
}
LIMIT_SHARE = 0.75
"""An engine that is busy for this share of a layer's cycles limits it."""
IDLE_SHARE = 0.03
"""Waiting for a smaller share of a layer's cycles is not worth a word."""
QUEUE = "queue"
"""What an engine without instructions waits for."""


@dataclass(kw_only=True)
class Occupancy:
    """A layer's window, from the end of the layer that ended before it to its own end.

    What runs ahead or behind (the next layer's weights, say) counts in the window in which it runs.
    """

    start: int
    end: int
    engine: Engine
    """The engine that does the layer's work: of array, depthwise and vector unit the first."""
    busy: Counter[Engine] = field(default_factory=Counter)
    """Cycles in which each engine works."""
    waits: Counter[str] = field(default_factory=Counter)
    """Cycles in which the layer's engine does not, by what it waits for."""

    @property
    def cycles(self) -> int:
        return self.end - self.start

    @property
    def limit(self) -> str:
        """The engine that limits the layer, or "dependency" where none is busy enough."""
        engine, cycles = max(self.busy.items(), key=lambda item: item[1], default=(None, 0))
        if engine is None or cycles < LIMIT_SHARE * self.cycles:
            return "dependency"
        return ENGINE_NAMES[engine]

    @property
    def sentence(self) -> str:
        """What limits the layer, in words."""
        if not self.cycles:
            return "overlapped with other layers"
        limit = self.limit
        shown = next((e for e, name in ENGINE_NAMES.items() if name == limit), self.engine)
        text = f"{ENGINE_NAMES[shown]} busy {percent(self.busy[shown] / self.cycles)}"
        waits = [(what, n) for what, n in self.waits.most_common(2) if n > IDLE_SHARE * self.cycles]
        if waits and shown is self.engine:
            shares = (f"{percent(n / self.cycles)} for {what}" for what, n in waits)
            text += f", waits {', '.join(shares)}"
        return f"dependency: {text}" if limit == "dependency" else text


def occupancies(spans: Sequence[Span]) -> dict[int, Occupancy]:
    """Return the occupancy of each layer that has instructions, by layer number."""
    windows = _windows(spans)
    starts = [window.start for window in windows.values()]
    ordered = list(windows.values())
    by_engine: dict[Engine, list[Span]] = defaultdict(list)
    for span in spans:
        by_engine[span.engine].append(span)
    for engine, members in by_engine.items():
        for window, cycles in _cut(_busy(members), starts, ordered):
            window.busy[engine] += cycles
        for what, interval in _gaps(members, ordered[-1].end):
            for window, cycles in _cut([interval], starts, ordered):
                if window.engine is engine:
                    window.waits[what] += cycles
    return windows


def _windows(spans: Sequence[Span]) -> dict[int, Occupancy]:
    """Return the layers' windows in the order of time; together they cover the run."""
    ends: dict[int, int] = {}
    engines: dict[int, Engine] = {}
    for span in spans:
        if span.layer >= 0:
            ends[span.layer] = max(ends.get(span.layer, 0), span.retired)
            if span.engine in (Engine.MATRIX, Engine.DEPTHWISE):
                engines[span.layer] = min(span.engine, engines.get(span.layer, span.engine))
    windows, previous = {}, 0
    for layer, end in sorted(ends.items(), key=lambda item: item[1]):
        engine = engines.get(layer, Engine.VECTOR)
        windows[layer] = Occupancy(start=previous, end=end, engine=engine)
        previous = end
    return windows


Interval = tuple[int, int]


def _busy(spans: Sequence[Span]) -> Iterator[Interval]:
    """Yield when an engine works."""
    return ((span.start, span.free) for span in spans)


def _gaps(spans: Sequence[Span], end: int) -> Iterator[tuple[str, Interval]]:
    """Yield when an engine has nothing to issue, and what it waits for."""
    free = 0
    for span in spans:
        if span.start > free:
            what = QUEUE if span.held_by is None else ENGINE_NAMES[span.held_by]
            yield what, (free, span.start)
        free = max(free, span.free)
    if end > free:
        yield "drain", (free, end)


def _cut(
    intervals: Iterable[Interval], starts: Sequence[int], windows: Sequence[Occupancy]
) -> Iterator[tuple[Occupancy, int]]:
    """Yield the cycles of each interval in each window that it touches."""
    for first, behind in intervals:
        at = bisect_right(starts, first) - 1
        while at < len(windows) and windows[at].start < behind:
            window = windows[at]
            cycles = min(behind, window.end) - max(first, window.start)
            if cycles > 0:
                yield window, cycles
            at += 1
