"""What travels inside the vector engine: slots, source tokens, output jobs."""

from amaranth.hdl import Mux, Shape, Value, signed, unsigned
from amaranth.lib import data, stream

from tilewright.hw.rtl.interfaces import INDEX_BITS, fields_layout
from tilewright.hw.rtl.signals import index_bits
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.instruction_set import BY_NAME
from tilewright.hw.spec.operations.vector import PARAMETER_HEADER

VECTOR = BY_NAME["VECTOR"]
NUM_SLOTS = 2
"""Instructions in flight: one that issues, one whose results are still in the pipeline."""


def header_layout() -> data.StructLayout:
    """The parameter header's fields, binary32 as its 32 bits."""
    shapes: dict[str, Shape] = {"b": signed(8), "f": unsigned(32)}
    return data.StructLayout({f.name: shapes[f.format] for f in PARAMETER_HEADER})


def slot_layout() -> data.StructLayout:
    """What the pipeline stages need to know of an instruction in flight."""
    return data.StructLayout(
        {
            "header": header_layout(),
            "index": unsigned(INDEX_BITS),
            "padding": signed(8),
            "reduction": isa_shape("reduction"),
            "combine": isa_shape("combine"),
            "use_table": unsigned(1),
            "negative_scales": unsigned(1),
            "unrounded": unsigned(1),
        }
    )


def slots_layout() -> data.ArrayLayout:
    """All slots."""
    return data.ArrayLayout(slot_layout(), NUM_SLOTS)


def isa_shape(name: str) -> Shape:
    """The shape of a VECTOR field of fixed width."""
    (field,) = (f for f in VECTOR.fields if f.name == name)
    assert isinstance(field.width, int)
    return unsigned(field.width)


def start_layout(config: Config) -> data.StructLayout:
    """An instruction that starts issuing, and its slot."""
    return data.StructLayout({"fields": fields_layout(VECTOR, config), "slot": unsigned(1)})


def mark_layout(config: Config) -> data.StructLayout:
    """What accompanies a source value to the reduction.

    first, last: of its window; fetch: first value of a group with parameters of its own, or the
    placeholder that takes the scales of negative sums, then parameter_address is their word
    (parameter_exists: it is in range; with path registers 0 without fetch); bank: the scale
    register of that word, alternating; slot: of its instruction.
    """
    return data.StructLayout(
        {
            "first": unsigned(1),
            "last": unsigned(1),
            "fetch": unsigned(1),
            "parameter_exists": unsigned(1),
            "parameter_address": unsigned(index_bits(config.parameter_words)),
            "bank": unsigned(1),
            "slot": unsigned(1),
        }
    )


def source_layout(config: Config) -> data.StructLayout:
    """One source read: `group` of the word at `address`; padding is taken unless `read`.

    out_of_range: the word does not exist (then it is not read either).
    """
    words = max(config.activation_words, config.accumulator_words)
    groups = max(config.row_groups, config.col_groups)
    return data.StructLayout(
        {
            "mark": mark_layout(config),
            "kind": isa_shape("source_kind"),
            "address": unsigned(index_bits(words)),
            "group": unsigned(index_bits(groups)),
            "read": unsigned(1),
            "out_of_range": unsigned(1),
        }
    )


def values_layout(config: Config) -> data.StructLayout:
    """The source values of all lanes with their mark.

    With path registers those of both memories and padding, of which `choose_values` chooses; with
    wire registers all but the mark comes a cycle behind it.
    """
    members = {"mark": mark_layout(config), "values": data.ArrayLayout(signed(32), config.lanes)}
    if config.path_registers:
        members |= {
            "activations": data.ArrayLayout(signed(8), config.lanes),
            "padding": signed(8),
            "is_sum": unsigned(1),
            "is_read": unsigned(1),
        }
    return data.StructLayout(members)


def choose_values(word: data.View) -> list[Value]:
    """Return the values that the lanes take of a values_layout: with path registers the sums, the
    activations or padding, where nothing was read."""
    if "is_read" not in word.shape().members:
        return list(word.values)
    return [
        Mux(word.is_read, Mux(word.is_sum, value, activation), word.padding)
        for value, activation in zip(word.values, word.activations, strict=True)
    ]


def results_layout(config: Config) -> data.StructLayout:
    """Stage 1's results of all lanes, the slot of their instruction, whether that combines.

    products: binary32, before rounding, of the last instruction that hands them to stage 2.
    """
    return data.StructLayout(
        {
            "values": data.ArrayLayout(signed(8), config.lanes),
            "products": data.ArrayLayout(unsigned(32), config.lanes),
            "slot": unsigned(1),
            "combines": unsigned(1),
        }
    )


def combined_signature(config: Config) -> stream.Signature:
    """Stage 2's results, operand_lanes a cycle.

    Always ready: an instruction's job is at the writer before any of its values gets there, since
    those of the one before it, which has to retire, come first.
    """
    return stream.Signature(data.ArrayLayout(signed(8), config.operand_lanes), always_ready=True)


def walk_layout(config: Config) -> data.StructLayout:
    """A walk over (group, row, pixel) of a buffer in activation SRAM; all counts positive."""
    activation = unsigned(isa.address_widths(config)["activation"])
    return data.StructLayout(
        {
            "base": activation,
            "stride": activation,
            "pitch": activation,
            "group": unsigned(index_bits(config.row_groups)),
            "groups": isa_shape("groups"),
            "out_height": isa_shape("out_height"),
            "out_width": isa_shape("out_width"),
        }
    )


def job_layout(config: Config) -> data.StructLayout:
    """An output job: the walk, its slot; combine: stage 2 is used; empty: nothing to write."""
    return data.StructLayout(
        {
            "walk": walk_layout(config),
            "slot": unsigned(1),
            "combine": unsigned(1),
            "empty": unsigned(1),
        }
    )


def parameter_layout(config: Config) -> data.ArrayLayout:
    """A parameter word: bias and scale of every lane."""
    return data.ArrayLayout(
        data.StructLayout({"bias": signed(32), "scale": unsigned(32)}), config.lanes
    )
