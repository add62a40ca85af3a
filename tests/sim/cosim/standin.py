"""The stand-in accelerator (standin.v) at chosen bus widths, its programs and its model."""

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tilewright.sim.cosim.build import build
from tilewright.sim.cosim.probes import Probes, Sram

HANG, EARLY_WLAST, UNSTABLE_ADDRESS, WRAPPING = 1, 2, 3, 4
DIGEST = 0x0123456789ABCDEF
IMAGE_BYTES = 64 * 1024
SOURCE, DESTINATION = 4096, 32768
SOURCE_TEXT = Path(__file__).with_name("standin.v")


def write_verilog(folder, *, address_bits=32, data_bits=128, work=1):
    """Write the stand-in with these parameters and return its path."""
    text = SOURCE_TEXT.read_text()
    for name, default, value in (
        ("A", 32, address_bits),
        ("D", 128, data_bits),
        ("WORK", 1, work),
    ):
        text = text.replace(f"parameter {name} = {default}", f"parameter {name} = {value}")
    path = Path(folder) / f"standin_{address_bits}_{data_bits}_{work}.v"
    path.write_text(text)
    return path


def build_standin(
    folder, *, address_bits=32, data_bits=128, work=1, srams_public=False, trace=None
):
    """Build the stand-in with probes for its two kinds of retirement and its SRAM."""
    buffer = Sram(word_bytes=data_bits // 8, banks=("buffer",))
    return build(
        write_verilog(folder, address_bits=address_bits, data_bits=data_bits, work=work),
        config=SimpleNamespace(axi_address_bits=address_bits, axi_data_bits=data_bits),
        no_inline_modules=("standin_tile",),
        probes=Probes(
            retire={"load": "retire_load", "store": "retire_store"}, srams={"buffer": buffer}
        ),
        srams_public=srams_public,
        trace=trace,
    )


def make_image(seed, *, num_bursts=8, beats=16, repeats=1, misbehaviour=0, source=SOURCE, at=0):
    """Random bytes with the program at byte `at`."""
    image = np.random.default_rng(seed).integers(0, 256, IMAGE_BYTES, dtype=np.uint8)
    words = (source, DESTINATION, num_bursts, beats, repeats, misbehaviour, 0, 0)
    image[at : at + 64] = np.frombuffer(struct.pack("<8I", *words).ljust(64, b"\0"), np.uint8)
    return image


def copied(image, num_bytes, source=SOURCE):
    """What memory must hold after the program."""
    expected = image.copy()
    expected[DESTINATION : DESTINATION + num_bytes] = image[source : source + num_bytes]
    return expected
