"""What a dispatched instruction still awaits: a few bits a slot in place of its counts.

Dispatch compares the counts, once for all queues. A wait that is unmet then awaits one of the
instructions that are under way, so that the low bits of its number tell it from the others.
"""

from amaranth.hdl import Array, Cat, Value, unsigned
from amaranth.lib import data

from tilewright.hw.rtl.control.decoder import ENGINE_BITS
from tilewright.hw.spec import isa
from tilewright.hw.spec.config import Config
from tilewright.hw.spec.cycles import MATRIX_SETUP_CYCLES, matrix_pipeline

STAGES = 10
"""Instructions that the stages of an engine hold, bursts and the array's pixels aside."""
PATH_STAGES = 2
"""More of them with path_registers."""


def max_under_way(config: Config) -> int:
    """Instructions sent to an engine and not retired: more than its queue and pipeline hold."""
    array = matrix_pipeline(config) // MATRIX_SETUP_CYCLES
    stages = STAGES + PATH_STAGES * config.path_registers
    return config.queue_depth + config.axi_outstanding + array + stages


def awaited_layout(config: Config) -> data.ArrayLayout:
    """The wait slots of an instruction.

    pending: the awaited instruction of that engine has not retired
    number: its number among the engine's, from 0, the low bits
    """
    number = unsigned(max_under_way(config).bit_length())
    slot = data.StructLayout({"pending": 1, "engine": unsigned(ENGINE_BITS), "number": number})
    return data.ArrayLayout(slot, isa.NUM_WAITS)


def pending_bits(waits: data.View) -> Value:
    """Which of the slots are pending, a bit each."""
    return Cat(wait.pending for wait in waits)


def still_pending(waits: data.View, retired: data.View, retiring: Value) -> Value:
    """Return which slots are pending in the next cycle, a bit each.

    retired: counts of each engine's retirements; retiring: a bit an engine, it retires now.
    """
    counts, pulses = Array(retired), Array(retiring)
    return Cat(
        wait.pending
        & ~(pulses[wait.engine] & (counts[wait.engine][: len(wait.number)] == wait.number))
        for wait in waits
    )
