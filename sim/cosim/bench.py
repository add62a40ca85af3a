"""The cocotb test: configures the accelerator, starts it, waits for it, reads its registers.

It runs inside the simulator. Its parameters come from the JSON file that TILEWRIGHT_COSIM names,
its findings go to the JSON file that the parameters name (see runner.py).
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, SimTimeoutError, Timer, with_timeout

from tilewright.hw.spec import registers
from tilewright.sim.cosim.axi_lite import CYCLE_STEPS, ControlBus

PARAMETERS_VARIABLE = "TILEWRIGHT_COSIM"
CONTROL = registers.BY_NAME["control"].offset
RESET_CYCLES = 16
DRAIN_POLLS = 10_000
"""Status reads to wait, after the interrupt, for everything in flight to end."""


@cocotb.test()
async def run_program(dut: Any) -> None:
    """Run one program and write down what the accelerator says about it."""
    parameters = json.loads(Path(os.environ[PARAMETERS_VARIABLE]).read_text(encoding="utf-8"))
    findings: dict[str, Any] = {}
    seed = parameters["control_seed"]
    control = ControlBus(dut, random_delays=None if seed is None else random.Random(seed))
    await reset(dut, control)
    try:
        await identify(control, parameters["digest_word"])
        for run in parameters["aborted"]:
            await execute_and_abort(dut, control, run)
        findings |= await execute(dut, control, parameters)
        findings["registers"] = await read_registers(control)
    except RuntimeError as error:
        findings["error"] = str(error)
    findings["control_protocol_error"] = bool(int(dut.protocol_error.value))
    Path(parameters["findings"]).write_text(json.dumps(findings), encoding="utf-8")


async def reset(dut: Any, control: ControlBus) -> None:
    """Hold the reset of everything but the memory for some cycles."""
    dut.rst.value = 1
    control.forget()
    await Timer(RESET_CYCLES * CYCLE_STEPS, "step")
    dut.rst.value = 0


async def identify(control: ControlBus, digest_word: int | None) -> None:
    """Check that the design is an accelerator, of the right config where one is given."""
    magic = await control.read(registers.BY_NAME["magic"].offset)
    if magic != registers.MAGIC:
        raise RuntimeError(f"register magic reads {magic:#010x}, not {registers.MAGIC:#010x}")
    if digest_word is None:
        return
    low = await control.read(registers.BY_NAME["digest_low"].offset)
    high = await control.read(registers.BY_NAME["digest_high"].offset)
    if high << 32 | low != digest_word:
        raise RuntimeError(
            f"the Verilog is of the config with digest {high << 32 | low:016x}, "
            f"the program of {digest_word:016x}"
        )


async def execute(dut: Any, control: ControlBus, parameters: dict[str, Any]) -> dict[str, Any]:
    """Do the register writes, the last of which starts; wait for the interrupt or the timeout."""
    start_cycle = 0
    for offset, value in parameters["writes"]:
        start_cycle = await control.write(offset, value)
    timed_out = False
    if not int(dut.interrupt_line.value):
        try:
            steps = parameters["timeout_cycles"] * CYCLE_STEPS
            await with_timeout(RisingEdge(dut.interrupt_line), steps, "step")
        except SimTimeoutError:
            timed_out = True
    end_cycle = int(dut.cycle.value)
    if not timed_out:
        await drain(control)
    return {"start_cycle": start_cycle, "end_cycle": end_cycle, "timed_out": timed_out}


async def execute_and_abort(dut: Any, control: ControlBus, run: dict[str, Any]) -> None:
    """Do the register writes, abort after so many cycles, and leave an idle accelerator."""
    for offset, value in run["writes"]:
        await control.write(offset, value)
    await Timer(max(1, run["cycles"]) * CYCLE_STEPS, "step")
    await control.write(CONTROL, registers.CONTROL_ABORT)
    await drain(control)
    await control.write(CONTROL, registers.CONTROL_CLEAR)
    if run["reset"]:
        await reset(dut, control)


async def drain(control: ControlBus) -> None:
    """Wait until the accelerator is no longer busy: after a fault, issued bursts are finished."""
    for _ in range(DRAIN_POLLS):
        if not await control.read(registers.BY_NAME["status"].offset) & registers.STATUS_BUSY:
            return
    raise RuntimeError("the accelerator stays busy after its interrupt")


async def read_registers(control: ControlBus) -> dict[str, int]:
    """Return every readable register by name."""
    return {
        register.name: await control.read(register.offset)
        for register in registers.REGISTERS
        if register.access != "wo"
    }
