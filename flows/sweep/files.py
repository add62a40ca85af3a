"""What a sweep leaves in its folder beside the store."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from tilewright.flows.sweep.formats import to_csv, to_parquet
from tilewright.flows.sweep.page.page import sweep_page
from tilewright.flows.sweep.pareto import check_picture, draw
from tilewright.flows.sweep.sweep import Sweep
from tilewright.flows.sweep.table import Point, all_points
from tilewright.support.errors import ToolError
from tilewright.support.files import write_file

CSV, PARQUET, PICTURE, PAGE = "results.csv", "results.parquet", "pareto.png", "index.html"
PACKAGES = ("pyarrow", "plotly")


def check_packages() -> None:
    """Raise ToolError unless all files can be written."""
    check_picture(Path(PICTURE))
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            raise ToolError(f'-o needs {package}: pip install "tilewright[sweep]"') from None


def write_all(
    folder: Path, sweep: Sweep, points: Sequence[Point], *, with_picture: bool
) -> list[Path]:
    """Write table, page and, which takes the longest, picture; return where."""
    shown = all_points(points)
    rows = [point.row() for point in shown]
    write_file(folder / CSV, to_csv(rows))
    write_file(folder / PARQUET, to_parquet(rows))
    if with_picture:
        draw(folder / PICTURE, rows, sweep.title)
    details = [point.result.details() for point in shown]
    paths = {model.name: str(model.path) for model in sweep.models}
    write_file(folder / PAGE, sweep_page(sweep.title, rows, details, paths))
    return [folder / name for name in (PAGE, CSV, PARQUET, *([PICTURE] if with_picture else []))]
