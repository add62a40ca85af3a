"""FPGAs by name, and what they have."""

from tilewright.flows.synthesis.synthesis import ECP5, sram_bits
from tilewright.flows.tables import read_table
from tilewright.hw.spec.config import Config
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Device:
    """What an FPGA has; `clock_mhz` is assumed, no matter what is placed on it."""

    name: str
    target: str
    """Of the synthesis."""
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

    @property
    def size(self) -> str:
        """What place and route calls it."""
        return self.name.removeprefix(f"{self.target}-")

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
        name: Device(
            name=name,
            target=ECP5,
            **of_all | has | {"lut4": has["lut4"] * table["usable_luts"]},
        )
        for name, has in table["devices"].items()
    }
