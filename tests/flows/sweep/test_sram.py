"""Areas of SRAM banks: a table's own, those in between, and larger ones."""

import pytest

from tilewright.flows.sweep.sram import SramTable, bank_area, load_sram_table, sram_area
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError

TABLE = SramTable(source="none", bits=(1000, 2000, 4000), nand2=(500, 800, 1200))


@pytest.mark.parametrize(
    ("bits", "area"),
    [(1000, 500), (2000, 800), (1500, 650), (3000, 1000), (4000, 1200), (8000, 2400), (500, 350)],
)
def test_banks_between_those_of_the_table_are_interpolated_and_larger_ones_made_of_the_largest(
    bits, area
):
    assert bank_area(bits, TABLE) == pytest.approx(area)


def test_the_table_that_comes_along_is_that_of_the_paper():
    sizes = (479.78 * 397.5, 683.1 * 416.54, 693.9 * 668.8, 1093.8 * 720.5)
    assert load_sram_table(None).nand2 == pytest.approx([s / 3.7536 for s in sizes], abs=1)


def test_an_area_is_that_of_all_banks():
    # nano: four banks of 8 KiB and one; four of 4 KiB and one
    table = load_sram_table(None)
    assert sram_area(PRESETS["nano"], table) == pytest.approx(5 * 209954 + 5 * 123636)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bits = [1, 2]", "has exactly bits, nand2, source; got bits"),
        ("source = 'x'\nbits = [1, 2]\nnand2 = [1]", "nand2 must be a list of two or more"),
        (
            "source = 'x'\nbits = [2, 1]\nnand2 = [1, 2]",
            "bits must be a list of two or more",
        ),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_sram_table(path)
