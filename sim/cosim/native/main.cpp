// Main loop of the co-simulation: toggles the clock, is the DRAM, records, calls cocotb when due.
//
// Modes: "cocotb" runs the Python test; "bare" starts the accelerator itself, without Python and
// without VPI callbacks, to measure what the model alone can do; "clock" toggles the clock of the
// idle model and does nothing else.
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "Vtestbench.h"
#include "callbacks.h"
#include "dram.h"
#include "probes.h"
#include "settings.h"
#include "verilated.h"
#include "verilated_vpi.h"

#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

static_assert(std::endian::native == std::endian::little, "ports are copied as bytes");

extern "C" void vlog_startup_routines_bootstrap(void);

namespace tilewright {

constexpr uint64_t RESET_CYCLES = 16;
constexpr uint64_t MAX_CYCLES_IN_RESET = 10'000;

double wall_seconds() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

class Simulation {
public:
    Simulation(VerilatedContext& context, Settings& settings)
        : m_context(context), m_settings(settings), m_top(&context, ""), m_dram(settings) {
        if (settings.has("expectations"))
            m_expectations = std::make_unique<Expectations>(settings);
#if VM_TRACE
        if (settings.has("trace")) {
            m_trace = std::make_unique<Trace>();
            m_top.trace(m_trace.get(), 99);
            m_trace->open(settings.text("trace").c_str());
        }
#endif
    }

    void run_with_cocotb();
    void run_bare();
    void run_clock();
    void finish();

private:
    template <bool with_callbacks>
    void cycle();
    void exchange();
    void observe();
    void dump_trace() {
#if VM_TRACE
        if (m_trace) m_trace->dump(m_context.time());
#endif
    }
    void start_timing() {
        m_release_cycle = m_cycle;
        m_start = wall_seconds();
        m_cpu_start = cpu_seconds();
    }
    void set(const char* name, uint32_t value);
    void access(uint32_t offset, uint32_t value, uint64_t limit);
    void check_limits(uint64_t limit);

