"""Bad input on the command line: one line that says what to do, status 2, no file."""

import numpy as np
import onnx
import pytest


@pytest.fixture
def program(tilewright, digits, tmp_path):
    """A program file for `nano`."""
    path = tmp_path / "digits.tw"
    assert tilewright("compile", digits, "--preset", "nano", "-o", path, "--quiet").status == 0
    return path


@pytest.fixture
def fails(tilewright, tmp_path):
    """Return a function that runs a command, checks the form of its error, and returns it."""

    def run(*words: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = tilewright(*words)
        assert result.status == 2, result
        assert result.out == ""
        assert result.err.startswith("error: ")
        assert all(line.startswith("  ") for line in result.err.splitlines()[1:])
        assert sorted(tmp_path.rglob("*")) == before
        return result.err

    return run


def test_missing_model(fails, tmp_path):
    error = fails("compile", tmp_path / "no.onnx", "-o", tmp_path / "o.tw")
    assert "no.onnx: no such file; give an ONNX model" in error


@pytest.mark.parametrize("command", ["compile", "explain", "quantize", "cosim"])
def test_a_folder_is_no_model(fails, tmp_path, command):
    options = ["-o", tmp_path / "o"] if command in ("compile", "quantize") else []
    assert f"{tmp_path}: a folder; give " in fails(command, tmp_path, *options)


def test_an_error_of_a_config_file_names_it(fails, tmp_path, digits):
    path = tmp_path / "big.toml"
    path.write_text("rows = 3000\n")
    assert f"{path}: rows must be 1 to 128, got 3000" in fails("explain", digits, "--config", path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--on", "timing", "--samples", "2"], "--on timing has no data"),
        (["--on", "iss", "--latency", "9"], "--latency is of --on rtl and --on timing"),
    ],
)
def test_options_of_another_target(fails, program, options, message):
    assert message in fails("run", program, *options)


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_malformed_model(fails, tmp_path, digits, size):
    (tmp_path / "bad.onnx").write_bytes(digits.read_bytes()[:size])
    assert "bad.onnx" in fails("compile", tmp_path / "bad.onnx", "-o", tmp_path / "o.tw")


def test_model_that_is_no_onnx(fails, tmp_path):
    (tmp_path / "text.onnx").write_text("this is no model\n")
    error = fails("compile", tmp_path / "text.onnx", "-o", tmp_path / "o.tw")
    assert "not a readable ONNX model" in error


def test_dynamic_shape(fails, tmp_path, make_model):
    path = make_model()
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"
    onnx.save(model, path)
    error = fails("compile", path, "-o", tmp_path / "o.tw")
    assert "'x'" in error
    assert "make_dynamic_shape_fixed" in error


def test_float_model(fails, tmp_path, make_model):
    error = fails("compile", make_model(quantized=False), "-o", tmp_path / "o.tw")
    assert "not quantized; make it int8 with `tilewright quantize" in error


def test_unknown_operator(fails, tmp_path, make_model):
    error = fails("compile", make_model(operator="NoSuchOperator"), "-o", tmp_path / "o.tw")
    assert "NoSuchOperator" in error


@pytest.mark.parametrize("command", ["compile", "cosim"])
def test_strict_refuses_host_operators(fails, tmp_path, make_model, command):
    model = make_model(operator="Hardmax")
    error = fails(command, model, "--strict", "-o", tmp_path / "o.tw")
    assert "Hardmax 'last'" in error
    assert "strict" in error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["--set", "rows=0"], "rows must be 1 to 128, got 0"),
        (["--set", "rows=12"], "lanes must be a divisor of both rows and cols, got 16"),
        (["--set", "colour=7"], "unknown field 'colour'"),
        (["--set", "axi_data_bits=100"], "axi_data_bits must be 64, 128, 256 or 512, got 100"),
        (["--config", "missing.toml"], "missing.toml: no such file"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "compile", "cosim", "run", "asm"])
def test_impossible_config(fails, tmp_path, digits, command, settings, message):
    source = [] if command == "generate" else [digits]
    error = fails(command, *source, *settings, "-o", tmp_path / "output")
    assert message in error


