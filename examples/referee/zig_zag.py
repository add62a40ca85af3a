"""Runs ZigZag's cost model on layers; in an environment that has `zigzag-dse` (and `six`).

python zig_zag.py '{"name": [batch, out channels, in channels, height, width, kernel, kernel]}'

Prints {"version": ..., "cycles": {name: cycles}} as JSON; mappings are searched for latency.
"""

import contextlib
import io
import json
import logging
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from zigzag.api import get_hardware_performance_zigzag

DIMENSIONS = ("B", "K", "C", "OY", "OX", "FY", "FX")
ARRAY = ["D1", "D2"]
SUMS = {"read": ["O, tl", "O, th"], "write": ["O, fh", "O, fl"]}


def memory(
    operands: list[str], *, bits: int, bandwidth: int, cost: float, is_register: bool = False
) -> dict[str, Any]:
    """Return a memory of a read and a write port; bandwidth: bits a cycle of each of them."""
    maps = [operand for operand in operands if operand != "O"]
    sums = SUMS if "O" in operands else {"read": [], "write": []}
    ports = [
        {
            "name": f"{kind[0]}_port_1",
            "type": kind,
            "bandwidth_min": min(bandwidth, 128),
            "bandwidth_max": bandwidth,
            "allocation": [f"{operand}, {level}" for operand in maps] + sums[kind],
        }
        for kind, level in (("read", "tl"), ("write", "fh"))
    ]
    return {
        "size": bits,
        "r_cost": cost,
        "w_cost": cost,
        "area": 0,
        "latency": 1,
        "operands": operands,
        "ports": ports,
        "served_dimensions": [] if is_register else ARRAY,
    }


KIB = 8 * 1024
HARDWARE = {
    "name": "base_320",
    "memories": {
        "weight_register": memory(["I2"], bits=8, bandwidth=8, cost=0.01, is_register=True),
        "weight_sram": memory(["I2"], bits=72 * KIB, bandwidth=128, cost=10),
        "accumulators": memory(["O"], bits=128 * KIB, bandwidth=512, cost=10),
        "activation_sram": memory(["I1", "O"], bits=112 * KIB, bandwidth=1024, cost=10),
        "dram": memory(["I1", "I2", "O"], bits=1 << 35, bandwidth=128, cost=700),
    },
    "operational_array": {
        "unit_energy": 0.04,
        "unit_area": 1,
        "dimensions": ARRAY,
        "sizes": [16, 16],
        "systolic_dimensions": ARRAY,
    },
}
"""A weight-stationary 16x16 array with the SRAMs and the DRAM bandwidth of base-320."""
MAPPING = [
    {
        "name": "default",
        "spatial_mapping": {"D1": ["K, 16"], "D2": ["C, 16"]},
        "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
    }
]


def layer(sizes: list[int]) -> dict[str, Any]:
    """Return a layer of stride 1 in ZigZag's form."""
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Conv",
        "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
        "dimension_relations": ["ix=1*ox+1*fx", "iy=1*oy+1*fy"],
        "loop_dims": list(DIMENSIONS),
        "loop_sizes": sizes,
        "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
        "operand_source": {"I": 0, "W": 0},
    }


def cycles(sizes: list[int]) -> int:
    """Return the cycles of a layer."""
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for name, data in (("layer", [layer(sizes)]), ("hw", HARDWARE), ("mapping", MAPPING)):
            names[name] = Path(folder) / f"{name}.yaml"
            names[name].write_text(yaml.safe_dump(data, sort_keys=False))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            _, latency, _ = get_hardware_performance_zigzag(
                *(str(names[name]) for name in ("layer", "hw", "mapping")),
                opt="latency",
                dump_folder=f"{folder}/out",
                loma_show_progress_bar=False,
            )
    return round(latency)


def main() -> None:
    logging.disable(logging.WARNING)
    found = {name: cycles(sizes) for name, sizes in json.loads(sys.argv[1]).items()}
    print(json.dumps({"version": version("zigzag-dse"), "cycles": found}))


if __name__ == "__main__":
    main()
