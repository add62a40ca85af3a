"""docs/extending.md names files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_guide_names_files_that_exist():
    text = (ROOT / "docs" / "extending.md").read_text()
    named = set(re.findall(r"(?:\w+/)+\w+(?:\.py|\.md)?|CHANGELOG\.md", text))
    paths = {name for name in named if name.split("/")[0] in {p.name for p in ROOT.iterdir()}}
    assert len(paths) > 20
    assert [name for name in sorted(paths) if not (ROOT / name).exists()] == []
