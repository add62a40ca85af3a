import pytest

from tilewright.sim.cosim.parameters import DramParameters, Mismatch
from tilewright.support.errors import InputError


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("latency_cycles", 0, "1 to 100000, got 0"),
        ("beats_per_cycle", 0.0, r"above 0 and at most 1, got 0\.0"),
        ("beats_per_cycle", 1.5, r"above 0 and at most 1, got 1\.5"),
        ("max_outstanding", 0, "1 to 1024, got 0"),
        ("stall_probability", 1.0, r"0 to 0\.95, got 1\.0"),
        ("seed", -1, r"0 to 2\^31-1, got -1"),
    ],
)
def test_rejects_impossible_fields(field, value, rule):
    with pytest.raises(InputError, match=f"DRAM parameter {field} must be {rule}"):
        DramParameters(**{field: value})


def test_mismatch_reads_as_a_sentence():
    mismatch = Mismatch(
        engine="matrix", count=3, cycle=99, sram="accumulator", word=7, byte=2, expected=1, actual=0
    )
    assert str(mismatch) == (
        "accumulator word 7 byte 2 is 0, expected 1, at retirement 3 of matrix (cycle 99)"
    )
