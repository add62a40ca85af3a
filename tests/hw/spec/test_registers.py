"""The register map: no two registers share an offset, names follow the engines and buckets."""

from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.registers import BY_NAME, MAGIC, REGISTERS, Bucket, Fault


def test_offsets_are_aligned_unique_and_within_the_port() -> None:
    offsets = [register.offset for register in REGISTERS]
    assert len(set(offsets)) == len(offsets) == len(BY_NAME)
    assert all(offset % 4 == 0 and 0 <= offset < 0x1000 for offset in offsets)


def test_every_engine_has_every_bucket_and_a_retirement_counter() -> None:
    for engine in Engine:
        names = [f"{engine.name.lower()}_{bucket.name.lower()}" for bucket in Bucket]
        assert all(name in BY_NAME for name in names)
        assert BY_NAME[f"{engine.name.lower()}_retired"].offset == 0x23C + 0x40 * engine


def test_waiting_buckets_follow_the_engine_numbers() -> None:
    for engine in Engine:
        assert Bucket[f"WAIT_{engine.name}"] == 1 + engine


def test_published_values() -> None:
    assert MAGIC.to_bytes(4, "big") == b"TLWR"
    assert (BY_NAME["control"].offset, BY_NAME["status"].offset) == (0x40, 0x44)
    assert [fault.value for fault in Fault] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert {register.access for register in REGISTERS} == {"ro", "rw", "wo"}
