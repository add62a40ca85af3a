"""Dataclasses that are made by the thousand."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen, eq=True, **options):
        """As `dataclass`, but only type checkers see to `frozen`: it makes each three times slower.

        Equal ones have equal hashes, as those of a frozen dataclass do.
        """
        assert frozen, "what may change is a dataclass"
        return dataclass(eq=eq, unsafe_hash=eq, **options)


__all__ = ["record"]
