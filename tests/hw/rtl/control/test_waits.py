"""What the wait slots of a queue tell apart, against what programs have under way."""

import pytest

from tilewright.hw.rtl.control.decoder import engines
from tilewright.hw.rtl.control.waits import max_under_way
from tilewright.hw.spec.assembly import assemble
from tilewright.hw.spec.config import PRESETS
from tilewright.hw.spec.isa import Engine
from tilewright.sim.timing import simulate

CONFIGS = {
    "nano": PRESETS["nano"],
    "base": PRESETS["base"],
    "deep": PRESETS["edge"].replace(queue_depth=32, axi_outstanding=64),
    "systolic": PRESETS["base"].replace(rows=128, cols=128, tile_rows=1, tile_cols=1, lanes=16),
}
SHORT = {Engine.LOAD: "target=PARAMETER run=1 count0=1 count1=1 count2=1",
         Engine.STORE: "run=1 count0=1 count1=1 count2=1"}  # fmt: skip
LONG = "run=128 count0=64 count1=1 count2=1"


@pytest.mark.parametrize("name", CONFIGS)
def test_no_engine_has_more_under_way_than_the_slots_number(name):
    config = CONFIGS[name]
    for engine in engines(config):
        first = LONG if engine in SHORT else ""
        for others in ("", SHORT.get(engine, "")):
            lines = [f"{engine.name} {first}", *[f"{engine.name} {others}"] * 300, "END", ""]
            result = simulate(assemble("\n".join(lines), config))
            most = max(
                number + 1 - sum(cycle < sent for cycle in result.retired[:301])
                for number, sent in enumerate(result.dispatched[:301])
            )
            assert most <= max_under_way(config), engine
