"""AXI4-Lite from cocotb: reads and writes through the test bench's master, one callback each."""

import random
from typing import Any

from cocotb.triggers import SimTimeoutError, ValueChange, with_timeout

CYCLE_STEPS = 2
"""Simulator time steps of one clock cycle (see native/main.cpp)."""
MAX_CYCLES = 20_000
"""More than any register access takes."""


class ControlError(RuntimeError):
    """The accelerator answered a register access with an error, or not at all."""


class ControlBus:
    """Register accesses by byte offset.

    A write's or read's cost is one cocotb callback. With `random_delays` every channel's valid and
    ready is held back by 0 to 15 cycles.
    """

    def __init__(self, dut: Any, *, random_delays: random.Random | None = None) -> None:
        self._dut = dut
        self._delays = random_delays
        self._toggle = 0

    def forget(self) -> None:
        """Be as at the start: the bench's master is in reset."""
        self._toggle = 0
        self._dut.request_toggle.value = 0

    async def write(self, offset: int, value: int) -> int:
        """Write a register and return the cycle of the data handshake."""
        await self._access(offset, write=1, data=value)
        return int(self._dut.response_cycle.value)

    async def read(self, offset: int) -> int:
        """Return a register's 32 bits."""
        await self._access(offset, write=0, data=0)
        return int(self._dut.response_data.value)

    async def _access(self, offset: int, *, write: int, data: int) -> None:
        self._toggle ^= 1
        self._dut.request_write.value = write
        self._dut.request_address.value = offset
        self._dut.request_data.value = data
        self._dut.request_delays.value = self._delays.randrange(1 << 12) if self._delays else 0
        self._dut.request_toggle.value = self._toggle
        kind = f"{'write' if write else 'read'} of register offset {offset:#05x}"
        try:
            change = ValueChange(self._dut.response_toggle)
            await with_timeout(change, MAX_CYCLES * CYCLE_STEPS, "step")
        except SimTimeoutError:
            raise ControlError(f"{kind} got no answer in {MAX_CYCLES} cycles") from None
        code = int(self._dut.response_code.value)
        if code != 0:
            raise ControlError(f"{kind} got response {code}")
