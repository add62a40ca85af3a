"""Counts of a program, and the energy that a table makes of them."""

from dataclasses import replace

import pytest

from tilewright.flows.models import compile_file
from tilewright.flows.report.report import layer_reports
from tilewright.flows.sweep.energy import Counts, count, joules, load_table
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError

NANO = PRESETS["nano"]
TOML = """source = "x"
multiply_accumulate_pj = 1
vector_result_pj = 1
sram_byte_pj = 1
sram_bank_kib = {kib}
dram_byte_pj = {pj}
"""


def test_energy_is_what_the_table_says_of_each_count():
    table = load_table(None)
    zero = replace(table, multiply_accumulate_pj=0, vector_result_pj=0, sram_byte_pj=0,
                   dram_byte_pj=0)  # fmt: skip
    counts = Counts(macs=1000, vector_results=10, dram_bytes=100, weight_bytes=64,
                    activation_bytes=32)  # fmt: skip
    assert joules(counts, NANO, zero) == 0
    assert joules(counts, NANO, replace(zero, multiply_accumulate_pj=0.5)) == pytest.approx(5e-10)
    assert joules(counts, NANO, replace(zero, dram_byte_pj=3)) == pytest.approx(3e-10)
    assert joules(counts, NANO, replace(zero, vector_result_pj=4)) == pytest.approx(4e-11)
    # nano has one bank of 8 KiB for weights, four of 8 KiB for activations: the table's size
    sram = replace(zero, sram_byte_pj=2, sram_bank_kib=8)
    assert joules(counts, NANO, sram) == pytest.approx(2e-12 * 96)
    larger = NANO.replace(weight_kib=32)
    assert joules(counts, larger, sram) == pytest.approx(2e-12 * (32 + 2 * 64))


def test_counts_of_a_program_are_those_of_its_layers(digits):
    small, large = (compile_file(digits, PRESETS[name]).program for name in ("nano", "base"))
    found, less = count(small, 84224), count(large, 84224)
    layers = layer_reports(small)
    assert found.macs == 84224
    assert found.dram_bytes == sum(layer.load_bytes + layer.store_bytes for layer in layers)
    # a word of activations is read once for all columns, and base has four times as many
    assert 2 < found.activation_bytes / less.activation_bytes < 6
    assert found.vector_results > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not valid TOML"),
        ("source = 'x'", "a table like flows/data/energy.toml has exactly dram_byte_pj, multiply"),
        (TOML.format(pj="nan", kib=8), "dram_byte_pj must be a number of picojoules, got nan"),
        (TOML.format(pj="-1", kib=8), "dram_byte_pj must be a number of picojoules, got -1"),
        (TOML.format(pj="1", kib=0), "sram_bank_kib must be more than 0 KiB, got 0"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_table(path)
    with pytest.raises(InputError, match="no such file"):
        load_table(tmp_path / "none.toml")
