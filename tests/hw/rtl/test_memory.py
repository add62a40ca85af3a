"""Banked memories: grants, data and masks against a plain model, with random requests."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.rtl.interfaces import accesses, is_refused
from tilewright.hw.rtl.memory import BankedMemory, BankShape, bank_verilog

SHAPES = [
    {"words": 48, "width": 24, "granularity": 8, "banks": 4, "num_readers": 4, "num_writers": 2},
    {"words": 35, "width": 16, "granularity": 16, "banks": 5, "num_readers": 2, "num_writers": 1},
    {"words": 32, "width": 8, "granularity": 8, "banks": 2, "num_readers": 1, "num_writers": 2},
    {"words": 17, "width": 12, "granularity": 4, "banks": 1, "num_readers": 2, "num_writers": 2},
    {"words": 64, "width": 8, "granularity": 8, "banks": 4, "num_readers": 5, "num_writers": 2,
     "repeating": (2, 3)},
    {"words": 36, "width": 8, "granularity": 8, "banks": 3, "num_readers": 2, "num_writers": 1,
     "repeating": (1,)},
    {"words": 36, "width": 16, "granularity": 16, "banks": 3, "num_readers": 3, "num_writers": 1,
     "repeating": (2,), "late": (0, 1)},
]  # fmt: skip


def winners(requests, bank_words):
    """The first request for each bank is granted; requests are (address or None) in port order."""
    taken, granted = set(), []
    for address in requests:
        bank = None if address is None else address // bank_words
        granted.append(bank is not None and bank not in taken)
        if bank is not None:
            taken.add(bank)
    return granted


def merge(old, new, mask, granularity):
    unit = (1 << granularity) - 1
    bits = sum(unit << (i * granularity) for i in range(mask.bit_length()) if mask >> i & 1)
    return old & ~bits | new & bits


def ask(ctx, readers, addresses, rng):
    """Ask for a word, or none, at every port; return the access that asks.

    It is one of the port's by chance; the other one, if there is one, has anything.
    """
    asked = []
    for port, address in zip(readers, addresses, strict=True):
        access, *others = map(int, rng.permutation(len(accesses(port))))
        for other in others:
            ctx.set(port.repeats, access)
            ctx.set(accesses(port)[other].request, rng.random() < 0.5)
            ctx.set(accesses(port)[other].address, int(rng.integers(16)))
        asked.append(accesses(port)[access])
        ctx.set(asked[-1].request, address is not None)
        ctx.set(asked[-1].address, int(rng.integers(16)) if address is None else address)
    return asked


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s['words']}x{s['width']}")
@pytest.mark.parametrize("seed", range(2))
def test_random_requests_equal_the_model(shape, seed):
    rng = np.random.default_rng(seed)
    dut = BankedMemory(**shape)
    words = [0] * shape["words"]
    bank_words = shape["words"] // shape["banks"]
    mask_limit = 1 << (shape["width"] // shape["granularity"])

    def requests(count):
        return [int(rng.integers(shape["words"])) if rng.random() < 0.7 else None
                for _ in range(count)]  # fmt: skip

    async def drive(ctx):
        late = shape.get("late", ())
        expected, expected_late = [[None] * shape["num_readers"] for _ in range(2)]
        for _ in range(400):
            writes = requests(shape["num_writers"])
            reads = requests(shape["num_readers"])
            written = []
            for port, address in zip(dut.writers, writes, strict=True):
                word, mask = (int(rng.integers(n)) for n in (1 << shape["width"], mask_limit))
                ctx.set(port.request, address is not None)
                ctx.set(port.address, address if address is not None else int(rng.integers(16)))
                ctx.set(port.data, word)
                ctx.set(port.mask, mask)
                written.append((word, mask))
            write_grants = winners(writes, bank_words)
            changing = {a for a, g in zip(writes, write_grants, strict=True) if g}
            reads = [None if address in changing else address for address in reads]
            asked = ask(ctx, dut.readers, reads, rng)
            read_grants = winners(reads, bank_words)
            assert [ctx.get(access.grant) for access in asked] == read_grants
            assert [ctx.get(is_refused(port)) for port in dut.readers] == [
                address is not None and not granted
                for address, granted in zip(reads, read_grants, strict=True)
            ]
            assert [ctx.get(p.grant) for p in dut.writers] == write_grants
            for number, port in enumerate(dut.readers):
                word = (expected_late if number in late else expected)[number]
                assert word is None or ctx.get(port.data) == word
            expected_late = expected
            expected = [words[a] if g else None for a, g in zip(reads, read_grants, strict=True)]
            for address, grant, new in zip(writes, write_grants, written, strict=True):
                if grant:
                    words[address] = merge(words[address], *new, shape["granularity"])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()


def test_bank_verilog_has_no_contents_and_a_mask_bit_a_unit():
    text = bank_verilog(BankShape(words=12, width=16, granularity=8))
    assert text.startswith("module tilewright_bank_12x16_8 (")
    assert "initial" not in text
    assert "(* no_rw_check *) reg [15:0] words [0:11];" in text
    assert "if (write_mask[1]) words[write_address][15:8] <= write_data[15:8];" in text
