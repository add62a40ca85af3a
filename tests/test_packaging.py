"""The package list, the package data and the link folder agree with the tree."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP_FOLDERS = ("hw", "compiler", "sim", "flows", "support")
HEAVY_MODULES = ("amaranth", "onnx", "onnxruntime", "cocotb", "matplotlib", "scipy", "numpy")


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)


def source_files() -> list[Path]:
    """Files of the package folders, relative to the root, without caches."""
    return [
        path.relative_to(ROOT)
        for folder in TOP_FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def package_of(path: Path) -> str:
    return ".".join(("tilewright", *path.parts))


def test_package_list_equals_the_tree(project):
    modules = {package_of(path.parent) for path in source_files() if path.suffix == ".py"}
    listed = project["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == {"tilewright"} | modules


def test_every_package_has_an_init_file(project):
    for package in project["tool"]["setuptools"]["packages"]:
        folder = ROOT.joinpath(*package.split(".")[1:])
        assert (folder / "__init__.py").is_file(), package


def test_package_data_equals_the_files_that_are_not_python(project):
    data = {path for path in source_files() if path.suffix != ".py"}
    listed = set()
    for package, patterns in project["tool"]["setuptools"]["package-data"].items():
        folder = ROOT.joinpath(*package.split(".")[1:])
        for pattern in patterns:
            found = {path.relative_to(ROOT) for path in folder.glob(pattern)}
            assert found, f"{package}: {pattern} matches no file"
            listed |= found
    assert listed - {Path("py.typed")} == data


def test_py_typed_is_shipped(project):
    assert (ROOT / "py.typed").is_file()
    assert project["tool"]["setuptools"]["package-data"]["tilewright"] == ["py.typed"]


def test_links_lead_to_the_top_folders():
    links = ROOT / ".links" / "tilewright"
    for folder in TOP_FOLDERS:
        assert (links / folder).is_symlink()
        assert (links / folder).resolve() == ROOT / folder
    assert {path.name for path in links.iterdir()} == {*TOP_FOLDERS, "__init__.py"}


def test_licence_is_the_whole_apache_text(project):
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project["project"]["license"] == "Apache-2.0"
    assert text.lstrip().startswith("Apache License")
    assert "END OF TERMS AND CONDITIONS" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text


@pytest.mark.parametrize("statement", ["--help", "--version", "doctor --help"])
def test_help_imports_nothing_heavy(statement):
    code = (
        "import sys\n"
        "from tilewright.flows.commands.cli import main\n"
        "try:\n"
        f"    main({statement.split()!r})\n"
        "except SystemExit as end:\n"
        "    assert end.code in (0, None), end.code\n"
        f"heavy = set({HEAVY_MODULES!r}) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_importing_the_project_imports_nothing_heavy():
    code = (
        "import sys, tilewright\n"
        f"heavy = set({HEAVY_MODULES!r}) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [m for m in sys.modules if m.startswith('tilewright.')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_the_package_tells_its_version_and_public_names(project):
    import tilewright

    assert tilewright.__version__ == project["project"]["version"]
    assert {"Config", "Session", "__version__"} <= set(dir(tilewright))


def test_the_wheel_brings_the_pages_that_manuals_refer_to(project):
    (patterns,) = project["tool"]["setuptools"]["data-files"].values()
    shipped = {path.name for pattern in patterns for path in ROOT.glob(pattern)}
    assert {"architecture.md", "operators.md", "commands.md"} <= shipped
