"""Records compare and hash as frozen dataclasses do."""

from dataclasses import dataclass, replace

import pytest

from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class Quick:
    number: int
    names: tuple[str, ...] = ()


@record(frozen=True, kw_only=True, eq=False)
class Distinct:
    number: int


@dataclass(frozen=True, kw_only=True)
class Slow:
    number: int
    names: tuple[str, ...] = ()


def test_equal_records_are_one_key():
    assert {Quick(number=1, names=("a",)), Quick(number=1, names=("a",))} == {
        replace(Quick(number=2, names=("a",)), number=1)
    }
    assert hash(Quick(number=1)) == hash(Slow(number=1))


def test_records_without_equality_are_keys_of_their_own():
    assert len({Distinct(number=1), Distinct(number=1)}) == 2


def test_fields_have_names():
    with pytest.raises(TypeError):
        Quick(1)
