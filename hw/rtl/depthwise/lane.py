"""One channel of the depthwise unit: a product a kernel column, and the sums they shift through."""

from amaranth.hdl import Const, Module, Mux, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.depthwise.layouts import KERNEL_ROW_BITS, column_shape
from tilewright.hw.rtl.product import Addends, recode
from tilewright.hw.rtl.signals import loaded, register
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config

LARGEST_PRODUCT = 128 * 128
HALF_BITS = 4
"""Bits of half a weight."""


def sum_bits(columns: int) -> int:
    """Bits of a sum over some kernel columns: 17, 18 and 19 for 1, 2 and 3 of them."""
    return 1 + (DEPTHWISE_KERNEL_ROWS * columns * LARGEST_PRODUCT).bit_length()


class Lane(wiring.Component):
    """Multiplies an activation with the weights of one kernel row, then adds to the sums.

    With path_registers the weights of the row are chosen in the cycle before they multiply, and a
    product is the sum of two registers, the activation times either half of the weight. Where the
    config recodes, the factors are registered in place of the product.

    The sum of column k continues, in a new position's first row, the sum that column k - 1 had
    in the position before; column 0 starts at 0. Whatever the sums held before a row of outputs,
    the sum of the last column is complete from position kernel_width - 1 on.

    Members
    -------
    activation : In(signed(8)); weights : In(8 bits a weight, by kernel row, then column)
    kernel_row : In, whose weights; choose : In(1), register them (with path_registers)
    multiply : In(1), register the products; combine : In(1), with path_registers a stage later
    first_row : In(1), the products are those of a position's first row; add : In(1)
    last_column : In; sum : Out, the sum of that column
    """

    def __init__(self, *, config: Config):
        self._taps = config.depthwise_taps
        self._has_path_registers = config.path_registers
        self._recodes = config.recodes
        super().__init__(
            {
                "activation": In(signed(8)),
                "weights": In(8 * DEPTHWISE_KERNEL_ROWS * self._taps),
                "kernel_row": In(unsigned(KERNEL_ROW_BITS)),
                "choose": In(1),
                "multiply": In(1),
                "combine": In(1),
                "first_row": In(1),
                "add": In(1),
                "last_column": In(column_shape(config)),
                "sum": Out(signed(sum_bits(self._taps))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        columns = range(self._taps)
        sums = [register(signed(sum_bits(k + 1)), f"sum_{k}") for k in columns]
        befores = [
            Mux(self.first_row, sums[k - 1] if k else 0, total) for k, total in enumerate(sums)
        ]
        afters = list((self._add_digits if self._recodes else self._add_products)(m, befores))
        with m.If(self.add):
            m.d.sync += [total.eq(after) for total, after in zip(sums, afters, strict=True)]
        m.d.comb += self.sum.eq(_select(self.last_column, sums))
        return m

    def _add_digits(self, m, befores):
        """The sums after each product, of a weight and an activation's digits, all in registers."""
        weights = {f"weight_{k}": self._weight(m, k).as_signed() for k in range(self._taps)}
        with m.If(self.multiply):
            digits, *weights = loaded(m, digits=recode(self.activation.as_unsigned()), **weights)
        for column, (before, weight) in enumerate(zip(befores, weights, strict=True)):
            addends = Addends(m, f"addends_{column}", sum_bits(column + 1))
            addends.multiply(weight, digits)
            yield addends.total(before, Const(-addends.excess))

    def _add_products(self, m, befores):
        """The sums after each product, which stands in a register."""
        for column, before in enumerate(befores):
            product = register(signed(16), f"product_{column}")
            self._multiply(m, column, product)
            yield before + product

    def _multiply(self, m, column, product):
        """The product of a kernel column, at once or of two halves."""
        weight = self._weight(m, column)
        if not self._has_path_registers:
            with m.If(self.multiply):
                m.d.sync += product.eq(self.activation * weight.as_signed())
            return
        low = register(signed(8 + HALF_BITS), f"low_{column}")
        high = register(signed(8 + HALF_BITS), f"high_{column}")
        with m.If(self.multiply):
            m.d.sync += [
                low.eq(self.activation * weight[:HALF_BITS]),
                high.eq(self.activation * weight[HALF_BITS:].as_signed()),
            ]
        with m.If(self.combine):
            m.d.sync += product.eq(low + (high << HALF_BITS))

    def _weight(self, m, column):
        """The weight of a kernel column, from the row's number or from a register."""
        numbers = range(column, len(self.weights) // 8, self._taps)
        weight = _select(self.kernel_row, [self.weights.word_select(i, 8) for i in numbers])
        if not self._has_path_registers:
            return weight
        chosen = register(8, f"weight_{column}")
        with m.If(self.choose):
            m.d.sync += chosen.eq(weight)
        return chosen


def _select(number, values):
    """The value of that number, as an expression: nothing to compute where it is not used."""
    selected = values[0]
    for place, value in enumerate(values[1:], 1):
        selected = Mux(number == place, value, selected)
    return selected
