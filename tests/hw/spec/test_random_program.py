"""Random programs: deterministic, race free, within bounds, and rich enough to be worth running."""

from collections import Counter

import pytest

from tilewright.hw.spec.access import Access, accesses
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.hazard import overwrites_own_source
from tilewright.hw.spec.isa import Engine
from tilewright.hw.spec.loops import Space
from tilewright.hw.spec.program import Program
from tilewright.hw.spec.random_program import InjectedFault, random_program

CONFIGS = {
    "nano": Config.load("nano"),
    "base": Config.load("base"),
    "1x1": Config(rows=1, cols=1, lanes=1, operand_lanes=1, activation_kib=1, weight_kib=1,
                  accumulator_kib=1, parameter_kib=1),
    "12x20": Config(rows=12, cols=20, lanes=4, operand_lanes=2),
    "128x128": Config(rows=128, cols=128, lanes=128, operand_lanes=8, activation_kib=64,
                      weight_kib=128, accumulator_kib=64),
}  # fmt: skip


def ordered_pairs(program: Program) -> set[tuple[int, int]]:
    """Return (earlier, later) where the earlier surely retires before the later issues.

    Follows waits one by one: what a wait names has retired, and so has all that was retired when
    it issued, all its queue held before it, and what those knew.
    """
    known: dict[int, set[int]] = {}
    queues: dict[Engine, list[int]] = {engine: [] for engine in Engine}
    for index, i in enumerate(program.instructions):
        if i.engine is None:
            continue
        retired: set[int] = set(known[queues[i.engine][-1]]) if queues[i.engine] else set()
        for wait in i.waits:
            for earlier in queues[wait.engine][: wait.count]:
                retired |= known[earlier] | {earlier}
        known[index] = retired
        queues[i.engine].append(index)
    return {(earlier, later) for later, retired in known.items() for earlier in retired}


def words(group: tuple[Access, ...]) -> set[tuple[Space, int]]:
    """Return every SRAM word and DRAM byte."""
    return {(a.space, word) for a in group for word in a.addresses.tolist()}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CONFIGS)
def test_programs_are_race_free(name: str, seed: int) -> None:
    config = CONFIGS[name]
    program = random_program(config, seed, pool_words=60)
    ordered = ordered_pairs(program)
    reads, writes = [], []
    for later, i in enumerate(program.instructions):
        touched = accesses(i, config)
        assert not touched.out_of_range
        assert not overwrites_own_source(touched, i, config)
        reads.append(words(touched.reads))
        writes.append(words(touched.writes))
        for earlier in range(later):
            conflict = writes[earlier] & reads[later]
            if program.instructions[earlier].engine == i.engine:
                conflict = {c for c in conflict if c[0] != Space.ACCUMULATOR}
            else:
                conflict |= writes[earlier] & writes[later] | reads[earlier] & writes[later]
            assert not conflict or (earlier, later) in ordered, (earlier, later, conflict)


def test_same_seed_same_bytes_and_other_seed_other_bytes() -> None:
    config = CONFIGS["nano"]
    assert random_program(config, 1).to_bytes() == random_program(config, 1).to_bytes()
    assert random_program(config, 1).to_bytes() != random_program(config, 2).to_bytes()


def test_stores_leave_program_and_parameters_alone() -> None:
    for seed in range(10):
        program = random_program(CONFIGS["nano"], seed)
        code = range(program.program_address, program.program_address + 64 * len(
            program.instructions))  # fmt: skip
        for i in program.instructions:
            for write in accesses(i, program.config).writes:
                if write.space == Space.DRAM:
                    assert write.starts[0] >= code.stop or write.ends[-1] <= code.start
                    assert write.ends[-1] <= program.memory_bytes


def test_programs_reach_the_edges() -> None:
    """Over some seeds every flag, wait count, engine and kind of address occurs."""
    config, seen = CONFIGS["12x20"], Counter()
    for seed in range(25):
        for i in random_program(config, seed).instructions:
            seen[i.name] += 1
            seen["waits", len(i.waits)] += 1
            touched = accesses(i, config)
            seen["nothing"] += not touched.writes and i.engine is not None
            for name in ("combine", "use_table", "uniform", "negative_scales", "unrounded",
                         "reduction", "source_kind", "accumulate", "target"):  # fmt: skip
                if touched.writes and name in i.values():
                    seen[name, getattr(i, name)] += 1
            for access in touched.reads:
                if access.space == Space.WEIGHT:
                    seen["wrap"] += access.starts[0] == 0 and access.ends[-1] == config.weight_words
            if i.name == "VECTOR" and touched.writes:
                seen["offset groups"] += bool(i.source_group or i.destination_group)
            if i.name in ("LOAD", "STORE"):
                seen["backwards"] += any(
                    getattr(i, f"dram_stride{axis}") >= 2**31 for axis in range(3)
                )
    for key in (
        "LOAD", "STORE", "MATRIX", "VECTOR", "nothing", "wrap", "offset groups", "backwards",
        *(("waits", count) for count in range(4)), *(("combine", value) for value in range(3)),
        *(("target", value) for value in range(3)),
        *((name, value) for value in (0, 1)
          for name in ("use_table", "uniform", "negative_scales", "unrounded", "reduction",
                       "source_kind", "accumulate")),
    ):  # fmt: skip
        assert seen[key] >= 3, (key, seen[key])


@pytest.mark.parametrize("kind", InjectedFault)
def test_one_fault_in_the_middle(kind: InjectedFault) -> None:
    program = random_program(CONFIGS["nano"], 3, fault=kind)
    index = program.metadata["fault_instruction"]
    assert 0 <= index < program.num_instructions - 1
    assert program.metadata["fault"] == kind.value


def test_operations_limit_what_follows_the_initial_loads() -> None:
    program = random_program(CONFIGS["nano"], 3, operations=("STORE",))
    operations = [i.name for i in program.instructions]
    assert set(operations[6:-1]) == {"STORE"}
