"""The results of a sweep: a CSV that a later sweep resumes from, and a plot."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tilewright.hw.spec.coverage import Coverage
from tilewright.support.errors import InputError, ToolError
from tilewright.support.files import write_file


@dataclass(frozen=True, kw_only=True)
class Point:
    """One config of a sweep and what came of it; `error` is empty where it worked."""

    rows: int
    cols: int
    lanes: int
    operand_lanes: int
    cycles: int | None = None
    estimated_cycles: int | None = None
    """The timing model's; `cycles` itself where these were asked for."""
    utilization: float | None = None
    macs: int | None = None
    macs_accelerator: int | None = None
    macs_total: int | None = None
    operators_accelerator: int | None = None
    operators_total: int | None = None
    bytes_loaded: int | None = None
    bytes_stored: int | None = None
    instructions: int | None = None
    compile_seconds: float | None = None
    run_seconds: float | None = None
    error: str = ""
    source: str
    """'rtl' or 'cycles': where the cycles come from."""
    setup: str
    """Digest of the model, the tools and the options that the result depends on."""
    config: str
    """The config's digest."""

    @property
    def estimate_error(self) -> float | None:
        """How far the timing model is off the RTL, as a fraction of the RTL's cycles."""
        if self.source != "rtl" or not self.cycles or self.estimated_cycles is None:
            return None
        return self.estimated_cycles / self.cycles - 1

    @property
    def coverage(self) -> Coverage | None:
        """The part of the model on the accelerator; None where the point failed."""
        if (
            self.macs_accelerator is None
            or self.macs_total is None
            or self.operators_accelerator is None
            or self.operators_total is None
        ):
            return None
        return Coverage(
            macs_accelerator=self.macs_accelerator,
            macs_total=self.macs_total,
            operators_accelerator=self.operators_accelerator,
            operators_total=self.operators_total,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """What a resumed sweep recognises a finished point by."""
        return (self.source, self.setup, self.config)


_FIELDS = {field.name: field for field in dataclasses.fields(Point)}
_TEXT = {"error", "source", "setup", "config"}
_REAL = {"utilization", "compile_seconds", "run_seconds"}


def to_csv(points: Sequence[Point]) -> str:
    """Return the points as CSV text with a header; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(_FIELDS), lineterminator="\n")
    writer.writeheader()
    for point in points:
        writer.writerow(dataclasses.asdict(point))
    return buffer.getvalue()


def load_csv(path: Path) -> list[Point]:
    """Read the points of a CSV file that a sweep wrote.

    Raises InputError when it is something else.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    reader = csv.DictReader(io.StringIO(text))
    if list(reader.fieldnames or ()) != list(_FIELDS):
        raise InputError(f"{path}: not a sweep's CSV of this version; give another file")
    try:
        return [_parse(row) for row in reader]
    except (ValueError, TypeError):
        raise InputError(f"{path}: damaged CSV; remove it or give another file") from None


def _parse(row: dict[str, str]) -> Point:
    values: dict[str, object] = {}
    for name, text in row.items():
        if name in _TEXT:
            values[name] = text
        elif text == "":
            values[name] = None
        else:
            values[name] = float(text) if name in _REAL else int(text)
    return Point(**values)  # type: ignore[arg-type]


def check_plot(path: Path) -> None:
    """Raise ToolError or InputError unless a plot can be drawn to `path`."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise ToolError('--plot needs matplotlib: pip install "tilewright[plot]"') from None
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise InputError(f"{path}: the suffix of a plot must be one of {', '.join(sorted(kinds))}")


def plot(path: Path, points: Sequence[Point], title: str) -> None:
    """Draw cycles and utilization over the array's multipliers, one line for each `rows`."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    done = [point for point in points if point.cycles is not None]
    square = all(point.rows == point.cols for point in done)
    for label, group in _lines(done, square):
        sizes = [point.rows * point.cols for point in group]
        left.plot(sizes, [point.cycles or 0 for point in group], "o-", label=label)
        right.plot(sizes, [100 * (point.utilization or 0) for point in group], "o-", label=label)
    for axes, quantity in ((left, "cycles"), (right, "utilization of the array, %")):
        axes.set_xlabel("multipliers (rows x cols)")
        axes.set_ylabel(quantity)
        axes.set_xscale("log", base=2)
        axes.grid(True, alpha=0.3)
        if done:
            axes.legend()
    left.set_yscale("log")
    right.set_ylim(0, 100)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower(), dpi=150)
    write_file(path, buffer.getvalue())


def _lines(points: Sequence[Point], square: bool) -> list[tuple[str, list[Point]]]:
    if square:
        return [("square arrays", sorted(points, key=lambda point: point.rows))]
    return [
        (
            f"{rows} rows",
            sorted((p for p in points if p.rows == rows), key=lambda point: point.cols),
        )
        for rows in sorted({point.rows for point in points})
    ]