    VerilatedContext& m_context;
    Settings& m_settings;
    Vtestbench m_top;
    Dram m_dram;
    Callbacks m_callbacks;
    RetirementRecorder m_recorder;
    std::unique_ptr<Expectations> m_expectations;
    uint64_t m_cycle = 0;
    uint64_t m_interrupt_cycle = 0, m_release_cycle = 0;
    bool m_was_reset = true, m_was_interrupt = false, m_limit_reached = false;
    uint32_t m_pulses = 0, m_toggle = 0;
    double m_start = 0, m_interrupt_time = 0;  // wall seconds
    double m_cpu_start = 0, m_interrupt_cpu = 0;
#if VM_TRACE
    std::unique_ptr<Trace> m_trace;
#endif
};

// Signals of the present cycle to the DRAM, the DRAM's next ones to the bench's input registers.
void Simulation::exchange() {
    MasterSignals master;
    master.ar_valid = m_top.memory_arvalid;
    master.aw_valid = m_top.memory_awvalid;
    master.w_valid = m_top.memory_wvalid;
    master.w_last = m_top.memory_wlast;
    master.r_ready = m_top.memory_rready;
    master.b_ready = m_top.memory_bready;
    master.ar = {m_top.memory_araddr, m_top.memory_arid, m_top.memory_arlen, m_top.memory_arsize,
                 m_top.memory_arburst};
    master.aw = {m_top.memory_awaddr, m_top.memory_awid, m_top.memory_awlen, m_top.memory_awsize,
                 m_top.memory_awburst};
    master.w_data = reinterpret_cast<const uint8_t*>(&m_top.memory_wdata);
    master.w_strobes = m_top.memory_wstrb;
    m_dram.step(master, m_cycle);

    const SlaveSignals& slave = m_dram.signals();
    m_top.next_memory_arready = slave.ar_ready;
    m_top.next_memory_awready = slave.aw_ready;
    m_top.next_memory_wready = slave.w_ready;
    m_top.next_memory_bvalid = slave.b_valid;
    m_top.next_memory_bid = slave.b_id;
    m_top.next_memory_bresp = slave.b_response;
    m_top.next_memory_rvalid = slave.r_valid;
    m_top.next_memory_rid = slave.r_id;
    m_top.next_memory_rresp = slave.r_response;
    m_top.next_memory_rlast = slave.r_last;
    std::memcpy(&m_top.next_memory_rdata, slave.r_data, sizeof m_top.memory_wdata);
}

// Reset and interrupt edges; retirements of the cycle that ends now.
void Simulation::observe() {
    m_pulses = m_top.retire;
    if (m_pulses != 0) m_recorder.record(m_pulses, m_cycle);
    if (m_top.interrupt_line != m_was_interrupt) {
        m_was_interrupt = m_top.interrupt_line;
        if (m_was_interrupt && m_interrupt_cycle == 0) {
            m_interrupt_cycle = m_cycle;
            m_interrupt_time = wall_seconds();
            m_interrupt_cpu = cpu_seconds();
        }
    }
}

template <bool with_callbacks>
void Simulation::cycle() {
    if (m_top.reset) {
        if (m_top.memory_arvalid || m_top.memory_awvalid || m_top.memory_wvalid)
            if (m_cycle > 2) m_dram.report_violation(m_cycle, "a memory channel is valid in reset");
    } else {
        if (m_was_reset) {
            m_was_reset = false;
            start_timing();
        }
        exchange();
        observe();
    }
    const auto evaluate = [this] { m_top.eval_step(); };
    m_context.timeInc(1);
    m_top.clk = 1;
    m_top.eval_step();
    m_cycle++;
    if (m_pulses != 0 && m_expectations) {
        for (uint32_t left = m_pulses; left != 0; left &= left - 1) {
            const auto engine = static_cast<uint32_t>(__builtin_ctz(left));
            m_expectations->check(engine, m_recorder.count(engine), m_cycle - 1);
        }
    }
    if constexpr (with_callbacks) m_callbacks.run(m_context.time(), evaluate);
    dump_trace();
    m_context.timeInc(1);
    m_top.clk = 0;
    m_top.eval_step();
    dump_trace();
}

void Simulation::check_limits(uint64_t limit) {
    if (m_was_reset && m_cycle > MAX_CYCLES_IN_RESET)
        fail("the cocotb test did not start (no reset release); its messages are above");
    if (m_cycle >= limit) m_limit_reached = true;
}

void Simulation::run_with_cocotb() {
    const uint64_t limit = m_settings.number("max_cycles");
    const auto evaluate = [this] { m_top.eval_step(); };
    vlog_startup_routines_bootstrap();
    m_top.eval_step();
    m_callbacks.start(m_context.time(), evaluate);
    while (!m_context.gotFinish() && !m_limit_reached) {
        cycle<true>();
        check_limits(limit);
    }
    VerilatedVpi::callCbs(cbEndOfSimulation);
}

// Write a public register of the bench.
void Simulation::set(const char* name, uint32_t value) {
    const VerilatedVar* const variable = find_variable(std::string("testbench.") + name);
    if (variable == nullptr) fail(std::string("the model has no public signal ") + name);
    std::memcpy(variable->datap(), &value, variable->entSize());
}

// One AXI4-Lite write through the bench's master.
void Simulation::access(uint32_t offset, uint32_t value, uint64_t limit) {
    set("request_write", 1);
    set("request_address", offset);
    set("request_data", value);
    set("request_delays", 0);
    m_toggle ^= 1;
    set("request_toggle", m_toggle);
    const VerilatedVar* const done = find_variable("testbench.response_toggle");
    if (done == nullptr) fail("the model has no public signal response_toggle");
    while (*static_cast<const uint8_t*>(done->datap()) != m_toggle && m_cycle < limit)
        cycle<false>();
}

void Simulation::run_bare() {
    const uint64_t limit = m_settings.number("max_cycles");
    m_top.eval_step();
    for (uint64_t i = 0; i < RESET_CYCLES; i++) cycle<false>();
    set("rst", 0);
    for (const std::string& line : m_settings.all("write")) {
        const size_t space = line.find(' ');
        access(static_cast<uint32_t>(std::stoul(line.substr(0, space), nullptr, 0)),
               static_cast<uint32_t>(std::stoul(line.substr(space + 1), nullptr, 0)), limit);
    }
    start_timing();
    while (!m_top.interrupt_line && m_cycle < limit) cycle<false>();
    cycle<false>();
    m_limit_reached = m_cycle >= limit;
}

void Simulation::run_clock() {
    const auto toggle = [this] {
        m_context.timeInc(1);
        m_top.clk = 1;
        m_top.eval_step();
        m_cycle++;
        m_context.timeInc(1);
        m_top.clk = 0;
        m_top.eval_step();
    };
    m_top.eval_step();
    for (uint64_t i = 0; i < RESET_CYCLES; i++) toggle();
    set("rst", 0);
    start_timing();
    const uint64_t end = m_cycle + m_settings.number("max_cycles");
    while (m_cycle < end) toggle();
}

std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') result += '\\';
        result += c;
    }
    return result + "\"";
}

