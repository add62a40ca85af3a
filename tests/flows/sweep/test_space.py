"""The configs of a space: what is asked, what grows with the array, what is said of it."""

import pytest

from tilewright.flows.commands.options import GivenConfig
from tilewright.flows.sweep.space import Space, load_space, settings_of
from tilewright.hw.spec.config import PRESETS
from tilewright.support.errors import InputError

MEMORIES = ("activation", "weight", "accumulator", "parameter")


def only(space):
    (candidate,) = space.candidates()
    return candidate


def configs(space):
    return [candidate.config for candidate in space.candidates()]


def test_points_are_all_pairs_or_squares():
    pairs = configs(Space(ranges={"rows": (4, 8), "cols": (8, 16)}))
    assert [(c.rows, c.cols) for c in pairs] == [(4, 8), (4, 16), (8, 8), (8, 16)]
    assert [(c.rows, c.cols) for c in configs(Space(ranges={"rows": (4, 8)}))] == [(4, 4), (8, 8)]
    assert only(Space(ranges={"rows": (4,)}, asked={"cols": 12})).config.cols == 12


def test_every_base_meets_every_value_of_every_field():
    space = Space(
        bases=(PRESETS["edge"], PRESETS["base"]),
        ranges={"lanes": (2, 4), "axi_data_bits": (64, 256)},
    )
    found = [(c.name, c.rows, c.lanes, c.axi_data_bits) for c in configs(space)]
    assert len(found) == space.num_points == 8
    assert found[0] == ("edge-lanes2-axi_data_bits64", 8, 2, 64)
    assert found[-1] == ("base-lanes4-axi_data_bits256", 16, 4, 256)


def test_memories_keep_their_words_and_lanes_and_bus_their_ratio():
    base = PRESETS["base"]
    config = only(Space(ranges={"rows": (32,)})).config
    for memory in MEMORIES:
        assert getattr(config, f"{memory}_words") == getattr(base, f"{memory}_words")
    assert (config.lanes, config.operand_lanes, config.axi_data_bits) == (32, 8, 256)
    small = only(Space(ranges={"rows": (8,), "cols": (4,)})).config
    assert (small.activation_kib, small.accumulator_kib, small.axi_data_bits) == (128, 32, 64)


def test_the_size_of_the_base_gives_the_base():
    for name, base in PRESETS.items():
        config = only(Space(bases=(base,), ranges={"rows": (base.rows,)})).config
        assert config.digest == base.digest, name


@pytest.mark.parametrize(
    ("rows", "cols", "lanes", "operand_lanes"),
    [(16, 16, 16, 4), (12, 20, 4, 4), (8, 16, 8, 4), (3, 5, 1, 1), (32, 32, 16, 4), (6, 6, 6, 3)],
)
def test_without_scale_only_lanes_that_do_not_fit_change(rows, cols, lanes, operand_lanes):
    config = only(Space(ranges={"rows": (rows,), "cols": (cols,)}, scale=False)).config
    assert (config.lanes, config.operand_lanes) == (lanes, operand_lanes)
    assert (config.activation_kib, config.axi_data_bits) == (256, 128)


def test_what_is_asked_does_not_grow():
    space = Space(ranges={"rows": (32,), "weight_kib": (100,)}, asked={"axi_data_bits": 64})
    config = only(space).config
    assert (config.weight_kib, config.axi_data_bits, config.activation_kib) == (100, 64, 512)


def test_a_candidate_says_what_changed_besides():
    changed = only(Space(ranges={"rows": (16,), "cols": (8,)}))
    assert changed.config.depthwise_taps == 0
    assert "depthwise_taps 3 -> 0" in changed.changes
    assert "lanes 16 -> 8" in changed.changes
    assert "rows" not in changed.changes
    assert changed.is_without_depthwise
    same = only(Space(ranges={"queue_depth": (4,)}))
    assert same.changes == ""
    assert not same.is_without_depthwise
    asked = only(Space(ranges={"rows": (16,), "cols": (8,)}, asked={"depthwise_taps": 0}))
    assert not asked.is_without_depthwise


def test_a_config_that_breaks_a_rule_is_an_error_of_that_candidate():
    good, bad = Space(ranges={"rows": (16, 256)}).candidates()
    assert good.config is not None
    assert bad.error == "rows must be 1 to 128, got 256"
    assert (
        "depthwise_taps must be"
        in only(Space(ranges={"rows": (8,), "cols": (4,), "depthwise_taps": (3,)})).error
    )


def test_unknown_fields_are_refused():
    with pytest.raises(InputError, match=r"no field 'colour'; the fields are acc.*, activation"):
        Space(ranges={"colour": (1,)})


def test_options_give_the_config_again():
    space = Space(bases=tuple(PRESETS.values()), ranges={"rows": (3, 8, 20), "cols": (8, 12)})
    for config in configs(space):
        _, preset, *settings = settings_of(config).split()
        given = GivenConfig(preset=preset, settings=tuple(settings[1:]))
        assert given.resolve().digest == config.digest
    assert settings_of(PRESETS["edge"]) == "--preset edge"


def test_a_space_from_a_file(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        'bases = ["nano", "edge"]\nscale = false\n[set]\nqueue_depth = 4\n'
        '[ranges]\nrows = "4:8"\nlanes = [1, 2]\n'
    )
    assert load_space(path) == Space(
        bases=(PRESETS["nano"], PRESETS["edge"]),
        asked={"queue_depth": 4},
        ranges={"rows": (4, 8), "lanes": (1, 2)},
        scale=False,
    )
    path.write_text("colour = 1\n")
    with pytest.raises(InputError, match="unknown 'colour'; a space has bases, set, ranges, scale"):
        load_space(path)
    path.write_text("[")
    with pytest.raises(InputError, match="not valid TOML"):
        load_space(path)
