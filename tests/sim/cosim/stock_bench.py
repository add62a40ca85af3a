"""A cocotb test in the usual style, for comparison: Python clock, signals driven directly."""

import os
import time
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer

CYCLES = 50_000


@cocotb.test()
async def keep_busy(dut):
    """Start the stand-in with a memory that never answers, so that it stays busy."""
    cocotb.start_soon(Clock(dut.clk, 2, unit="step").start())
    for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
        getattr(dut, f"control_{name}").value = 0
    for name in ("awready", "wready", "arready", "bvalid", "rvalid"):
        getattr(dut, f"memory_{name}").value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    dut.control_awaddr.value = 0x40
    dut.control_wdata.value = 1
    dut.control_awvalid.value = dut.control_wvalid.value = 1
    await RisingEdge(dut.clk)
    dut.control_awvalid.value = dut.control_wvalid.value = 0
    start = time.process_time()
    await Timer(2 * CYCLES, "step")
    seconds = time.process_time() - start
    Path(os.environ["STOCK_RESULT"]).write_text(str(CYCLES / seconds))
