"""LOAD and STORE."""

from collections.abc import Hashable
from functools import lru_cache

import numpy as np

from tilewright.hw.spec import cycles
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.dram import MEMORY_LATENCY
from tilewright.hw.spec.isa import Engine, Instruction, Target, base, bits, count, operation
from tilewright.hw.spec.loops import DRAM_MODULUS, Loop, Space, Walk, Walks, addresses, word_pitch
from tilewright.support.records import record

_SPACES = {target: Space[target.name] for target in Target}
_DRAM_STEP = "DRAM step; a multiple of the word pitch"


@record(frozen=True, kw_only=True)
class Transfer(Instruction):
    """Runs of words between DRAM and an SRAM, in three strided dimensions (0 is the innermost)."""

    dram_address: int = base(
        32, "first word in DRAM, from the DRAM base; a multiple of the word pitch", unit="bytes"
    )
    sram_address: int = base("target", "first word in the SRAM", unit="words")
    run: int = count(16, "contiguous words of the innermost run", unit="words")
    count0: int = count(
        12, "repetitions along strided dimension 0 (0 is the innermost)", unit="runs"
    )
    dram_stride0: int = bits(32, _DRAM_STEP, unit="bytes")
    sram_stride0: int = bits("target", "SRAM step", unit="words")
    count1: int = count(
        12, "repetitions along strided dimension 1 (0 is the innermost)", unit="runs"
    )
    dram_stride1: int = bits(32, _DRAM_STEP, unit="bytes")
    sram_stride1: int = bits("target", "SRAM step", unit="words")
    count2: int = count(
        12, "repetitions along strided dimension 2 (0 is the innermost)", unit="runs"
    )
    dram_stride2: int = bits(32, _DRAM_STEP, unit="bytes")
    sram_stride2: int = bits("target", "SRAM step", unit="words")

    @property
    def space(self) -> Space:
        """The SRAM."""
        return Space.ACTIVATION

    @property
    def words(self) -> int:
        """Words that are moved."""
        return self.run * self.count0 * self.count1 * self.count2

    def pitch(self, config: Config) -> int:
        """Return the DRAM bytes between two words."""
        return word_pitch(self.space, config)

    def dram_walk(self, config: Config) -> Walk:
        """Return the walk over DRAM; a word counts with its whole pitch."""
        pitch = self.pitch(config)
        strides = (self.dram_stride2, self.dram_stride1, self.dram_stride0)
        return Walk(
            space=Space.DRAM,
            start=self.start("dram_address", alignment=pitch),
            loops=self._loops(tuple(_signed(stride & -pitch) for stride in strides)),
            run=self.run * pitch,
            is_exclusive=True,
        )

    def sram_walk(self) -> Walk:
        """Return the walk over the SRAM."""
        return Walk(
            space=self.space,
            start=self.start("sram_address"),
            loops=self._loops((self.sram_stride2, self.sram_stride1, self.sram_stride0)),
            run=self.run,
            is_ring=self.space == Space.WEIGHT,
            is_exclusive=True,
        )

    def _loops(self, strides: tuple[int, ...]) -> tuple[Loop, ...]:
        return _loops((self.count2, self.count1, self.count0), strides)

    def runs(self, config: Config) -> list[tuple[int, int]]:
        """Return DRAM byte and SRAM word of each run, counted from the first one."""
        if not self.run:
            return []
        walks = (self.dram_walk(config), self.sram_walk())
        far, near = (addresses(walk)[0].reshape(-1) - walk.base for walk in walks)
        return list(zip(far.tolist(), near.tolist(), strict=True))

    def data_cycles(self, config: Config) -> int:
        """Return the cycles the words occupy the data path for."""
        return self.words * cycles.word_cycles(self.pitch(config), config)

    def bursts(self, config: Config) -> int:
        """Return the bursts: the runs, cut at 4 KiB or at 256 beats where those are less."""
        limit, pitch = cycles.burst_limit(config), self.pitch(config)
        loops = tuple(
            (count, (stride & -pitch) % limit)
            for count, stride in (
                (self.count0, self.dram_stride0),
                (self.count1, self.dram_stride1),
                (self.count2, self.dram_stride2),
            )
            if count != 1
        )
        return _bursts((self.dram_address & -pitch) % limit, self.run * pitch, loops, limit)

    def cycles_key(self, burst_limit: int) -> Hashable:
        return self.shape, self.dram_address % burst_limit

    def _paced(self, config: Config, burst_cycles: int) -> int:
        """Return the engine's cycles; a burst's place is taken for that beside its data cycles."""
        data = self.data_cycles(config)
        occupied = data + self.bursts(config) * burst_cycles
        by_places = -(-occupied // config.axi_outstanding)
        return max(cycles.run_cycles(config), self._pace(config), by_places)

    def _pace(self, config: Config) -> int:
        """Return its data cycles, or those in which its runs can begin if these are more."""
        runs = self.count0 * self.count1 * self.count2
        return max(self.data_cycles(config), runs * cycles.run_cycles(config) if self.run else 0)

    def _lone(self, config: Config, burst_cycles: int) -> int:
        """As `_paced`, but the first axi_outstanding bursts find their places free."""
        data, bursts = self.data_cycles(config), self.bursts(config)
        if not bursts:
            return 0
        places = config.axi_outstanding
        rounds, place = divmod(bursts - 1, places)
        pace = self._pace(config)
        a_round = max(bursts * burst_cycles + data, places * pace)
        return max(data, -(-(rounds * a_round + place * pace + data) // bursts))


def _signed(stride: int) -> int:
    return stride - DRAM_MODULUS if stride >= DRAM_MODULUS // 2 else stride


@lru_cache(maxsize=1 << 12)
def _loops(counts: tuple[int, ...], strides: tuple[int, ...]) -> tuple[Loop, ...]:
    return tuple(
        Loop(count=count, stride=stride) for count, stride in zip(counts, strides, strict=True)
    )


@lru_cache(maxsize=1 << 14)
def _bursts(first: int, size: int, loops: tuple[tuple[int, int], ...], limit: int) -> int:
    """`first`: DRAM byte of the first run; `loops`: (count, stride); all modulo `limit`."""
    if not size:
        return 0
    if not loops:
        return -(-(first + size) // limit)
    starts = np.array([first], np.int64)
    for steps, stride in loops:
        starts = (starts[:, None] + np.arange(steps) * stride).reshape(-1) % limit
    return int((-(-(starts + size) // limit)).sum())


@record(frozen=True, kw_only=True)
class _Targeted(Instruction):
    """The field that a LOAD has in front of those of every transfer."""

    target: Target = bits(2, "SRAM that is written", values=Target)


@operation(0x10, Engine.LOAD, "copies words from DRAM to an SRAM")
class Load(Transfer, _Targeted):
    """DRAM to the SRAM that `target` names."""

    @property
    def space(self) -> Space:
        return _SPACES[self.target]

    def walks(self, config: Config) -> Walks:
        return Walks(reads=(self.dram_walk(config),), writes=(self.sram_walk(),))

    def cycles(self, config: Config, memory_latency: int = MEMORY_LATENCY) -> int:
        """Return the cycles it occupies its engine for, in a long sequence of such instructions.

        Data cycles, or what axi_outstanding bursts in flight allow if that is more. Exact where
        all bursts of the sequence have the same length.
        """
        return self._paced(config, cycles.load_burst_cycles(memory_latency))

    def latency(self, config: Config, memory_latency: int = MEMORY_LATENCY) -> int:
        lone = self._lone(config, cycles.load_burst_cycles(memory_latency))
        fixed = cycles.LOAD_PIPELINE_CYCLES + cycles.READ_ARBITER_CYCLES + memory_latency
        latency = fixed + lone if lone else cycles.EMPTY_LOAD_LATENCY
        return latency + cycles.transfer_retirement(config)


@operation(0x11, Engine.STORE, "copies words from activation SRAM to DRAM")
class Store(Transfer):
    """Activation SRAM to DRAM."""

    def walks(self, config: Config) -> Walks:
        return Walks(reads=(self.sram_walk(),), writes=(self.dram_walk(config),))

    def cycles(self, config: Config, memory_latency: int = MEMORY_LATENCY) -> int:
        """As `Load.cycles`; an SRAM port that is refused adds its cycles."""
        return self._paced(config, cycles.store_burst_cycles(memory_latency, config))

    def latency(self, config: Config, memory_latency: int = MEMORY_LATENCY) -> int:
        lone = self._lone(config, cycles.store_burst_cycles(memory_latency, config))
        fixed = cycles.store_pipeline_cycles(config) + memory_latency
        latency = fixed + lone if lone else cycles.EMPTY_STORE_LATENCY
        return latency + cycles.transfer_retirement(config)
