"""Runs SCALE-Sim on layers; in an environment that has `scalesim` (which needs numpy < 2.2).

python scale_sim.py '{"config": {...}, "layers": {"name": [...]}}'

Of a layer: batch, out channels, in channels, height, width, kernel height, kernel width.
The array, its memories and the bandwidth are the config's (fields as `tilewright` names them).
Prints {"version": ..., "cycles": {name: cycles}} as JSON; the array is weight stationary.
"""

import contextlib
import csv
import io
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scalesim.scale_sim import scalesim

CONFIG = """
[general]
run_name = run
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {cols}
IfmapSramSzkB: {activation_kib}
FilterSramSzkB: {weight_kib}
OfmapSramSzkB: {accumulator_kib}
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: {beat}
Dataflow: ws
MemoryBanks: 1
ReadRequestBuffer: 64
WriteRequestBuffer: 64
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 16
IfmapSRAMBankNum: 8
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 16
FilterSRAMBankNum: 8
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40
[run_presets]
InterfaceBandwidth: USER
UseRamulatorTrace: False
"""
"""An array, SRAMs (KiB) and a bandwidth (bytes a cycle, of each operand)."""


def cycles(sizes: list[int], config: dict[str, Any]) -> int:
    """Return the cycles of a layer, those before the first product left out."""
    _, out_channels, channels, height, width, kernel, _ = sizes
    is_product = kernel == 1
    if is_product:
        header, row = "Layer, M, N, K,", [height * width, out_channels, channels]
    else:
        header = (
            "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
            "Num Filter, Strides,"
        )
        source = [height + kernel - 1, width + kernel - 1]
        row = [*source, kernel, kernel, channels, out_channels, 1]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "config").write_text(CONFIG.format(beat=config["axi_data_bits"] // 8, **config))
        for name in ("layer.csv", "layout.csv"):
            (place / name).write_text(f"{header}\nlayer, {', '.join(map(str, row))},\n")
        noise = io.StringIO()
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            scalesim(
                save_disk_space=True,
                verbose=False,
                config=str(place / "config"),
                topology=str(place / "layer.csv"),
                layout=str(place / "layout.csv"),
                input_type_gemm=is_product,
            ).run_scale(top_path=folder)
        with (place / "run" / "COMPUTE_REPORT.csv").open() as file:
            (found,) = csv.DictReader(file, skipinitialspace=True)
    return round(float(found["Total Cycles"]))


def main() -> None:
    given = json.loads(sys.argv[1])
    found = {name: cycles(sizes, given["config"]) for name, sizes in given["layers"].items()}
    print(json.dumps({"version": version("scalesim"), "cycles": found}))


if __name__ == "__main__":
    main()
