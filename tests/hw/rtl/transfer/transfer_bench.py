"""What the benches of the load and the store engine share: configs, instructions, bursts."""

from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import instruction

BASE = 0x7_4321_F000
"""Bus address of DRAM byte 0."""
LIMIT_CYCLES = 40_000
"""No test takes as many."""


def make_config(rows, bus_bits, **changes):
    """Return a config with few words and the given pitch of activation words."""
    settings = {
        "rows": rows, "cols": rows, "lanes": 1, "operand_lanes": 1, "accumulator_kib": 64,
        "activation_kib": 1 + rows // 4, "activation_banks": 4, "weight_kib": 1 + rows // 4,
        "parameter_kib": 1, "axi_data_bits": bus_bits, "axi_address_bits": 40,
    }  # fmt: skip
    return Config(**(settings | changes))


def runs_of(transfer, pitch):
    """Return [(DRAM address, first SRAM word)] of a LOAD or STORE, in order; pitch in bytes."""
    dram = {
        name: getattr(transfer, name) & -pitch
        for name in transfer.values()
        if name.startswith("dram")
    }
    return [
        (
            (dram["dram_address"] + i2 * dram["dram_stride2"] + i1 * dram["dram_stride1"]
             + i0 * dram["dram_stride0"]) % 2**32,
            (transfer.sram_address + i2 * transfer.sram_stride2 + i1 * transfer.sram_stride1
             + i0 * transfer.sram_stride0) % 2**20,
        )
        for i2 in range(transfer.count2)
        for i1 in range(transfer.count1)
        for i0 in range(transfer.count0)
        if transfer.run
    ]  # fmt: skip


def bursts_of(axi, dram, size, config):
    """Return the bursts of one run of bytes; one that passes DRAM byte 2^32 goes on at byte 0."""
    inside = min(size, 2**32 - dram)
    bursts = axi.split_bursts(BASE + dram, inside, config.axi_bytes)
    if size > inside:
        bursts += axi.split_bursts(BASE, size - inside, config.axi_bytes)
    return bursts


def random_run(rng, words, pitch):
    """Return the words of a run, some none, at most all that there are and 4500 bytes."""
    run = rng.choice((0, 1, 1, 2, 3, rng.randrange(4, 30), rng.randrange(30, 300)))
    return min(run, words, 4500 // pitch)


def random_counts(rng, run):
    """Return three counts, some zero, with about a hundred words in all."""
    counts = [rng.choice((0, 1, 1, 1, 2, 3)) for _ in range(3)]
    while run * counts[0] * counts[1] * counts[2] > max(run, 100):
        counts[counts.index(max(counts))] = 1
    return counts


def random_transfer(rng, opcode, pitch, *, counts, strides, **fields):
    """Return a LOAD or STORE with DRAM addresses from anywhere, some close to 2^32."""
    fields["dram_address"] = rng.choice((rng.randrange(2**32), 2**32 - pitch * rng.randrange(1, 9),
                                         pitch * rng.randrange(64)))  # fmt: skip
    for axis in range(3):
        near = pitch * rng.randrange(-40, 40)
        fields[f"count{axis}"] = counts[axis]
        fields[f"sram_stride{axis}"] = strides[axis]
        fields[f"dram_stride{axis}"] = rng.choice((near, rng.randrange(2**32))) % 2**32
    return instruction(opcode, **fields)


def contiguous(opcode, run, *, dram_address=0, **fields):
    """Return a LOAD or STORE of one run."""
    ones = {f"count{axis}": 1 for axis in range(3)}
    return instruction(opcode, run=run, dram_address=dram_address, **ones, **fields)
