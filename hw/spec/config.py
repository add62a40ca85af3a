"""The accelerator's configuration: fields, rules, presets, derived sizes, TOML and hash."""

import dataclasses
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tilewright.support.errors import ConfigError
from tilewright.support.files import missing

SRAM_ADDRESS_BITS = 20
"""SRAM address arithmetic is modulo 2^20; no SRAM has more than 2^18 words."""
MAX_SRAM_WORDS = 1 << 18
DEPTHWISE_KERNEL_ROWS = 3
"""Weight rows that a DEPTHWISE instruction can have."""
PARAMETER_BYTES = 8
"""A channel's parameters: int32 bias, then binary32 scale."""


def next_power_of_two(value: int) -> int:
    """Return the smallest power of two >= value (value >= 1)."""
    return 1 << (value - 1).bit_length()


def largest_divisor(value: int, limit: int) -> int:
    """Return the largest divisor of `value` that is <= `limit`."""
    return max(d for d in range(1, min(value, limit) + 1) if value % d == 0)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One accelerator. Sizes in KiB are capacities; words derive from rows, cols and lanes.

    Raises ConfigError, naming the field, the rule and the value, when a rule is broken.
    """

    name: str = "custom"
    rows: int = 16
    """Reduction lanes of the array (input channels a cycle)."""
    cols: int = 16
    """Output channels of the array."""
    tile_rows: int = 0
    """Rows of one dot-product tile; divides rows; 0 picks the largest divisor up to 16."""
    tile_cols: int = 0
    """Columns of one dot-product tile; divides cols; 0 picks the largest divisor up to 16."""
    tree_register_levels: int = 2
    """Adder-tree levels between two pipeline registers."""
    path_registers: int = 0
    """1: registers on paths that are long on an FPGA, for a few cycles more (docs/silicon.md)."""
    wire_registers: int = 0
    """1, with path_registers: more of them where wires are long, as on a large FPGA."""
    activation_kib: int = 256
    activation_banks: int = 8
    weight_kib: int = 112
    accumulator_kib: int = 128
    accumulator_banks: int = 4
    parameter_kib: int = 16
    lanes: int = 16
    """Results a cycle of the vector unit's stage 1; divides gcd(rows, cols)."""
    operand_lanes: int = 4
    """Results a cycle of stage 2 (second operand); divides lanes."""
    multiplier_bits: int = 9
    """Bits that each multiplier in the vector lanes takes of a scale, or of a value that meets one.

    9 suits the multipliers of an FPGA; 2 is for gates: products are made of digits, those of the
    array and of the depthwise unit as well (docs/silicon.md).
    """
    depthwise_taps: int = -1
    """Horizontal taps of the depthwise unit: 0 (no unit), 1 or 3; -1 picks 3 where rows <= cols."""
    axi_data_bits: int = 128
    axi_address_bits: int = 32
    axi_outstanding: int = 16
    """Read bursts, and write bursts, that may be in flight."""
    fetch_ahead: int = 16
    """Instructions between fetch's request and dispatch: in its FIFO or under way from DRAM."""
    queue_depth: int = 1
    """Instructions that wait in front of each engine."""
    counters: int = 1
    """1: every engine counts its cycles by what it does; 0: those registers read 0."""

    def __post_init__(self) -> None:
        for tile, size in (("tile_rows", self.rows), ("tile_cols", self.cols)):
            if getattr(self, tile) == 0 and isinstance(size, int) and size >= 1:
                object.__setattr__(self, tile, largest_divisor(size, 16))
        if self.depthwise_taps == -1 and isinstance(self.rows, int) and isinstance(self.cols, int):
            object.__setattr__(self, "depthwise_taps", 3 if self.rows <= self.cols else 0)
        for field, rule, holds in _RULES:
            value = getattr(self, field)
            if field != "name" and (not isinstance(value, int) or isinstance(value, bool)):
                raise ConfigError(f"{field} must be an integer, got {value!r}")
            if not holds(self):
                raise ConfigError(f"{field} must be {rule}, got {value!r}")
        for memory in ("activation", "weight", "accumulator", "parameter"):
            words = getattr(self, f"{memory}_words")
            if not 16 <= words <= MAX_SRAM_WORDS:
                raise ConfigError(
                    f"{memory}_kib must give 16 to {MAX_SRAM_WORDS} words of "
                    f"{getattr(self, f'{memory}_word_bytes')} bytes, "
                    f"got {getattr(self, f'{memory}_kib')} KiB = {words} words"
                )

    @property
    def recodes(self) -> bool:
        """Whether products are made of digits of two bits, without a multiplier.

        Not with path_registers, which are for an FPGA's multipliers.
        """
        return self.multiplier_bits == 2 and not self.path_registers

    @property
    def activation_word_bytes(self) -> int:
        return self.rows

    @property
    def weight_word_bytes(self) -> int:
        return max(self.rows, self.cols)

    @property
    def accumulator_word_bytes(self) -> int:
        return 4 * self.cols

    @property
    def parameter_word_bytes(self) -> int:
        return PARAMETER_BYTES * self.lanes

    @cached_property
    def activation_words(self) -> int:
        return _words(self.activation_kib, self.activation_word_bytes, self.activation_banks)

    @cached_property
    def weight_words(self) -> int:
        return _words(self.weight_kib, self.weight_word_bytes, 1)

    @cached_property
    def accumulator_words(self) -> int:
        return _words(self.accumulator_kib, self.accumulator_word_bytes, self.accumulator_banks)

    @cached_property
    def parameter_words(self) -> int:
        return _words(self.parameter_kib, self.parameter_word_bytes, 1)

    @cached_property
    def activation_bank_words(self) -> int:
        return self.activation_words // self.activation_banks

    @cached_property
    def accumulator_bank_words(self) -> int:
        return self.accumulator_words // self.accumulator_banks

    @cached_property
    def activation_pitch(self) -> int:
        """Bytes between two activation words in DRAM."""
        return next_power_of_two(self.activation_word_bytes)

    @cached_property
    def weight_pitch(self) -> int:
        """Bytes between two weight words in DRAM."""
        return next_power_of_two(self.weight_word_bytes)

    @cached_property
    def parameter_pitch(self) -> int:
        """Bytes between two parameter words in DRAM."""
        return next_power_of_two(self.parameter_word_bytes)

    @cached_property
    def axi_bytes(self) -> int:
        return self.axi_data_bits // 8

    @cached_property
    def header_words(self) -> int:
        """Parameter words that a 32-byte parameter header takes."""
        return -(-32 // self.parameter_word_bytes)

    @cached_property
    def table_words(self) -> int:
        """Parameter words that a 256-byte table takes."""
        return -(-256 // self.parameter_word_bytes)

    @cached_property
    def depthwise_words(self) -> int:
        """Parameter words of one channel block's depthwise weights."""
        weight_bytes = DEPTHWISE_KERNEL_ROWS * self.depthwise_taps * self.rows
        return -(-weight_bytes // self.parameter_word_bytes)

    @cached_property
    def row_groups(self) -> int:
        """Lane groups in one activation word."""
        return self.rows // self.lanes

    @cached_property
    def col_groups(self) -> int:
        """Lane groups in one accumulator word."""
        return self.cols // self.lanes

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over every field but the name: equal hardware has an equal digest."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k != "name"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Configs are looked up in every cache; their fields are hashed once."""
        return hash(dataclasses.astuple(self))

    @property
    def digest_word(self) -> int:
        """The digest's first 64 bits: what the capability registers and programs carry."""
        return int(self.digest[:16], 16)

    def to_toml(self) -> str:
        """Return the config as TOML text that `from_toml` reads back to an equal config."""
        lines = [f"{k} = {json.dumps(v)}" for k, v in dataclasses.asdict(self).items()]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any], where: str = "config") -> "Config":
        """Build a config from field values; unknown names raise ConfigError."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise ConfigError(
                f"{where}: unknown field {unknown[0]!r}; the fields are {', '.join(sorted(known))}"
            )
        try:
            return cls(**mapping)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    @classmethod
    def from_toml(cls, text: str, where: str = "config") -> "Config":
        """Parse TOML text; `where` names the source in errors."""
        try:
            mapping = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{where}: not valid TOML: {error}") from None
        return cls.from_mapping(mapping, where)

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Config":
        """Return a preset by name, or the config in a TOML file. Raises ConfigError."""
        if str(name_or_path) in PRESETS:
            return PRESETS[str(name_or_path)]
        if not Path(name_or_path).is_file():
            raise ConfigError(
                f"{name_or_path} is neither a preset ({', '.join(PRESETS)}) nor a TOML file"
            )
        return cls.from_file(Path(name_or_path))

    @classmethod
    def from_file(cls, path: Path) -> "Config":
        """Return the config in a TOML file. Raises ConfigError."""
        if not path.is_file():
            raise ConfigError(missing(path, "a TOML file; `tilewright generate` writes one"))
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: not a TOML text file") from None
        return cls.from_toml(text, str(path))

    def replace(self, **changes: Any) -> "Config":
        """Return a copy with some fields changed.

        Where rows or cols change, tile sizes that are not given are picked anew, and a depthwise
        unit that is not asked for goes where it cannot be.
        """
        if "rows" in changes:
            changes.setdefault("tile_rows", 0)
        if "cols" in changes:
            changes.setdefault("tile_cols", 0)
        rows, cols = changes.get("rows", self.rows), changes.get("cols", self.cols)
        if isinstance(rows, int) and isinstance(cols, int) and rows > cols:
            changes.setdefault("depthwise_taps", 0)
        return dataclasses.replace(self, **changes)


def _words(kib: int, word_bytes: int, banks: int) -> int:
    return kib * 1024 // word_bytes // banks * banks


Rule = tuple[str, str, Callable[[Config], bool]]

_RULES: tuple[Rule, ...] = (
    ("name", "letters, digits, '-' or '_'", lambda c: isinstance(c.name, str)
        and re.fullmatch("[A-Za-z0-9_-]+", c.name) is not None),
    ("rows", "1 to 128", lambda c: 1 <= c.rows <= 128),
    ("cols", "1 to 128", lambda c: 1 <= c.cols <= 128),
    ("tile_rows", "a divisor of rows", lambda c: c.tile_rows >= 1 and c.rows % c.tile_rows == 0),
    ("tile_cols", "a divisor of cols", lambda c: c.tile_cols >= 1 and c.cols % c.tile_cols == 0),
    ("tree_register_levels", "1 to 8", lambda c: 1 <= c.tree_register_levels <= 8),
    ("path_registers", "0 or 1", lambda c: c.path_registers in (0, 1)),
    ("wire_registers", "0, or 1 with path_registers = 1", lambda c:
        c.wire_registers in (0, c.path_registers)),
    ("activation_kib", "1 to 16384", lambda c: 1 <= c.activation_kib <= 16384),
    ("activation_banks", "1, 2, 4, 8 or 16", lambda c: c.activation_banks in (1, 2, 4, 8, 16)),
    ("weight_kib", "1 to 16384", lambda c: 1 <= c.weight_kib <= 16384),
    ("accumulator_kib", "1 to 16384", lambda c: 1 <= c.accumulator_kib <= 16384),
    ("accumulator_banks", "2, 4, 8 or 16", lambda c: c.accumulator_banks in (2, 4, 8, 16)),
    ("parameter_kib", "1 to 1024", lambda c: 1 <= c.parameter_kib <= 1024),
    ("lanes", "a divisor of both rows and cols", lambda c: c.lanes >= 1
        and math.gcd(c.rows, c.cols) % c.lanes == 0),
    ("operand_lanes", "a divisor of lanes", lambda c: c.operand_lanes >= 1
        and c.lanes % c.operand_lanes == 0),
    ("multiplier_bits", "2 to 9", lambda c: 2 <= c.multiplier_bits <= 9),
    ("depthwise_taps", "0, 1 or 3, and 0 where rows > cols", lambda c:
        c.depthwise_taps in ((0, 1, 3) if c.rows <= c.cols else (0,))),
    ("axi_data_bits", "64, 128, 256 or 512", lambda c: c.axi_data_bits in (64, 128, 256, 512)),
    ("axi_address_bits", "32 to 64", lambda c: 32 <= c.axi_address_bits <= 64),
    ("axi_outstanding", "8, 16, 32 or 64", lambda c: c.axi_outstanding in (8, 16, 32, 64)),
    ("counters", "0 or 1", lambda c: c.counters in (0, 1)),
    ("fetch_ahead", "4 to 64", lambda c: 4 <= c.fetch_ahead <= 64),
    ("queue_depth", "1, 2, 4, 8, 16 or 32", lambda c: c.queue_depth in (1, 2, 4, 8, 16, 32)),
)  # fmt: skip

PRESETS: dict[str, Config] = {
    config.name: config
    for config in (
        Config(name="nano", rows=4, cols=4, activation_kib=32, activation_banks=4, weight_kib=8,
               accumulator_kib=16, accumulator_banks=4, parameter_kib=4, lanes=2, operand_lanes=1,
               depthwise_taps=1, axi_data_bits=64),
        Config(name="edge", rows=8, cols=8, activation_kib=128, activation_banks=8, weight_kib=64,
               accumulator_kib=64, accumulator_banks=4, parameter_kib=8, lanes=4, operand_lanes=2,
               axi_data_bits=128),
        Config(name="base"),
        Config(name="large", rows=32, cols=32, activation_kib=512, weight_kib=256,
               accumulator_kib=256, parameter_kib=32, lanes=32, operand_lanes=16,
               axi_data_bits=256),
        Config(name="xl", rows=64, cols=64, activation_kib=2048, weight_kib=1024,
               accumulator_kib=1024, parameter_kib=64, lanes=32, operand_lanes=16,
               axi_data_bits=512),
    )
}  # fmt: skip