def test_config_file_with_an_unknown_field(fails, tmp_path):
    (tmp_path / "c.toml").write_text("rows = 8\ncolour = 3\n")
    error = fails("generate", "--config", tmp_path / "c.toml", "-o", tmp_path / "out")
    assert "c.toml: unknown field 'colour'" in error


def test_truncated_program(fails, program):
    program.write_bytes(program.read_bytes()[:-100])
    assert "truncated" in fails("run", program)
    assert "truncated" in fails("disasm", program)


@pytest.mark.parametrize("place", [9, 30, 200, 4000, -10])
def test_altered_program(fails, program, place):
    data = bytearray(program.read_bytes())
    data[place] ^= 0x10
    program.write_bytes(data)
    assert "digits.tw: " in fails("run", program)


def test_file_that_is_no_program(fails, tmp_path):
    (tmp_path / "x.tw").write_text("hello")
    assert "not a Tilewright program" in fails("run", tmp_path / "x.tw")
    assert "cannot be read" in fails("disasm", tmp_path / "missing.tw")


def test_program_for_another_config(fails, program):
    error = fails("run", program, "--preset", "edge")
    assert "made for config 'nano'" in error
    assert "compile the model for edge" in error


def test_program_of_another_model(fails, program, make_model):
    error = fails("run", program, "--on", "reference", "--model", make_model())
    assert "was not compiled from" in error


@pytest.mark.parametrize("on", ["reference", "ort"])
def test_program_without_its_model(fails, program, on):
    assert "give it with --model" in fails("run", program, "--on", on)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((1, 1, 8, 9), np.float32)}, "must have shape [1, 1, 8, 8]"),
        ({"image": np.zeros((1, 1, 8, 8), np.float64)}, "must be float32, got float64"),
        ({"picture": np.zeros((1, 1, 8, 8), np.float32)}, "input 'image' is missing"),
    ],
)
@pytest.mark.parametrize("command", ["run", "cosim"])
def test_wrong_input(fails, tmp_path, digits, arrays, message, command):
    np.savez(tmp_path / "in.npz", **arrays)
    error = fails(command, digits, "--input", tmp_path / "in.npz", "-o", tmp_path / "out.npz")
    assert message in error


def test_wrong_numbers_of_samples(fails, digits, digits_inputs):
    assert "at least 1" in fails("run", digits, "--samples", 0)
    assert "at least 1" in fails("cosim", digits, "--rtl-samples", 0)
    error = fails("run", digits, "--input", digits_inputs, "--samples", 1000)
    assert "1000 samples asked for, 360 there" in error


@pytest.mark.parametrize("command", ["compile", "run", "cosim"])
def test_output_in_a_missing_folder(fails, tmp_path, digits, command):
    error = fails(command, digits, "-o", tmp_path / "missing" / "file")
    assert "does not exist; create it" in error


def test_output_that_is_a_folder(fails, tmp_path, digits):
    assert "is a folder" in fails("compile", digits, "-o", tmp_path)


@pytest.mark.parametrize("command", ["quantize", "compile", "explain", "run", "cosim", "bench"])
def test_output_over_the_model(fails, make_model, command):
    path = make_model(quantized=command != "quantize")
    before = path.read_bytes()
    assert "small.onnx: is an input as well; choose another" in fails(command, path, "-o", path)
    assert path.read_bytes() == before


def test_output_over_inputs_and_other_outputs(fails, tmp_path, program, digits, digits_inputs):
    assert "is an input as well" in fails("disasm", program, "-o", program)
    assert "is an input as well" in fails("asm", program, "-o", program)
    assert "is an input as well" in fails("sweep", digits, "--rows", 4, "--csv", digits)
    for option in ("--config", "--space", "--energy", "--sram"):
        words = (option, "x.toml", "--csv", "x.toml")
        assert "is an input as well" in fails("sweep", digits, *words)
    words = ("--target", "ecp5-25k", "--min-fps", 1, "--space", "x.toml", "--json", "x.toml")
    assert "is an input as well" in fails("recommend", digits, *words)
    words = ("--input", digits_inputs, "-o", digits_inputs)
    assert "is an input as well" in fails("run", program, *words)
    target = tmp_path / "target"
    assert "is another output" in fails("compile", digits, "-o", target, "--report", target)
    assert "is another output" in fails("bench", "-o", target, "--json", target)


