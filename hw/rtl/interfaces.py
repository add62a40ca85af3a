"""The signatures that join the components: instructions, engines, SRAM ports, AXI."""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Mux, Shape, Signal, Value, ValueLike, signed, unsigned
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import In, Out, PureInterface, Signature

from tilewright.hw.spec import isa
from tilewright.hw.spec.config import SRAM_ADDRESS_BITS, Config
from tilewright.hw.spec.registers import MAX_INSTRUCTIONS

INDEX_BITS = MAX_INSTRUCTIONS.bit_length()
"""Bits of an instruction's index in its program."""
ID_BITS = 4
FETCH_ID, LOAD_ID, STORE_ID = 0, 1, 2


class Activity(enum.Enum, shape=2):
    """What an engine does in this cycle; feeds the counters."""

    IDLE = 0
    BUSY = 1
    MEMORY = 2
    BANK = 3


def bits(*names: str) -> tuple[Signal, ...]:
    """One-bit signals; in the Verilog they have these names, which Amaranth does not find itself
    where several are assigned at once."""
    return tuple(Signal(name=name) for name in names)


def address_shape() -> Shape:
    """Shape of SRAM address arithmetic: unsigned, modulo 2^SRAM_ADDRESS_BITS."""
    return unsigned(SRAM_ADDRESS_BITS)


def fields_layout(operation: isa.Operation, config: Config) -> data.StructLayout:
    """An operation's own fields by name, in table order (so it overlays the word's bits)."""
    return data.StructLayout(
        {
            field.name: (signed if field.signed else unsigned)(field.bits(config))
            for field in operation.fields
        }
    )


def engine_layout(operations: Sequence[isa.Operation], config: Config) -> data.StructLayout:
    """What an engine of these operations receives.

    fields: a union that has each operation's own fields under its name
    index: of the instruction in the program
    operation: which of the operations it is, their position; no bits where there is one
    element_type: the word's element type; no bits where the operations have type 0 only
    """
    element_types = {int(each) for operation in operations for each in operation.element_types}
    return data.StructLayout(
        {
            "fields": data.UnionLayout({o.name: fields_layout(o, config) for o in operations}),
            "index": unsigned(INDEX_BITS),
            "operation": unsigned((len(operations) - 1).bit_length()),
            "element_type": unsigned(max(element_types).bit_length()),
        }
    )


def engine_signature(operations: Sequence[isa.Operation], config: Config) -> Signature:
    """Ports every engine has, seen from the engine.

    instruction: stream of engine_layout; its waits are met. An engine accepts the next one while
        earlier ones are still in its pipeline.
    retire: high for one cycle for each instruction, in order, in the cycle in which its last
        write has landed (a read of the written word granted in the next cycle sees it).
        At most one instruction retires a cycle.
    fault: high for one cycle when an access of instruction `fault_index` is out of range (or, with
        `fault_is_bus`, got an error response). The access is dropped, the engine carries on and
        the instruction retires.
    activity: see Activity; IDLE only with nothing accepted and not yet retired.
    """
    return Signature(
        {
            "instruction": In(stream.Signature(engine_layout(operations, config))),
            "retire": Out(1),
            "fault": Out(1),
            "fault_is_bus": Out(1),
            "fault_index": Out(INDEX_BITS),
            "activity": Out(Activity),
        }
    )


def read_port_signature(*, address_bits: int, width: int, repeats: bool = False) -> Signature:
    """SRAM read port, seen from the engine.

    A request is granted in its own cycle (combinational); `data` is valid in the cycle after a
    granted request, of a late port in the second one, and only then. The address is in range (the
    engine checks).

    repeats: the port has a second access, and `repeats` says which of the two is asked for. That
    may come late: each has its own grant, which holds if it is the one.
    """
    members = {
        "request": Out(1),
        "address": Out(address_bits),
        "grant": In(1),
        "data": In(width),
    }
    if repeats:
        members |= {
            "repeats": Out(1),
            "repeat_request": Out(1),
            "repeat_address": Out(address_bits),
            "repeat_grant": In(1),
        }
    return Signature(members)


class Access(NamedTuple):
    """What an SRAM port may ask for."""

    request: Value
    address: Value
    grant: Value


def accesses(port: PureInterface) -> Sequence[Access]:
    """Return the access of an SRAM port, or both of them."""
    first = Access(port.request, port.address, port.grant)
    if "repeats" not in port.signature.members:
        return [first]
    return [first, Access(port.repeat_request, port.repeat_address, port.repeat_grant)]


def choose_access(port: PureInterface, values: Sequence[ValueLike]) -> ValueLike:
    """Return the value of the access that an SRAM port asks for, of a value for each."""
    return values[0] if len(values) == 1 else Mux(port.repeats, values[1], values[0])


def is_refused(port: PureInterface) -> ValueLike:
    """Return whether an SRAM port asks in vain."""
    return choose_access(port, [access.request & ~access.grant for access in accesses(port)])


def write_port_signature(*, address_bits: int, width: int, granularity: int) -> Signature:
    """SRAM write port, seen from the engine; `mask` has a bit per `granularity` data bits.

    A granted write can be read by a request granted in the next cycle or later.
    """
    return Signature(
        {
            "request": Out(1),
            "address": Out(address_bits),
            "data": Out(width),
            "mask": Out(width // granularity),
            "grant": In(1),
        }
    )


def axi_read_signature(config: Config) -> Signature:
    """AXI4 read channels (AR, R), seen from the master; INCR bursts of full-width beats."""
    return Signature(
        {
            "arid": Out(ID_BITS),
            "araddr": Out(config.axi_address_bits),
            "arlen": Out(8),
            "arsize": Out(3),
            "arburst": Out(2),
            "arvalid": Out(1),
            "arready": In(1),
            "rid": In(ID_BITS),
            "rdata": In(config.axi_data_bits),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def axi_write_signature(config: Config) -> Signature:
    """AXI4 write channels (AW, W, B), seen from the master; INCR bursts of full-width beats."""
    return Signature(
        {
            "awid": Out(ID_BITS),
            "awaddr": Out(config.axi_address_bits),
            "awlen": Out(8),
            "awsize": Out(3),
            "awburst": Out(2),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(config.axi_data_bits),
            "wstrb": Out(config.axi_bytes),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(ID_BITS),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
        }
    )


def axi_lite_signature() -> Signature:
    """AXI4-Lite with 12-bit addresses and 32-bit data, seen from the master."""
    return Signature(
        {
            "awaddr": Out(12),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(12),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )
