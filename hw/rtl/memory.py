"""SRAMs of one-read-one-write banks, with fixed-priority ports that every bank grants anew."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.rtl.interfaces import read_port_signature, write_port_signature
from tilewright.hw.spec.config import Config


def address_bits(words: int) -> int:
    """Bits of an SRAM port's address."""
    return max(1, (words - 1).bit_length())


@dataclass(frozen=True, kw_only=True)
class BankShape:
    """The size of one bank: words, bits of a word, bits behind one write-enable bit."""

    words: int
    width: int
    granularity: int

    @property
    def enables(self) -> int:
        return self.width // self.granularity

    @property
    def module_name(self) -> str:
        """Name of the Verilog module that all banks of this shape share."""
        return f"tilewright_bank_{self.words}x{self.width}_{self.granularity}"


class Bank(wiring.Component):
    """One block RAM: a write port with enables and a synchronous read port.

    A read returns its word in the next cycle and holds it until the next read. What a read of a
    word returns in the cycle of a write to it is undefined. With `instance` the bank is an
    instance of the module that `bank_verilog` gives.

    Members
    -------
    write_enable : In(width / granularity)
    write_address, write_data : In
    read_enable, read_address : In
    read_data : Out(width)
    """

    def __init__(self, shape: BankShape, *, instance: bool = False) -> None:
        self.shape = shape
        self.instance = instance
        super().__init__(
            {
                "write_enable": In(shape.enables),
                "write_address": In(address_bits(shape.words)),
                "write_data": In(shape.width),
                "read_enable": In(1),
                "read_address": In(address_bits(shape.words)),
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
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m


def bank_verilog(shape: BankShape) -> str:
    """Return the Verilog module of one bank shape: a plain inferable block RAM, no contents."""
    address = address_bits(shape.words) - 1
    if shape.enables == 1:
        writes = ["    if (write_enable) words[write_address] <= write_data;"]
    else:
        writes = []
        for lane in range(shape.enables):
            bits = f"{(lane + 1) * shape.granularity - 1}:{lane * shape.granularity}"
            writes.append(
                f"    if (write_enable[{lane}]) words[write_address][{bits}] <= write_data[{bits}];"
            )
    enable = f"[{shape.enables - 1}:0] " if shape.enables > 1 else ""
    return "\n".join(
        [
            f"module {shape.module_name} (",
            "  input clk,",
            f"  input {enable}write_enable,",
            f"  input [{address}:0] write_address,",
            f"  input [{shape.width - 1}:0] write_data,",
            "  input read_enable,",
            f"  input [{address}:0] read_address,",
            f"  output reg [{shape.width - 1}:0] read_data",
            ");",
            f"  reg [{shape.width - 1}:0] words [0:{shape.words - 1}];",
            "  always @(posedge clk) begin",
            *writes,
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
        instances: bool = False,
    ) -> None:
        assert words % banks == 0, f"{words} words in {banks} banks"
        assert width % granularity == 0, f"{width} bits in units of {granularity}"
        self.words = words
        self.address_bits = address_bits(words)
        self.bank_words = words // banks
        self.bank_shape = BankShape(words=self.bank_words, width=width, granularity=granularity)
        self.banks = [Bank(self.bank_shape, instance=instances) for _ in range(banks)]
        read = read_port_signature(address_bits=self.address_bits, width=width)
        write = write_port_signature(
            address_bits=self.address_bits, width=width, granularity=granularity
        )
        super().__init__(
            {f"read_{i}": In(read) for i in range(num_readers)}
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
        for index, (port, wants) in enumerate(zip(self.readers, wanted, strict=True)):
            bank_of_data = Signal(len(self.banks), name=f"read{index}_bank")
            with m.If(port.grant):
                m.d.sync += bank_of_data.eq(wants)
            words = [Mux(bank_of_data[b], bank.read_data, 0) for b, bank in enumerate(self.banks)]
            m.d.comb += port.data.eq(reduce(or_, words))
        for index, bank in enumerate(self.banks):
            for port, wants in _by_rising_priority(self.readers, wanted):
                with m.If(wants[index]):
                    m.d.comb += [
                        bank.read_enable.eq(1),
                        bank.read_address.eq(self._local(port.address, index)),
                    ]

    def _connect_writes(self, m):
        wanted = self._arbitrate(m, self.writers, "write")
        for index, bank in enumerate(self.banks):
            for port, wants in _by_rising_priority(self.writers, wanted):
                with m.If(wants[index]):
                    m.d.comb += [
                        bank.write_enable.eq(port.mask),
                        bank.write_address.eq(self._local(port.address, index)),
                        bank.write_data.eq(port.data),
                    ]

    def _arbitrate(self, m, ports, name):
        """Drive the grants; return for each port one bit a bank: it requests a word of it."""
        wanted = [
            self._wanted_banks(m, port, f"{name}{index}_wants") for index, port in enumerate(ports)
        ]
        taken = Const(0, len(self.banks))
        for port, wants in zip(ports, wanted, strict=True):
            m.d.comb += port.grant.eq((wants & ~taken).any())
            taken = taken | wants
        return wanted

    def _wanted_banks(self, m, port, name):
        """One bit a bank: the port requests a word of it."""
        starts = [port.address >= index * self.bank_words for index in range(len(self.banks))]
        wants = Signal(len(self.banks), name=name)
        for index, start in enumerate(starts):
            inside = start if index else 1
            if index + 1 < len(starts):
                inside = inside & ~starts[index + 1]
            m.d.comb += wants[index].eq(port.request & inside)
        return wants

    def _local(self, address, index):
        """Address inside the bank; the bits above the bank's address are 0 for its words."""
        return (address - index * self.bank_words)[: address_bits(self.bank_words)]


def _by_rising_priority(ports, wanted):
    return list(zip(ports, wanted, strict=True))[::-1]


def activation_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Activation SRAM. Readers: matrix, vector source, vector operand, store. Writers: vector,
    load. A mask bit a byte."""
    return BankedMemory(
        words=config.activation_words,
        width=8 * config.activation_word_bytes,
        granularity=8,
        banks=config.activation_banks,
        num_readers=4,
        num_writers=2,
        instances=instances,
    )


def accumulator_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Accumulator SRAM. Readers: matrix, vector. Writer: matrix. One mask bit, the whole word."""
    return BankedMemory(
        words=config.accumulator_words,
        width=8 * config.accumulator_word_bytes,
        granularity=8 * config.accumulator_word_bytes,
        banks=config.accumulator_banks,
        num_readers=2,
        num_writers=1,
        instances=instances,
    )


def weight_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Weight SRAM, one bank. Reader: matrix. Writer: load. One mask bit, the whole word."""
    return BankedMemory(
        words=config.weight_words,
        width=8 * config.weight_word_bytes,
        granularity=8 * config.weight_word_bytes,
        banks=1,
        num_readers=1,
        num_writers=1,
        instances=instances,
    )


def parameter_memory(config: Config, *, instances: bool = False) -> BankedMemory:
    """Parameter SRAM, one bank. Reader: vector. Writer: load. One mask bit, the whole word."""
    return BankedMemory(
        words=config.parameter_words,
        width=8 * config.parameter_word_bytes,
        granularity=8 * config.parameter_word_bytes,
        banks=1,
        num_readers=1,
        num_writers=1,
        instances=instances,
    )