std::string quoted(const std::vector<std::string>& texts) {
    std::string result = "[";
    for (const std::string& text : texts) result += (result.size() > 1 ? ", " : "") + quoted(text);
    return result + "]";
}

// Write memory, retirements and the JSON summary.
void Simulation::finish() {
    const double seconds = (m_interrupt_cycle ? m_interrupt_time : wall_seconds()) - m_start;
    const double cpu = (m_interrupt_cycle ? m_interrupt_cpu : cpu_seconds()) - m_cpu_start;
    const uint64_t cycles = (m_interrupt_cycle ? m_interrupt_cycle : m_cycle) - m_release_cycle;
    m_dram.dump(m_settings.text("memory"));
    m_recorder.write(m_settings.text("retirements"));

    const DramStatistics& dram = m_dram.statistics();
    std::string json = "{";
    const auto add = [&json](const char* key, const std::string& value) {
        json += (json.size() > 1 ? ",\n " : "") + quoted(key) + ": " + value;
    };
    add("seconds", std::to_string(seconds));
    add("cpu_seconds", std::to_string(cpu));
    add("timed_cycles", std::to_string(cycles));
    add("interrupt_cycle", std::to_string(m_interrupt_cycle));
    add("limit_reached", m_limit_reached ? "true" : "false");
    add("dram_idle", m_dram.idle() ? "true" : "false");
    add("read_bursts", std::to_string(dram.read_bursts));
    add("read_beats", std::to_string(dram.read_beats));
    add("read_bytes", std::to_string(dram.read_bytes));
    add("write_bursts", std::to_string(dram.write_bursts));
    add("write_beats", std::to_string(dram.write_beats));
    add("write_bytes", std::to_string(dram.write_bytes));
    add("read_stall_cycles", std::to_string(dram.read_stall_cycles));
    add("write_wait_cycles", std::to_string(dram.write_wait_cycles));
    add("max_outstanding_reads", std::to_string(dram.max_outstanding_reads));
    add("max_outstanding_writes", std::to_string(dram.max_outstanding_writes));
    add("error_responses", std::to_string(dram.error_responses));
    std::string by_id;
    for (const uint64_t beats : dram.read_beats_by_id)
        by_id += (by_id.empty() ? "" : ", ") + std::to_string(beats);
    add("read_beats_by_id", "[" + by_id + "]");
    add("num_violations", std::to_string(m_dram.num_violations()));
    add("violations", quoted(m_dram.violations()));
    if (m_expectations) {
        add("num_checked_bytes", std::to_string(m_expectations->num_checked_bytes()));
        add("num_mismatches", std::to_string(m_expectations->num_mismatches()));
        add("num_unchecked", std::to_string(m_expectations->num_unchecked()));
        add("mismatches", quoted(m_expectations->mismatches()));
    }
    json += "}\n";
    write_file(m_settings.text("summary"), json.data(), json.size());

#if VM_TRACE
    if (m_trace) m_trace->close();
#endif
    m_top.final();
}

}  // namespace tilewright

int main(int argc, char** argv) {
    if (argc < 2) tilewright::fail("usage: simulator SETTINGS-FILE [+verilator+options]");
    tilewright::Settings settings(argv[1]);
    const std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    Verilated::threadContextp(context.get());
    context->commandArgs(argc, argv);
    context->traceEverOn(settings.has("trace"));
    context->fatalOnVpiError(false);  // cocotb asks for optional features
    tilewright::Simulation simulation(*context, settings);
    if (settings.text("mode") == "bare")
        simulation.run_bare();
    else if (settings.text("mode") == "clock")
        simulation.run_clock();
    else
        simulation.run_with_cocotb();
    simulation.finish();
    return 0;
}