def test_generate_into_a_file(fails, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file" in fails("generate", "--preset", "nano", "-o", tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MATRICKS\nEND\n", "s.s:1: "),
        ("LOAD target=NOWHERE\nEND\n", "s.s:1: "),
        ("END\nLOAD colour=3\n", "s.s:"),
        ("LOAD after nobody\nEND\n", "s.s:1: "),
    ],
)
def test_bad_assembly(fails, tmp_path, text, message):
    (tmp_path / "s.s").write_text(text)
    error = fails("asm", tmp_path / "s.s", "--preset", "nano", "-o", tmp_path / "o.tw")
    assert message in error


def test_assembly_that_is_no_text(fails, tmp_path):
    (tmp_path / "s.s").write_bytes(b"\xff\xfe\x00")
    assert "not a text file" in fails("asm", tmp_path / "s.s", "-o", tmp_path / "o.tw")


def test_inputs_for_a_program_without_a_model(fails, tmp_path, tilewright):
    (tmp_path / "s.s").write_text("END\n")
    tilewright("asm", tmp_path / "s.s", "--preset", "nano", "-o", tmp_path / "o.tw")
    np.savez(tmp_path / "in.npz", x=np.zeros(3))
    error = fails("run", tmp_path / "o.tw", "--input", tmp_path / "in.npz")
    assert "the model has no input 'x'; it needs no inputs" in error


def test_faults_on_the_simulator(fails, tmp_path, tilewright):
    (tmp_path / "s.s").write_text(".memory 8192\n.word " + "ff" * 64 + "\nEND\n")
    tilewright("asm", tmp_path / "s.s", "--preset", "nano", "-o", tmp_path / "o.tw")
    error = fails("run", tmp_path / "o.tw")
    assert "fault ILLEGAL_INSTRUCTION at instruction 0" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rows", "4:"], "--rows: values are a list"),
        (["--rows", "4", "--cols", "x"], "--cols: values are a list"),
        (["--rows", "4,"], "--rows: values are a list"),
        (["--set-range", "lanes"], "--set-range: FIELD=VALUES, each field once, got 'lanes'"),
        (["--rows", "4", "--set-range", "rows=8"], "each field once, got 'rows=8'"),
        (["--set-range", "colour=1"], "a sweep has no field 'colour'"),
        (["--rows", "4", "--weights", "1,2"], "--weights: 1 numbers above 0, got '1,2'"),
        (["--rows", "4", "--latency", "0"], "--latency: at least 1 cycle, got 0"),
        (["--space", "none.toml"], "no such file; give a TOML file"),
        (["--rows", "4", "--plot", "plot.xyz"], "suffix of a plot"),
        (["--rows", "4", "--csv", "missing/x.csv"], "does not exist"),
    ],
)
def test_bad_sweeps(fails, digits, words, message):
    assert message in fails("sweep", digits, *words)


def test_sweep_into_a_folder_with_another_store(fails, digits, tmp_path):
    (tmp_path / "sweep.sqlite").write_text("something else, long enough for a database " * 10)
    error = fails("sweep", digits, "--rows", 4, "-o", tmp_path)
    assert "no store of sweeps" in error


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["compile"],
        ["compile", "x.onnx", "--preset", "giant"],
        ["run", "x.tw", "--on", "paper"],
        ["demo", "--images", "0"],
        ["generate", "--nonsense"],
        ["run", "x.tw", "--seed", "-1"],
        ["quantize", "x.onnx", "-o", "y.onnx", "--seed", "-1"],
        ["sweep", "x.onnx", "--rows", "4", "--seed", "-1"],
        ["sweep", "--rows", "4"],
    ],
)
def test_usage_errors_are_status_two(tilewright, words):
    result = tilewright(*words)
    assert result.status == 2
    assert result.err.startswith("Usage: tilewright ")
