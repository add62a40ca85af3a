"""Records compare and hash as frozen dataclasses do."""

import dataclasses
import pickle
from dataclasses import dataclass, field

import pytest

from tilewright.support.records import record, replace


@record(frozen=True, kw_only=True)
class Quick:
    number: int
    names: tuple[str, ...] = ()


@record(frozen=True, kw_only=True, eq=False)
class Distinct:
    number: int


@record(frozen=True, kw_only=True)
class Quicker(Quick):
    size: float = field(default=0.5, repr=False, compare=False)


@record(frozen=True, kw_only=True)
class Alone:
    number: int


@record(frozen=True, kw_only=True, slots=True)
class Compiled:
    """Native code, too, keeps fields without a dictionary."""

    number: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Slow:
    number: int
    names: tuple[str, ...] = ()


def test_equal_records_are_one_key():
    assert {Quick(number=1, names=("a",)), Quick(number=1, names=("a",))} == {
        dataclasses.replace(Quick(number=2, names=("a",)), number=1)
    }
    assert hash(Quick(number=1)) == hash(Slow(number=1))


def test_records_without_equality_are_keys_of_their_own():
    assert len({Distinct(number=1), Distinct(number=1)}) == 2


def test_fields_have_names():
    with pytest.raises(TypeError):
        Quick(1)


def test_a_record_reads_as_a_dataclass_does():
    assert repr(Quick(number=1, names=("a",))).replace("Quick", "Slow") == repr(
        Slow(number=1, names=("a",))
    )
    assert repr(Quicker(number=1)) == "Quicker(number=1, names=())"


def test_records_of_other_classes_differ():
    assert Quick(number=1) != Quicker(number=1)
    assert Alone(number=1) != Slow(number=1)
    assert Alone(number=1) == Alone(number=1) != Alone(number=2)


def test_only_what_is_compared_decides():
    assert Quicker(number=1, size=1.0) == Quicker(number=1, size=2.0)
    assert hash(Quicker(number=1, size=1.0)) == hash(Quicker(number=1, size=2.0))


def test_records_survive_pickling():
    assert pickle.loads(pickle.dumps(Quicker(number=3))) == Quicker(number=3)


def test_replace_changes_what_is_named():
    assert replace(Quick(number=1, names=("a",)), number=2) == Quick(number=2, names=("a",))
    with pytest.raises(AssertionError, match="no such fields"):
        replace(Quick(number=1), size=2)


def test_records_without_a_dictionary_are_replaced():
    given = Compiled(number=1, names=("a",))
    assert replace(given, number=2) == Compiled(number=2, names=("a",))
    assert given.number == 1
