"""FPGAs by name, and what they have."""

from collections.abc import Sequence

from tilewright.flows.tables import read_table
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.loops import Space, num_words, word_bytes
from tilewright.support.errors import InputError
from tilewright.support.records import record

ECP5 = "ecp5"
"""The target of a synthesis for any of them; a device's name is one, too."""


@record(frozen=True, kw_only=True)
class Device:
    """What an FPGA has; `clock_mhz` is assumed, no matter what is placed on it."""

    name: str
    package: str
    lut4: float
    """Of which a design can take so many."""
    flip_flops: int
    mult18: int
    is_small: bool
    """Products of narrow factors are made of logic, and logic of single LUTs: fewer, but slower."""
    block_ram: int
    block_ram_bits: int
    """Of one."""
    clock_mhz: float
    pins: Sequence[str] = ()
    """Where nextpnr puts the ports clk and si. With them its placer `static` spreads the cells,
    which on a large device leaves room to route; without, `heap` looks more at time."""

    @property
    def size(self) -> str:
        """What place and route calls it."""
        return self.name.removeprefix(f"{ECP5}-")

    def may_hold(self, config: Config) -> bool:
        """Whether the array's multipliers and the bits of the SRAMs are not already too many."""
        bits = self.block_ram * self.block_ram_bits
        return config.rows * config.cols <= self.mult18 and sram_bits(config) <= bits


def devices() -> dict[str, Device]:
    """Return the FPGAs that are known, by name."""
    names = ("source", "block_ram_bits", "clock_mhz", "usable_luts", "devices")
    table = read_table(None, "devices.toml", names)
    of_all = {name: table[name] for name in ("block_ram_bits", "clock_mhz")}
    return {
        name: Device(name=name, **of_all | has | {"lut4": has["lut4"] * table["usable_luts"]})
        for name, has in table["devices"].items()
    }


def device_of_size(size: str) -> Device:
    """Return the FPGA that place and route calls so. Raises InputError."""
    found = {device.size: device for device in devices().values()}
    if size not in found:
        raise InputError(f"no FPGA {size!r} to place on; there are {', '.join(found)}")
    return found[size]


def is_fpga(target: str) -> bool:
    """Whether the target of a synthesis is an FPGA; else it is a library."""
    return target == ECP5 or target in devices()


def sram_bits(config: Config) -> int:
    """Return the bits of all SRAM banks."""
    spaces = (space for space in Space if space != Space.DRAM)
    return sum(8 * word_bytes(space, config) * num_words(space, config) for space in spaces)
