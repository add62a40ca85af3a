"""Parts that are synthesized once and kept in the cache by their content, several at a time."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from tilewright.flows.report.progress import counted
from tilewright.flows.synthesis import ecp5, gates
from tilewright.flows.synthesis.devices import Device
from tilewright.flows.synthesis.liberty import Liberty
from tilewright.flows.synthesis.parts import Part
from tilewright.flows.synthesis.processes import Processes
from tilewright.flows.synthesis.timing import LongestPath, Timing, read_timing, timing_script
from tilewright.sim.cosim.cache import cached
from tilewright.support.digests import digest, sources_digest
from tilewright.support.records import record

Item = TypeVar("Item")
Made = TypeVar("Made")
LINE_SECONDS = 5.0
"""Off a terminal, progress has at most one line in this time."""


@record(frozen=True, kw_only=True)
class PartFigures:
    """A part's figures, of one of it, and its own timing where somebody measured it."""

    name: str
    count: int
    figures: Mapping[str, float]
    timing: Timing | None = None

    @property
    def path(self) -> LongestPath | None:
        """The longest path; None where there is none, or nobody measured it."""
        return None if self.timing is None else self.timing.path


@record(frozen=True, kw_only=True)
class Entry:
    """Files in the cache, and the key of their content."""

    key: str
    folder: Path


@record(frozen=True, kw_only=True)
class Kept:
    """What is made by some tools."""

    tools: tuple[str, ...]
    has_sta: bool = False
    """Whether OpenSTA is one of them, so that gates have a timing."""
    jobs: int = 1
    """Processes at a time."""

    def entry(self, content: Sequence[str | bytes], produce: Callable[[Path], None]) -> Entry:
        """Return the entry of a content, of these tools and sources; made if it is not there."""
        key = digest([*self.tools, sources_digest("flows/synthesis"), *content])
        folder, _ = cached("synthesis", key, produce)
        return Entry(key=key, folder=folder)

    def each(
        self, title: str, names: Sequence[str], make: Callable[[int, Processes], Made]
    ) -> list[Made]:
        """Make something of every item, by its number, and show how far that is.

        Interrupted, it ends the processes that run.
        """
        made: list[Made] = []
        processes, pool = Processes(), ThreadPoolExecutor(self.jobs)
        try:
            futures = [pool.submit(make, number, processes) for number in range(len(names))]
            with counted(title, len(names), every_seconds=LINE_SECONDS) as advance:
                for name, future in zip(names, futures, strict=True):
                    made.append(future.result())
                    advance(name)
        finally:
            processes.stop()
            pool.shutdown(cancel_futures=True)
        return made


def cells_of(parts: Sequence[Part], device: Device | None, kept: Kept) -> list[PartFigures]:
    """Return the figures of parts on an ECP5, mapped for a device or for any."""

    def make(number: int, processes: Processes) -> PartFigures:
        part = parts[number]
        content = (part.verilog, ecp5.ecp5_script(part, device))
        produce = partial(ecp5.synthesize_ecp5, part, device, processes=processes)
        entry = kept.entry(content, produce)
        return PartFigures(name=part.name, count=part.count, figures=ecp5.read_ecp5(entry.folder))

    return kept.each("part", [part.name for part in parts], make)


def gates_of(
    parts: Sequence[Part], liberty: Liberty, kept: Kept
) -> tuple[list[PartFigures], Timing | None]:
    """Return the figures of parts in a library, and the timing of all, the first on top.

    The longest of the parts' shortest delays is the pace for which all are mapped.
    """
    names = [part.name for part in parts]
    library = liberty.path.read_bytes()

    def logic_of(number: int, processes: Processes) -> Entry:
        part = parts[number]
        content = (part.verilog, gates.logic_script(part, liberty), library)
        return kept.entry(
            content, lambda folder: gates.make_logic(part, liberty, folder, processes)
        )

    logic = kept.each("logic of part", names, logic_of)
    pace = max(gates.shortest_delay(entry.folder) for entry in logic)

    def mapped(number: int, processes: Processes) -> Entry:
        part, source, is_timed = parts[number], logic[number], kept.has_sta
        script = gates.gates_script(part, liberty, Path(), pace, is_timed=is_timed)
        return kept.entry(
            (source.key, script, timing_script(part.name, liberty)),
            lambda folder: gates.map_logic(
                part, liberty, source.folder, pace, folder, processes, is_timed=is_timed
            ),
        )

    found = kept.each("gates of part", names, mapped)
    figures = [
        PartFigures(
            name=part.name,
            count=part.count,
            figures=gates.read_gates(before.folder, after.folder, liberty),
            timing=read_timing(after.folder) if kept.has_sta else None,
        )
        for part, before, after in zip(parts, logic, found, strict=True)
    ]
    timing = figures[0].timing
    if kept.has_sta and len(parts) > 1:
        timing = _linked(parts[0].name, found, liberty, kept)
    return figures, timing


def _linked(top: str, mapped: Sequence[Entry], liberty: Liberty, kept: Kept) -> Timing:
    """Return the timing of mapped parts together."""
    folders = [entry.folder for entry in mapped]

    def link(_: int, processes: Processes) -> Entry:
        keys = [entry.key for entry in mapped]
        content = (*keys, gates.link_script(top, (), liberty), timing_script(top, liberty))
        return kept.entry(
            content, lambda folder: gates.link(top, folders, liberty, folder, processes)
        )

    (entry,) = kept.each("link", [top], link)
    return read_timing(entry.folder)
