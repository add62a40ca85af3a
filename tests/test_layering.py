"""No files import each other, in pairs or in larger circles; tests import no higher layer."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("support", "hw", "compiler", "sim", "flows")


def modules(root: Path, folders: tuple[str, ...]) -> dict[str, Path]:
    """The files below the folders by module name; a package is its __init__.py."""
    found = {}
    for folder in folders:
        for path in (root / folder).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join(("tilewright", *parts))] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The known modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in known and known[name] != path}


def circle(known: dict[str, Path]) -> list[str]:
    """The modules of one circle, or nothing."""
    graph = {name: imports(path, known) for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other():
    assert circle(modules(ROOT, FOLDERS)) == []


@pytest.mark.parametrize(
    "line", ["def f():\n    from tilewright.hw import a", "import tilewright.hw.a"]
)
def test_a_circle_is_found_wherever_it_hides(tmp_path, line):
    (tmp_path / "hw").mkdir()
    (tmp_path / "hw" / "a.py").write_text("from tilewright.hw.b import name\n")
    (tmp_path / "hw" / "b.py").write_text(f"{line}\n")
    assert set(circle(modules(tmp_path, ("hw",)))) == {"tilewright.hw.a", "tilewright.hw.b"}


def test_only_the_command_line_imports_commands():
    known = modules(ROOT, FOLDERS)
    commands = "tilewright.flows.commands"
    users = {
        name
        for name, path in known.items()
        if not name.startswith(commands)
        and any(target.startswith(commands) for target in imports(path, known))
    }
    assert users == set()


ABOVE = {
    "support": ("hw", "compiler", "sim", "flows"),
    "hw": ("compiler", "flows"),
    "compiler": ("hw.rtl", "flows"),
    "sim": ("hw.rtl", "compiler", "flows"),
}
"""The layers that the tests of a folder do without."""


@pytest.mark.parametrize("folder", ABOVE)
def test_tests_of_a_layer_import_none_above(folder):
    known = modules(ROOT, FOLDERS)
    tests = (ROOT / "tests" / folder).rglob("*.py")
    found = {path.name: imports(path, known) for path in tests}
    above = tuple(f"tilewright.{name}" for name in ABOVE[folder])
    used = {name: {t for t in targets if t.startswith(above)} for name, targets in found.items()}
    assert {name: targets for name, targets in used.items() if targets} == {}
