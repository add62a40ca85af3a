"""What a sweep leaves in its folder beside the store."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilewright.flows.sweep.pareto import check_picture, draw
from tilewright.flows.sweep.table import to_csv, to_parquet
from tilewright.support.errors import ToolError
from tilewright.support.files import write_file

CSV, PARQUET, PICTURE = "results.csv", "results.parquet", "pareto.png"


def check_packages() -> None:
    """Raise ToolError unless all files can be written."""
    check_picture(Path(PICTURE))
    try:
        importlib.import_module("pyarrow")
    except ImportError:
        raise ToolError('-o needs pyarrow: pip install "tilewright[sweep]"') from None


def write_all(folder: Path, title: str, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write table and picture, and return where."""
    write_file(folder / CSV, to_csv(rows))
    write_file(folder / PARQUET, to_parquet(rows))
    draw(folder / PICTURE, rows, title)
    return [folder / name for name in (CSV, PARQUET, PICTURE)]
