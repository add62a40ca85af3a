"""Runs ZigZag's cost model on layers; in an environment that has `zigzag-dse` (and `six`).

python zig_zag.py '{"config": {...}, "layers": {"name": [...]}}'

Of a layer: batch, out channels, in channels, height, width, kernel height, kernel width.
The array, its memories and the bandwidth are the config's (fields as `tilewright` names them).
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
    operands: list[str],
    *,
    bits: int,
    bandwidth: int,
    least: int,
    cost: float,
    is_register: bool = False,
) -> dict[str, Any]:
    """Return a memory of a read and a write port; bandwidth, least: bits a cycle of each."""
    maps = [operand for operand in operands if operand != "O"]
    sums = SUMS if "O" in operands else {"read": [], "write": []}
    ports = [
        {
            "name": f"{kind[0]}_port_1",
            "type": kind,
            "bandwidth_min": least,
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


def hardware(config: dict[str, Any]) -> dict[str, Any]:
    """Return a weight-stationary array with the config's SRAMs and DRAM bandwidth."""
    rows, cols, bus = config["rows"], config["cols"], config["axi_data_bits"]
    read = config["activation_banks"] * rows * 8

    def sram(operands: list[str], size: str, bandwidth: int) -> dict[str, Any]:
        bits, least = config[size] * 8 * 1024, min(bandwidth, bus)
        return memory(operands, bits=bits, bandwidth=bandwidth, least=least, cost=10)

    return {
        "name": "array",
        "memories": {
            "weight_register": memory(
                ["I2"], bits=8, bandwidth=8, least=8, cost=0.01, is_register=True
            ),
            "weight_sram": sram(["I2"], "weight_kib", rows * 8),
            "accumulators": sram(["O"], "accumulator_kib", cols * 32),
            "activation_sram": sram(["I1", "O"], "activation_kib", read),
            "dram": memory(["I1", "I2", "O"], bits=1 << 35, bandwidth=bus, least=bus, cost=700),
        },
        "operational_array": {
            "unit_energy": 0.04,
            "unit_area": 1,
            "dimensions": ARRAY,
            "sizes": [cols, rows],
            "systolic_dimensions": ARRAY,
        },
    }


def mapping(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what lies along the array: out channels along its columns, in channels its rows."""
    spatial = {"D1": [f"K, {config['cols']}"], "D2": [f"C, {config['rows']}"]}
    links = {"O": "O", "W": "I2", "I": "I1"}
    return [{"name": "default", "spatial_mapping": spatial, "memory_operand_links": links}]


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


def cycles(sizes: list[int], config: dict[str, Any]) -> int:
    """Return the cycles of a layer."""
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        given = {"layer": [layer(sizes)], "hw": hardware(config), "mapping": mapping(config)}
        for name, data in given.items():
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
    given = json.loads(sys.argv[1])
    found = {name: cycles(sizes, given["config"]) for name, sizes in given["layers"].items()}
    print(json.dumps({"version": version("zigzag-dse"), "cycles": found}))


if __name__ == "__main__":
    main()
