"""SRAMs of one-read-one-write banks, with fixed-priority ports that every bank grants anew."""

from collections.abc import Collection
from contextlib import nullcontext
from itertools import pairwise

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tilewright.hw.rtl.interfaces import (
    accesses,
    choose_access,
    read_port_signature,
    write_port_signature,
)
from tilewright.hw.rtl.signals import delayed, index_bits
from tilewright.hw.spec.config import Config
from tilewright.support.records import record


@record(frozen=True, kw_only=True)
class BankShape:
    """The size of one bank: words, bits of a word, bits behind one mask bit."""

    words: int
    width: int
    granularity: int

    @property
    def mask_bits(self) -> int:
        return self.width // self.granularity

    @property
    def module_name(self) -> str:
        """Name of the Verilog module that all banks of this shape share."""
        return f"tilewright_bank_{self.words}x{self.width}_{self.granularity}"


class Bank(wiring.Component):
    """One block RAM: a write port with a mask and a synchronous read port.

    A read returns its word in the next cycle and holds it until the next read. What a read of a
    word returns in the cycle of a write to it is undefined. With `instance` the bank is an
    instance of the module that `bank_verilog` gives.

    Members
    -------
    write_enable : In(1)
    write_mask : In(width / granularity)
    write_address, write_data : In
    read_enable, read_address : In
    read_data : Out(width)
    """

    def __init__(self, shape: BankShape, *, instance: bool = False) -> None:
        self.shape = shape
        self.instance = instance
        super().__init__(
            {
                "write_enable": In(1),
                "write_mask": In(shape.mask_bits),
                "write_address": In(index_bits(shape.words)),
                "write_data": In(shape.width),
                "read_enable": In(1),
                "read_address": In(index_bits(shape.words)),
                "read_data": Out(shape.width),
            }
        )
        if not instance:
            self.storage = memory.Memory(shape=unsigned(shape.width), depth=shape.words, init=[])

    def elaborate(self, platform):
        m = Module()
        if self.instance:
            m.submodules.bank = Instance(
                self.shape.module_name,
                i_clk=ClockSignal(),
                i_write_enable=self.write_enable,
                i_write_mask=self.write_mask,
                i_write_address=self.write_address,
                i_write_data=self.write_data,
                i_read_enable=self.read_enable,
                i_read_address=self.read_address,
                o_read_data=self.read_data,
            )
            return m
        m.submodules.storage = self.storage
        write = self.storage.write_port(granularity=self.shape.granularity)
        read = self.storage.read_port()
        m.d.comb += [
            write.en.eq(Mux(self.write_enable, self.write_mask, 0)),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m


def bank_verilog(shape: BankShape) -> str:
    """Return the Verilog module of one bank shape: a plain inferable block RAM, no contents.

    `no_rw_check` (Yosys, "memory_dff") says that what a read of a word returns in the cycle of a
    write to it is undefined, so that no logic around the block RAM makes it defined.
    """
    address = index_bits(shape.words) - 1
    writes = []
    for lane in range(shape.mask_bits):
        bits = f"{(lane + 1) * shape.granularity - 1}:{lane * shape.granularity}"
        writes.append(
            f"      if (write_mask[{lane}]) words[write_address][{bits}] <= write_data[{bits}];"
        )
    if shape.mask_bits == 1:
        writes = ["      if (write_mask) words[write_address] <= write_data;"]
    mask = f"[{shape.mask_bits - 1}:0] " if shape.mask_bits > 1 else ""
    return "\n".join(
        [
            f"module {shape.module_name} (",
            "  input clk,",
            "  input write_enable,",
            f"  input {mask}write_mask,",
            f"  input [{address}:0] write_address,",
            f"  input [{shape.width - 1}:0] write_data,",
            "  input read_enable,",
            f"  input [{address}:0] read_address,",
            f"  output reg [{shape.width - 1}:0] read_data",
            ");",
            f"  (* no_rw_check *) reg [{shape.width - 1}:0] words [0:{shape.words - 1}];",
            "  always @(posedge clk) begin",
            "    if (write_enable) begin",
            *writes,
            "    end",
            "    if (read_enable) read_data <= words[read_address];",
            "  end",
            "endmodule",
            "",
        ]
    )


class BankedMemory(wiring.Component):
    """An SRAM in address blocks: bank b holds the words [b*words/banks, (b+1)*words/banks).

    Each bank serves one read and one write a cycle; the first requesting port in port order wins
    and is granted in the same cycle. Read data is valid in the cycle after the grant. A granted
    write is seen by every read that is granted in a later cycle.

    Parameters
    ----------
    words : multiple of `banks`
    width : bits of a word
    granularity : data bits behind one mask bit
    banks, num_readers, num_writers : 1 and up
    repeating : the readers with a second access
    late : the readers whose data is valid a cycle later, from a register behind each bank
    instances : the banks are instances of `bank_verilog(self.bank_shape)`

    Members
    -------
    read_{i} : In(read_port_signature), i < num_readers, 0 has the highest priority
    write_{i} : In(write_port_signature), i < num_writers, 0 has the highest priority
    """

    def __init__(
        self,
        *,
        words: int,
        width: int,
        granularity: int,
        banks: int,
        num_readers: int,
        num_writers: int,
        repeating: Collection[int] = (),
        late: Collection[int] = (),
        instances: bool = False,
    ) -> None:
        assert words % banks == 0, f"{words} words in {banks} banks"
        assert width % granularity == 0, f"{width} bits in units of {granularity}"
        self.words = words
        self.address_bits = index_bits(words)
        self.bank_words = words // banks
        self._late = late
        self._has_power_of_two = self.bank_words.bit_count() == 1
        self.bank_shape = BankShape(words=self.bank_words, width=width, granularity=granularity)
        self.banks = [Bank(self.bank_shape, instance=instances) for _ in range(banks)]
        reads = [
            read_port_signature(address_bits=self.address_bits, width=width, repeats=i in repeating)
            for i in range(num_readers)
        ]
        write = write_port_signature(
            address_bits=self.address_bits, width=width, granularity=granularity
        )
        super().__init__(
            {f"read_{i}": In(read) for i, read in enumerate(reads)}
            | {f"write_{i}": In(write) for i in range(num_writers)}
        )
        self.readers = [getattr(self, f"read_{i}") for i in range(num_readers)]
        self.writers = [getattr(self, f"write_{i}") for i in range(num_writers)]

    def elaborate(self, platform):
        m = Module()
        for index, bank in enumerate(self.banks):
            m.submodules[f"bank{index}"] = bank
        self._connect_reads(m)
        self._connect_writes(m)
        return m

    def _connect_reads(self, m):
        wanted = self._arbitrate(m, self.readers, "read")
        read_data = [bank.read_data for bank in self.banks]
        late_data = [delayed(m, data, "late_data") for data in read_data] if self._late else []
        for index, (port, wants) in enumerate(zip(self.readers, wanted, strict=True)):
            bank_of_data = Signal(range(len(self.banks)), name=f"read{index}_bank")
            with m.If(choose_access(port, [access.grant for access in accesses(port)])):
                for number in range(1, len(self.banks)):
                    with m.If(wants[number]):
                        m.d.sync += bank_of_data.eq(number)
                with m.If(wants[0]):
                    m.d.sync += bank_of_data.eq(0)
            choices = read_data
            if index in self._late:
                bank_of_data = delayed(m, bank_of_data, f"read{index}_late_bank")
                choices = late_data
            with m.Switch(bank_of_data):
                for number, choice in enumerate(choices):
                    with m.Case(number):
                        m.d.comb += port.data.eq(choice)
        for index, bank in enumerate(self.banks):
            m.d.comb += bank.read_enable.eq(Cat(wants[index] for wants in wanted).any())
            for port, chosen in self._by_falling_priority(m, index, self.readers, wanted):
                with chosen:
                    local = [self._local(access.address, index) for access in accesses(port)]
                    m.d.comb += bank.read_address.eq(choose_access(port, local))

    def _connect_writes(self, m):
        wanted = self._arbitrate(m, self.writers, "write")
        for index, bank in enumerate(self.banks):
            m.d.comb += bank.write_enable.eq(Cat(wants[index] for wants in wanted).any())
            for port, chosen in self._by_falling_priority(m, index, self.writers, wanted):
                with chosen:
                    m.d.comb += [
                        bank.write_mask.eq(port.mask),
                        bank.write_address.eq(self._local(port.address, index)),
                        bank.write_data.eq(port.data),
                    ]

    def _arbitrate(self, m, ports, name):
        """Drive the grants; return for each port one bit a bank: it requests a word of it."""
        for index, port in enumerate(ports):
            for request, address, grant in accesses(port):
                rivals = [self._asks(first, self._bank(address)) for first in ports[:index]]
                m.d.comb += grant.eq(request & ~Cat(rivals).any())
        return [
            self._wanted_banks(m, port, f"{name}{index}_wants") for index, port in enumerate(ports)
        ]

    def _asks(self, port, bank):
        """Whether a port asks for a word of the bank; its choice of an access may come late."""
        asks = [access.request & (self._bank(access.address) == bank) for access in accesses(port)]
        return choose_access(port, asks)

    def _wanted_banks(self, m, port, name):
        """One bit a bank: the port requests a word of it."""
        wants = Signal(len(self.banks), name=name)
        for number in range(len(self.banks)):
            bank = number if self._has_power_of_two else 1 << number
            m.d.comb += wants[number].eq(self._asks(port, bank))
        return wants

    def _bank(self, address):
        """What tells the bank of a word: its number, else a bit a bank."""
        if self._has_power_of_two:
            return address[exact_log2(self.bank_words) :]
        reaches = [address >= n * self.bank_words for n in range(1, len(self.banks))]
        return Cat(start & ~end for start, end in pairwise((Const(1), *reaches, Const(0))))

    def _local(self, address, bank):
        """Address inside the bank; the bits above the bank's address are 0 for its words."""
        if self._has_power_of_two:
            return address[: index_bits(self.bank_words)]
        return (address - bank * self.bank_words)[: index_bits(self.bank_words)]

    @staticmethod
    def _by_falling_priority(m, bank, ports, wanted):
        """Yield each port with the condition that it is the one; the last needs no other."""
        for place, (port, wants) in enumerate(zip(ports, wanted, strict=True)):
            if len(ports) == 1:
                yield port, nullcontext()
            elif place == 0:
                yield port, m.If(wants[bank])
            elif place < len(ports) - 1:
                yield port, m.Elif(wants[bank])
            else:
                yield port, m.Else()


def accumulator_banks_of(address, config: Config) -> Value:
    """Return one bit a bank of the accumulators: whether it has the word of that address."""
    return _banks_of(address, config.accumulator_words, config.accumulator_banks)


def activation_banks_of(address, config: Config) -> Value:
    """Return one bit a bank of the activation SRAM: whether it has the word of that address."""
    return _banks_of(address, config.activation_words, config.activation_banks)


def _banks_of(address, words: int, banks: int) -> Value:
    reaches = [address >= number * (words // banks) for number in range(1, banks)]
    return Cat(start & ~end for start, end in pairwise((Const(1), *reaches, Const(0))))


def activation_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Activation SRAM. Readers: matrix (late with path_registers), depthwise (if there), vector
    source, vector operand, store (late with wire_registers). Writers: vector, load. A mask bit a
    byte."""
    vector = 1 + (config.depthwise_taps > 0)
    readers = range(vector + 3)
    return BankedMemory(
        words=config.activation_words,
        width=8 * config.activation_word_bytes,
        granularity=8,
        banks=config.activation_banks,
        num_readers=len(readers),
        num_writers=2,
        repeating=readers[vector : vector + 2 + config.wire_registers],
        late=readers if config.wire_registers else readers[: config.path_registers],
        instances=instances,
    )


def accumulator_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Accumulator SRAM. Readers: matrix (late with path_registers), depthwise (if there), vector
    (late with wire_registers). Writers: matrix, depthwise. One mask bit, the whole word."""
    vector = 1 + (config.depthwise_taps > 0)
    return BankedMemory(
        words=config.accumulator_words,
        width=8 * config.accumulator_word_bytes,
        granularity=8 * config.accumulator_word_bytes,
        banks=config.accumulator_banks,
        num_readers=vector + 1,
        repeating=(vector,),
        late=(0, vector)[: config.path_registers + config.wire_registers],
        num_writers=1 + (config.depthwise_taps > 0),
        instances=instances,
    )


def weight_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Weight SRAM, one bank. Reader: matrix (late with path_registers). Writer: load. One mask bit,
    the whole word."""
    return BankedMemory(
        words=config.weight_words,
        width=8 * config.weight_word_bytes,
        granularity=8 * config.weight_word_bytes,
        banks=1,
        num_readers=1,
        late=(0,) if config.path_registers else (),
        num_writers=1,
        instances=instances,
    )


def parameter_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Parameter SRAM, one bank. Readers: vector, depthwise (if there). Writer: load. One mask
    bit, the whole word."""
    return BankedMemory(
        words=config.parameter_words,
        width=8 * config.parameter_word_bytes,
        granularity=8 * config.parameter_word_bytes,
        banks=1,
        num_readers=1 + (config.depthwise_taps > 0),
        num_writers=1,
        instances=instances,
    )
