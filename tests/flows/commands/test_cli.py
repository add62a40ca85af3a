"""The command group: every listed command exists and explains itself."""

import sys

import onnx
import pytest

from tilewright.flows.bench.kernels import make_kernel
from tilewright.flows.commands.cli import COMMANDS, main, with_json_files


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(tilewright, name):
    result = tilewright(name, "--help")
    assert result.status == 0
    assert result.out.startswith(f"Usage: tilewright {name}")


def test_the_group_lists_every_command(tilewright):
    result = tilewright("--help")
    assert result.status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(tilewright, name):
    assert "--json" in tilewright(name, "--help").out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run --json m.onnx", "run --json=- m.onnx"),
        ("run m.onnx --json", "run m.onnx --json=-"),
        ("run --json a.txt m.onnx --json", "run --json a.txt m.onnx --json=-"),
        ("run --json - --json /dev/null --json=b", "run --json - --json /dev/null --json=b"),
        ("run --json -- --json", "run --json=- -- --json"),
    ],
)  # fmt: skip
def test_json_without_a_file_is_for_stdout(words, expected):
    assert with_json_files(words.split()) == expected.split()


def complete(monkeypatch, capsys, words):
    """Return what bash is offered for the last word."""
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    monkeypatch.setenv("_TILEWRIGHT_COMPLETE", "bash_complete")
    with pytest.raises(SystemExit):
        main([])
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tilewright co", ["compile", "cosim", "compare", "conformance"]),
        ("tilewright compile --preset n", ["nano"]),
        ("tilewright run --set axi_d", ["axi_data_bits="]),
        ("tilewright compile --stop-after fold", ["fold_stem"]),
        ("tilewright compile --keep", ["--keep-sections"]),
        ("tilewright --comp", ["--completion"]),
    ],
)
def test_shells_complete(monkeypatch, capsys, words, expected):
    offered = complete(monkeypatch, capsys, words)
    assert offered == [f"plain,{text}" for text in expected]


def test_files_are_completed_by_the_shell(monkeypatch, capsys):
    assert complete(monkeypatch, capsys, "tilewright compile x") == ["file,x"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(tilewright, shell):
    result = tilewright("--completion", shell)
    assert result.status == 0
    assert f"_TILEWRIGHT_COMPLETE={shell}_complete" in result.out


@pytest.mark.parametrize("words", [("-v", "compile"), ("compile", "-v")])
def test_verbose_logs_steps_on_stderr(tilewright, digits, tmp_path, words):
    output = ("-o", tmp_path / "d.tw", "--preset", "nano", "--quiet", "--no-cache")
    result = tilewright(*words, digits, *output)
    assert (result.status, result.out) == (0, "")
    assert f"tilewright.flows.models: reading {digits}: " in result.err
    assert "after fold_stem" not in result.err
    assert "after fold_stem" in tilewright("-vv", "compile", digits, *output).err
    assert tilewright("compile", digits, *output).err == ""


def test_verbose_tells_where_an_error_comes_from(tilewright):
    result = tilewright("compile", "-v", "missing.onnx")
    assert result.status == 2
    assert "Traceback" in result.err
    assert result.err.endswith("\nerror: missing.onnx: no such file; give an ONNX model\n")


def test_a_missing_package_is_one_line(tilewright, digits, monkeypatch):
    for module in ("tilewright.sim.iss", "tilewright.support.threads"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    result = tilewright("run", digits, "--preset", "nano")
    assert result.status == 2
    assert result.err == (
        "error: package threadpoolctl is missing; `tilewright doctor` says how to get it\n"
    )


def test_an_unexpected_os_error_is_one_line(tilewright, digits, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "/somewhere/file")

    monkeypatch.setattr("tilewright.flows.models.compile_file", full)
    result = tilewright("compile", digits, "-o", "x.tw")
    assert result.status == 2
    assert result.err == "error: /somewhere/file: No space left on device\n"


def test_a_tensor_beyond_the_memory_is_one_line(tilewright, tmp_path):
    model = make_kernel("conv", (1, 1, 1, 4, 4))
    sizes = model.graph.output[0].type.tensor_type.shape.dim[2:]
    for size in sizes:
        size.dim_value = 2 * 2**40 + 4
    (conv,) = (node for node in model.graph.node if node.op_type == "Conv")
    for attribute in conv.attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [2**40] * 4
    onnx.save(model, tmp_path / "wide.onnx")
    result = tilewright("compile", tmp_path / "wide.onnx", "-o", tmp_path / "x.tw")
    assert result.status == 2
    assert result.err.startswith("error: not enough memory for a tensor of this size: ")
    assert result.err.count("\n") == 1
