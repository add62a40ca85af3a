"""What belongs to an array grows with it: memories keep their words, lanes and bus their ratio."""

import math
from collections.abc import Mapping

from tilewright.hw.spec.config import Config, largest_divisor

BUS_BITS = (64, 128, 256, 512)


def scaled_fields(base: Config, asked: Mapping[str, int], scale: bool = True) -> dict[str, int]:
    """Return the fields that a config of another array size has besides those asked for.

    base: whose memories have as many words, whose lanes and bus stand in the same ratio to the
        array's columns and longer side.
    asked: fields that stay as they are; rows and cols among them.
    scale: else memories and bus are the base's, and lanes its largest number that fits.
    """
    rows, cols = asked.get("rows", base.rows), asked.get("cols", base.cols)
    if min(rows, cols) < 1 or (rows, cols) == (base.rows, base.cols):
        return _fitting_lanes(base, asked, rows, cols, 1.0) if min(rows, cols) >= 1 else {}
    found = _fitting_lanes(base, asked, rows, cols, cols / base.cols if scale else 1.0)
    if scale:
        lanes = asked.get("lanes", found.get("lanes", base.lanes))
        words = {
            "activation_kib": rows / base.rows,
            "weight_kib": max(rows, cols) / base.weight_word_bytes,
            "accumulator_kib": cols / base.cols,
            "parameter_kib": lanes / base.lanes,
        }
        found |= {name: math.ceil(getattr(base, name) * ratio) for name, ratio in words.items()}
        found["axi_data_bits"] = _bus_bits(base, max(rows, cols))
    return {name: value for name, value in found.items() if name not in asked}


def _fitting_lanes(
    base: Config, asked: Mapping[str, int], rows: int, cols: int, ratio: float
) -> dict[str, int]:
    """The largest numbers of lanes up to the base's times the ratio that fit the array."""
    lanes = largest_divisor(math.gcd(rows, cols), max(1, math.floor(base.lanes * ratio)))
    lanes = max(1, asked.get("lanes", lanes))
    operand_lanes = largest_divisor(lanes, max(1, math.floor(base.operand_lanes * ratio)))
    fields = {"lanes": lanes, "operand_lanes": operand_lanes}
    return {name: value for name, value in fields.items() if name not in asked}


def _bus_bits(base: Config, side: int) -> int:
    wanted = base.axi_data_bits * side / max(base.rows, base.cols)
    return max((bits for bits in BUS_BITS if bits <= wanted), default=BUS_BITS[0])
