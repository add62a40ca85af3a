"""FPGAs by name, and what they have, as limits of a sweep's figures."""

from dataclasses import dataclass

from tilewright.flows.sweep.limits import Limit
from tilewright.flows.sweep.tables import read_table
from tilewright.flows.synthesis.synthesis import ECP5, sram_bits
from tilewright.hw.spec.config import Config


@dataclass(frozen=True, kw_only=True)
class Device:
    """What an FPGA has; `clock_mhz` is assumed, no matter what is placed on it."""

    name: str
    target: str
    """Of the synthesis."""
    lut4: float
    """Of which a design can take so many."""
    flip_flops: int
    mult18: int
    block_ram: int
    block_ram_bits: int
    """Of one."""
    clock_mhz: float

    @property
    def size(self) -> str:
        """What place and route calls it."""
        return self.name.removeprefix("ecp5-")

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What a design can take at most."""
        most = {"area": self.lut4, "flip_flops": self.flip_flops, "mult18": self.mult18,
                "block_ram": self.block_ram}  # fmt: skip
        return tuple(Limit(figure=name, bound=value, is_upper=True) for name, value in most.items())

    def may_hold(self, config: Config) -> bool:
        """Whether the array's multipliers and the bits of the SRAMs are not already too many."""
        bits = self.block_ram * self.block_ram_bits
        return config.rows * config.cols <= self.mult18 and sram_bits(config) <= bits


def devices() -> dict[str, Device]:
    """Return the FPGAs that are known."""
    names = ("source", "block_ram_bits", "clock_mhz", "usable_luts", "devices")
    table = read_table(None, "devices.toml", names)
    return {
        name: Device(
            name=name,
            target=ECP5,
            lut4=has["lut4"] * table["usable_luts"],
            flip_flops=has["flip_flops"],
            mult18=has["mult18"],
            block_ram=has["block_ram"],
            block_ram_bits=table["block_ram_bits"],
            clock_mhz=table["clock_mhz"],
        )
        for name, has in table["devices"].items()
    }
