"""Energies from an ERT as Accelergy writes it."""

import sys

import pytest

from tilewright.flows.sweep.energy import load_table
from tilewright.support.errors import InputError, ToolError

ERT = """ERT:
  version: '0.4'
  tables:
  - name: chip.pe[0..15].multiply_accumulate[0..15]
    actions:
    - {name: mac_gated, arguments: null, energy: 0.1}
    - {name: mac_random, arguments: null, energy: 0.25}
  - name: chip.vector_result
    actions:
    - {name: compute, arguments: null, energy: 4e-1}
    - {name: leak, arguments: null, energy: 0}
  - name: chip.noc
    actions:
    - {name: transfer, arguments: null, energy: 7}
  - name: chip.sram_64b_16kib[0..3]
    actions:
    - {name: read, arguments: {data_delta: 0, address_delta: 0}, energy: 1}
    - {name: read, arguments: {data_delta: 1, address_delta: 1}, energy: 12}
    - {name: read, arguments: {data_delta: 1, address_delta: 0}, energy: 8}
    - {name: write, arguments: {data_delta: 1, address_delta: 1}, energy: 20}
  - name: dram_32b
    actions:
    - {name: read, arguments: null, energy: 500}
    - {name: write, arguments: null, energy: 700}
"""


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_an_ert_is_a_table_of_energies(tmp_path, suffix):
    path = tmp_path / f"ERT.{suffix}"
    path.write_text(ERT)
    table = load_table(path)
    assert table.source == f"ERT.{suffix}, ERT 0.4 of Accelergy"
    assert table.multiply_accumulate_pj == 0.25
    assert table.vector_result_pj == 0.4
    assert table.sram_byte_pj == 2  # (12 + 20) / 2 for 8 bytes
    assert table.sram_bank_kib == 16
    assert table.dram_byte_pj == 150  # (500 + 700) / 2 for 4 bytes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ERT:", "ERT: [", "not valid YAML: while parsing"),
        ("ERT:", "ERT_summary:", "has ERT.tables, a list .* give its ERT.yaml, not the summary"),
        (ERT, "ERT: {tables: {dram_32b: {read: {energy: 1}}}}", "has ERT.tables, a list"),
        (ERT, "", "has ERT.tables, a list"),
        (
            "vector_result",
            "adder",
            "missing or more than one: vector_result; it has multiply_accumulate, adder, noc, sram",
        ),
        (
            "_64b_16kib",
            "",
            "missing or more than one: sram_<bits>b_<KiB>kib; it has .*, sram, dram_32b",
        ),
        ("chip.noc", "io.dram_64b", "missing or more than one: dram_<bits>b; it has"),
        ("dram_32b", "dram_0b", "missing or more than one: dram_<bits>b; it has"),
        ("name: mac_random", "name: idle", "multiply_accumulate must have the actions compute or"),
        (
            "name: write, arguments: null",
            "name: update, arguments: null",
            "dram_32b must have the actions read and write; it has read, update",
        ),
        (
            "energy: 700",
            "energy: -1",
            r"tables\[4\] \(dram_32b\): energy of write must be a number",
        ),
        ("energy: 700", "energy: .nan", "energy of write must be a number of picojoules, got nan"),
        ("energy: 700", "energy: much", "energy of write must be a number .* got 'much'"),
        ("energy: 700", "energy: true", "energy of write must be a number .* got True"),
        ("energy: 700", "cost: 700", r"ERT.tables\[4\] must have a name and actions of name and"),
    ],
)
def test_what_is_no_ert_is_refused(tmp_path, old, new, message):
    path = tmp_path / "ERT.yaml"
    assert old in ERT
    path.write_text(ERT.replace(old, new))
    with pytest.raises(InputError, match=message):
        load_table(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: no such file; give the ERT\.yaml"):
        load_table(tmp_path / "none.yaml")


def test_without_pyyaml_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ToolError, match=r"pip install 'tilewright\[sweep\]'"):
        load_table(tmp_path / "ERT.yaml")
