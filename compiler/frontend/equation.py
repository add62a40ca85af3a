"""The equation of an Einsum of two operands."""

import math
from collections.abc import Sequence

from tilewright.compiler.frontend.values import UnsupportedError
from tilewright.support.records import record

ELLIPSIS = "..."
FIRST_OF_ELLIPSIS = 0x100
"""Characters that no equation has stand for the axes of an ellipsis."""


@record(frozen=True, kw_only=True)
class Equation:
    """The axes, a character each, of the activation, of the constant and of the result."""

    left: str
    right: str
    result: str
    sizes: dict[str, int]

    @property
    def batches(self) -> str:
        """The axes of both operands that the result has, too."""
        return "".join(axis for axis in self.left if axis in self.right and axis in self.result)

    @property
    def summed(self) -> str:
        """The axes of both operands that the result lacks."""
        return "".join(axis for axis in self.left if axis in self.right and axis not in self.result)

    @property
    def rows(self) -> str:
        """The axes of the activation alone."""
        return "".join(axis for axis in self.left if axis not in self.right)

    @property
    def columns(self) -> str:
        """The axes of the constant alone."""
        return "".join(axis for axis in self.right if axis not in self.left)

    @property
    def is_product(self) -> bool:
        """Whether no axis occurs twice in an operand, or is summed over in one operand alone."""
        terms = self.left, self.right, self.result
        kept = self.batches + self.rows + self.columns
        is_single = all(len(set(term)) == len(term) for term in terms)
        return is_single and sorted(kept) == sorted(self.result)

    def shape(self, *groups: str) -> tuple[int, ...]:
        """The shape with the batches' axes first, then an axis for each group."""
        counts = (math.prod(self.sizes[axis] for axis in group) for group in groups)
        return (*(self.sizes[axis] for axis in self.batches), *counts)


def operands_of(equation: str) -> tuple[str, str, str]:
    """The axes of both operands and of the result, as they are written or implied.

    Raises:
        UnsupportedError: it has not two operands.
    """
    operands, arrow, result = equation.replace(" ", "").partition("->")
    first, comma, second = operands.partition(",")
    if not comma or "," in second:
        raise UnsupportedError("it must be of two operands")
    if not arrow:
        letters = (first + second).replace(".", "")
        alone = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        result = ELLIPSIS * (ELLIPSIS in operands) + "".join(alone)
    return first, second, result


def equation_of(terms: tuple[str, str, str], shapes: Sequence[tuple[int, ...]]) -> Equation:
    """The equation with names for the axes of an ellipsis. Raises UnsupportedError: no product."""
    counts = [
        len(shape) - len(term.replace(".", ""))
        for term, shape in zip(terms[:2], shapes, strict=True)
    ]
    spread = [
        "".join(chr(FIRST_OF_ELLIPSIS + max(counts) - at) for at in range(count, 0, -1))
        for count in (*counts, max(counts))
    ]
    left, right, result = (
        term.replace(ELLIPSIS, axes) for term, axes in zip(terms, spread, strict=True)
    )
    sizes: dict[str, int] = {}
    for term, shape in zip((left, right), shapes, strict=True):
        if len(term) != len(shape) or any(
            sizes.setdefault(axis, size) != size for axis, size in zip(term, shape, strict=True)
        ):
            raise UnsupportedError("its equation does not fit its operands without broadcasting")
    equation = Equation(left=left, right=right, result=result, sizes=sizes)
    if not equation.is_product:
        raise UnsupportedError("its equation is no matrix product")
    return equation
