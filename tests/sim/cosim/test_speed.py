"""Simulation speed against cocotb's stock build and against the bare model; `-m campaign -s`."""

import os
import subprocess
from pathlib import Path

import cocotb_tools.config
import pytest
import standin

from tilewright.sim.cosim import runner
from tilewright.sim.cosim.runtime_library import DEFINES
from tilewright.sim.cosim.verilator import find_compiler, find_make, find_verilator, make_variables

DOT_PRODUCTS = 16


def stock_cycles_per_second(folder):
    """Build the stand-in as cocotb's own runner does, run it, return cycles per CPU second."""
    verilator = find_verilator()
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    libraries = cocotb_tools.config.libs_dir
    verilog = standin.write_verilog(folder, work=DOT_PRODUCTS)
    flags = ["-cc", "--exe", "-Mdir", ".", "--top-module", "tilewright", "--vpi", "-Wno-fatal"]
    flags += ["--public-flat-rw", "--prefix", "Vtop", "-o", "stock", str(main), str(verilog)]
    variables = make_variables(find_compiler()) | {
        "OPT_FAST": "-O2",
        "OPT_GLOBAL": "-O2",
        "USER_CPPFLAGS": DEFINES.replace("-DVL_TIME_CONTEXT", ""),
        "USER_LDLIBS": f"-L{libraries} -lcocotbvpi_verilator -Wl,-rpath,{libraries}",
    }
    make = [find_make(), "-j2", "-f", "Vtop.mk", *(f"{k}={v}" for k, v in variables.items())]
    for command in ([str(verilator.executable), *flags], make):
        subprocess.run(
            command, cwd=folder, env=verilator.environment, check=True, capture_output=True
        )
    environment = runner._environment(folder) | {
        "COCOTB_TOPLEVEL": "tilewright",
        "COCOTB_TEST_MODULES": "stock_bench",
        "STOCK_RESULT": str(folder / "speed"),
    }
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    subprocess.run(
        [str(folder / "stock")], cwd=folder, env=environment, check=True, capture_output=True
    )
    return float((folder / "speed").read_text())


@pytest.mark.campaign
def test_cocotb_costs_little_over_the_bare_model(tmp_path):
    stock = stock_cycles_per_second(tmp_path)
    model = standin.build_standin(tmp_path, work=DOT_PRODUCTS)
    image = standin.make_image(0, repeats=1000)
    ours, bare = 0.0, 0.0
    for _ in range(5):
        result = runner.run(model, image, program_address=0)
        ours = max(ours, result.cycles / result.cpu_seconds)
        bare = max(bare, runner.run_bare(model, image, program_address=0))
    print(f"\n256 MACs: stock {stock:,.0f} Hz, ours {ours:,.0f} Hz, bare {bare:,.0f} Hz")
    assert ours > 0.7 * bare
    assert ours > 2 * stock
