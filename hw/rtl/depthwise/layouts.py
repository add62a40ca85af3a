"""What travels inside the depthwise engine."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from tilewright.hw.rtl.signals import index_bits
from tilewright.hw.spec.config import DEPTHWISE_KERNEL_ROWS, Config
from tilewright.hw.spec.instruction_set import BY_NAME

DEPTHWISE = BY_NAME["DEPTHWISE"]
KERNEL_ROW_BITS = (DEPTHWISE_KERNEL_ROWS - 1).bit_length()


def column_shape(config: Config) -> Shape:
    """Shape of a kernel column's number."""
    return unsigned(index_bits(config.depthwise_taps))


def mark_layout(config: Config) -> data.StructLayout:
    """What follows an activation word through the pipeline."""
    return data.StructLayout(
        {
            "compute": 1,  # 0: nothing but the retirement of an empty instruction
            "swap": 1,  # first word of a block: its weights become the active ones
            "kernel_row": unsigned(KERNEL_ROW_BITS),
            "result": 1,  # a sum is complete, or the instruction is
            "write": 1,  # the sum goes to the accumulators
            "accumulate": 1,
            "retire": 1,
            "last_column": column_shape(config),
            "destination": unsigned(index_bits(config.accumulator_words)),
        }
    )


def word_layout(config: Config) -> data.StructLayout:
    """What the activation SRAM gives for a word, or the padding in its place."""
    return data.StructLayout(
        {
            "mark": mark_layout(config),
            "is_padding": 1,
            "padding": signed(8),
            "data": unsigned(8 * config.activation_word_bytes),
        }
    )


def access_layout(config: Config) -> data.StructLayout:
    """One activation word: where it is, or the padding in its place."""
    return data.StructLayout(
        {
            "mark": mark_layout(config),
            "read": 1,
            "address": unsigned(index_bits(config.activation_words)),
            "padding": signed(8),
        }
    )
