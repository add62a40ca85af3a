#include "dram.h"

#include <algorithm>
#include <cstring>
#include <sstream>

namespace tilewright {

namespace {

constexpr uint32_t ONE_BEAT = 65536;
constexpr size_t MAX_REPORTED_VIOLATIONS = 20;
constexpr uint8_t OKAY = 0, DECODE_ERROR = 3;
constexpr uint8_t INCREMENTING = 1;
constexpr uint8_t UNDEFINED_BYTE = 0xA5;
constexpr uint64_t PAGE_BYTES = 4096;

uint64_t beat_bytes(const AddressChannel& request) { return uint64_t{1} << request.size; }

// Bytes from the start address to the end of the burst's last beat.
uint64_t span_bytes(const AddressChannel& request) {
    const uint64_t aligned = request.address & ~(beat_bytes(request) - 1);
    return aligned + (request.length + uint64_t{1}) * beat_bytes(request) - request.address;
}

std::string hex(uint64_t value) {
    std::ostringstream text;
    text << "0x" << std::hex << value;
    return text.str();
}

}  // namespace

Dram::Dram(const Settings& settings)
    : m_bus_bytes(static_cast<unsigned>(settings.number("bus_bytes"))),
      m_latency(static_cast<unsigned>(settings.number("latency_cycles"))),
      m_max_outstanding(static_cast<unsigned>(settings.number("max_outstanding"))),
      m_rate(static_cast<uint32_t>(settings.real("beats_per_cycle") * ONE_BEAT + 0.5)),
      m_stall_threshold(
          static_cast<uint32_t>(settings.real("stall_probability") * 4294967295.0)),
      m_random(m_stall_threshold != 0),
      m_allow_out_of_range(settings.number("allow_out_of_range") != 0),
      m_base(settings.number("base")),
      m_memory(read_file(settings.text("image"))),
      m_idle_data(m_bus_bytes, UNDEFINED_BYTE),
      m_state(settings.number("seed") * 0x9E3779B97F4A7C15ull + 0x1234567ull),
      m_previous_data(m_bus_bytes) {
    for (const std::string& line : settings.all("error")) {
        std::istringstream words(line);
        std::string first, last, response;
        int read = 0, write = 0;
        words >> first >> last >> read >> write >> response;
        m_errors.push_back({std::stoull(first, nullptr, 0), std::stoull(last, nullptr, 0),
                            read != 0, write != 0, static_cast<uint8_t>(std::stoul(response))});
    }
    m_slave.r_data = m_idle_data.data();
}

void Dram::step(const MasterSignals& master, uint64_t cycle) {
    check_stable(master, cycle);

    if (m_slave.ar_ready && master.ar_valid) accept_read(master.ar, cycle);
    const bool read_taken = m_slave.r_valid && master.r_ready;
    if (m_slave.r_valid && !master.r_ready) m_statistics.read_stall_cycles++;
    if (read_taken) {
        Burst& burst = m_reads[m_current_read];
        if (++burst.beats_done > burst.request.length) {
            m_pool.push_back(std::move(burst.data));
            m_reads.erase(m_reads.begin() + m_current_read);
            m_current_read = -1;
        }
    }
    m_read_credit = std::min(ONE_BEAT, m_read_credit + m_rate);
    if (!m_slave.r_valid || read_taken) offer_read_beat(cycle + 1);

    if (m_slave.aw_ready && master.aw_valid) {
        check_request(master.aw, "AW", cycle);
        Burst burst;
        burst.request = master.aw;
        m_writes.push_back(std::move(burst));
        m_statistics.write_bursts++;
        m_statistics.max_outstanding_writes =
            std::max<uint64_t>(m_statistics.max_outstanding_writes, m_writes.size());
    }
    if (master.w_valid && !m_slave.w_ready) m_statistics.write_wait_cycles++;
    if (m_slave.w_ready && master.w_valid) {
        m_write_credit -= ONE_BEAT;
        accept_write_beat(master);
    }
    if (!m_write_beats.empty()) match_write_beats(cycle);
    const bool response_taken = m_slave.b_valid && master.b_ready;
    if (response_taken) {
        m_writes.erase(m_writes.begin() + m_current_response);
        m_current_response = -1;
    }
    m_write_credit = std::min(ONE_BEAT, m_write_credit + m_rate);
    if (!m_slave.b_valid || response_taken) offer_response(cycle + 1);

    m_slave.ar_ready = m_reads.size() < m_max_outstanding && !stall();
    m_slave.aw_ready = m_writes.size() < m_max_outstanding && !stall();
    m_slave.w_ready = m_write_credit >= ONE_BEAT && !stall();
}

void Dram::check_stable(const MasterSignals& master, uint64_t cycle) {
    const MasterSignals& before = m_previous;
    if (before.ar_valid && !(master.ar_valid && master.ar == before.ar))
        report_violation(cycle, "ARVALID fell or its payload changed before ARREADY");
    if (before.aw_valid && !(master.aw_valid && master.aw == before.aw))
        report_violation(cycle, "AWVALID fell or its payload changed before AWREADY");
    if (before.w_valid
        && !(master.w_valid && master.w_last == before.w_last
             && master.w_strobes == before.w_strobes
             && std::memcmp(master.w_data, m_previous_data.data(), m_bus_bytes) == 0))
        report_violation(cycle, "WVALID fell or its payload changed before WREADY");

    m_previous = master;  // keep only what waits for its ready
    m_previous.ar_valid = master.ar_valid && !m_slave.ar_ready;
    m_previous.aw_valid = master.aw_valid && !m_slave.aw_ready;
    m_previous.w_valid = master.w_valid && !m_slave.w_ready;
    if (m_previous.w_valid) std::memcpy(m_previous_data.data(), master.w_data, m_bus_bytes);
}

void Dram::check_request(const AddressChannel& request, const char* channel, uint64_t cycle) {
    const std::string where = std::string(channel) + " burst of " +
        std::to_string(request.length + 1) + " beats at " + hex(request.address);
    if (request.burst != INCREMENTING)
        report_violation(cycle, where + ": burst type " + std::to_string(request.burst) +
                                    " is not INCR");
    if (beat_bytes(request) > m_bus_bytes)
        report_violation(cycle, where + ": AxSIZE is wider than the bus");
    const uint64_t last = request.address + span_bytes(request) - 1;
    if (request.address / PAGE_BYTES != last / PAGE_BYTES)
        report_violation(cycle, where + " crosses a 4 KiB boundary");
    if (!m_allow_out_of_range && !in_image(request.address, span_bytes(request)))
        report_violation(cycle, where + " leaves the image [" + hex(m_base) + ", " +
                                    hex(m_base + m_memory.size()) + ")");
}

void Dram::accept_read(const AddressChannel& request, uint64_t cycle) {
    check_request(request, "AR", cycle);
    Burst burst;
    burst.request = request;
    burst.ready_cycle = cycle + latency();
    if (!m_pool.empty()) {
        burst.data = std::move(m_pool.back());
        m_pool.pop_back();
    }
    const unsigned beats = request.length + 1u;
    burst.data.resize(beats * m_bus_bytes);
    const bool whole = beat_bytes(request) == m_bus_bytes && request.address % m_bus_bytes == 0
        && in_image(request.address, span_bytes(request));
    if (whole && m_errors.empty()) {
        std::memcpy(burst.data.data(), &m_memory[request.address - m_base], burst.data.size());
    } else {
        std::fill(burst.data.begin(), burst.data.end(), UNDEFINED_BYTE);
        for (unsigned beat = 0; beat < beats; beat++) {
            const uint64_t address = beat_address(request, beat);
            const uint64_t container = address & ~uint64_t{m_bus_bytes - 1};
            const uint64_t mask = lane_mask(request, beat);
            burst.responses.push_back(response_for(address, 1, false));
            for (unsigned lane = 0; lane < m_bus_bytes; lane++)
                if ((mask >> lane & 1) && in_image(container + lane, 1))
                    burst.data[beat * m_bus_bytes + lane] = m_memory[container + lane - m_base];
        }
    }
    m_reads.push_back(std::move(burst));
    m_statistics.read_bursts++;
    m_statistics.max_outstanding_reads =
        std::max<uint64_t>(m_statistics.max_outstanding_reads, m_reads.size());
}

void Dram::accept_write_beat(const MasterSignals& master) {
    m_statistics.write_beats++;
    m_statistics.write_bytes += static_cast<uint64_t>(__builtin_popcountll(master.w_strobes));
    m_write_beats.push_back({std::vector<uint8_t>(master.w_data, master.w_data + m_bus_bytes),
                             master.w_strobes, master.w_last});
}

void Dram::match_write_beats(uint64_t cycle) {
    for (Burst& burst : m_writes) {
        while (!burst.complete && !m_write_beats.empty()) {
            finish_write_beat(burst, m_write_beats.front(), cycle);
            m_write_beats.pop_front();
        }
        if (m_write_beats.empty()) return;
    }
}

void Dram::finish_write_beat(Burst& burst, const WriteBeat& beat, uint64_t cycle) {
    const unsigned index = burst.beats_done++;
    const bool last = index == burst.request.length;
    const std::string where = " of the burst at " + hex(burst.request.address);
    if (beat.last != last)
        report_violation(cycle, "WLAST is " + std::to_string(beat.last) + " at beat " +
                                    std::to_string(index) + where);
    if (beat.strobes & ~lane_mask(burst.request, index))
        report_violation(cycle, "WSTRB has lanes outside beat " + std::to_string(index) + where);
    burst.data.insert(burst.data.end(), beat.data.begin(), beat.data.end());
    burst.strobes.push_back(beat.strobes);
    burst.responses.push_back(response_for(beat_address(burst.request, index), 1, true));
    if (last) {
        burst.complete = true;
        burst.ready_cycle = cycle + latency();
    }
}

void Dram::offer_read_beat(uint64_t next_cycle) {
    m_slave.r_valid = false;
    if (m_reads.empty() || m_read_credit < ONE_BEAT || stall()) {
        if (m_random) m_slave.r_data = m_idle_data.data();
        return;
    }
    m_current_read = pick(m_reads, next_cycle, m_current_read);
    if (m_current_read < 0) return;
    const Burst& burst = m_reads[m_current_read];
    m_read_credit -= ONE_BEAT;
    m_slave.r_valid = true;
    m_slave.r_id = burst.request.id;
    m_slave.r_last = burst.beats_done == burst.request.length;
    m_slave.r_data = &burst.data[burst.beats_done * m_bus_bytes];
    m_slave.r_response = burst.responses.empty() ? OKAY : burst.responses[burst.beats_done];
    if (m_slave.r_response != OKAY) m_statistics.error_responses++;
    m_statistics.read_beats++;
    m_statistics.read_bytes +=
        static_cast<uint64_t>(__builtin_popcountll(lane_mask(burst.request, burst.beats_done)));
    m_statistics.read_beats_by_id[burst.request.id & 15]++;
}

void Dram::offer_response(uint64_t next_cycle) {
    m_slave.b_valid = false;
    if (m_writes.empty() || stall()) return;
    m_current_response = pick(m_writes, next_cycle, -1);
    if (m_current_response < 0) return;
    Burst& burst = m_writes[m_current_response];
    commit(burst);
    m_slave.b_valid = true;
    m_slave.b_id = burst.request.id;
    m_slave.b_response = *std::max_element(burst.responses.begin(), burst.responses.end());
    if (m_slave.b_response != OKAY) m_statistics.error_responses++;
}

void Dram::commit(Burst& burst) {
    for (unsigned beat = 0; beat <= burst.request.length; beat++) {
        if (burst.responses[beat] != OKAY) continue;
        const uint64_t container =
            beat_address(burst.request, beat) & ~uint64_t{m_bus_bytes - 1};
        const uint8_t* data = &burst.data[beat * m_bus_bytes];
        for (unsigned lane = 0; lane < m_bus_bytes; lane++)
            if (burst.strobes[beat] >> lane & 1) m_memory[container + lane - m_base] = data[lane];
    }
}

uint8_t Dram::response_for(uint64_t address, unsigned bytes, bool write) const {
    const uint64_t container = address & ~uint64_t{m_bus_bytes - 1};
    if (!in_image(container, m_bus_bytes)) return DECODE_ERROR;
    for (const ErrorRange& range : m_errors)
        if ((write ? range.write : range.read) && address < range.last
            && address + bytes > range.first)
            return range.response;
    return OKAY;
}

uint64_t Dram::beat_address(const AddressChannel& request, unsigned beat) const {
    if (beat == 0) return request.address;
    return (request.address & ~(beat_bytes(request) - 1)) + beat * beat_bytes(request);
}

uint64_t Dram::lane_mask(const AddressChannel& request, unsigned beat) const {
    const uint64_t all = m_bus_bytes == 64 ? ~uint64_t{0} : (uint64_t{1} << m_bus_bytes) - 1;
    const uint64_t address = beat_address(request, beat), width = beat_bytes(request);
    if (width >= m_bus_bytes && address % m_bus_bytes == 0) return all;
    const uint64_t first = address & (m_bus_bytes - 1);
    const uint64_t end = ((address & ~(width - 1)) & (m_bus_bytes - 1)) + width;
    const uint64_t below_end = end >= 64 ? ~uint64_t{0} : (uint64_t{1} << end) - 1;
    return below_end & ~((uint64_t{1} << first) - 1) & all;
}

bool Dram::in_image(uint64_t address, uint64_t bytes) const {
    return address >= m_base && bytes <= m_memory.size()
        && address - m_base <= m_memory.size() - bytes;
}

// The burst to serve next: the oldest one that is ready, or, with stalls on, at random one that is
// ready and the oldest of its ID. A burst in progress (`current`) goes on, mostly.
int Dram::pick(const std::deque<Burst>& bursts, uint64_t next_cycle, int current) {
    if (!m_random) {
        const Burst& front = bursts.front();
        return front.ready_cycle <= next_cycle && (front.complete || &bursts == &m_reads) ? 0 : -1;
    }
    if (current >= 0 && random() % 8 != 0) return current;
    std::vector<int> candidates;
    uint32_t seen_ids = 0;
    for (size_t i = 0; i < bursts.size(); i++) {
        const Burst& burst = bursts[i];
        const uint32_t bit = 1u << (burst.request.id & 15);
        const bool ready = burst.complete || &bursts == &m_reads;
        if (!(seen_ids & bit) && ready && burst.ready_cycle <= next_cycle)
            candidates.push_back(static_cast<int>(i));
        seen_ids |= bit;
    }
    return candidates.empty() ? -1 : candidates[random() % candidates.size()];
}

uint64_t Dram::latency() { return m_random ? 1 + random() % (2 * m_latency + 1) : m_latency; }

bool Dram::stall() { return m_random && random() < m_stall_threshold; }

uint32_t Dram::random() {
    m_state ^= m_state >> 12;
    m_state ^= m_state << 25;
    m_state ^= m_state >> 27;
    return static_cast<uint32_t>((m_state * 0x2545F4914F6CDD1Dull) >> 32);
}

void Dram::report_violation(uint64_t cycle, const std::string& text) {
    m_num_violations++;
    if (m_violations.size() < MAX_REPORTED_VIOLATIONS)
        m_violations.push_back("cycle " + std::to_string(cycle) + ": " + text);
}

void Dram::dump(const std::string& path) const {
    write_file(path, m_memory.data(), m_memory.size());
}

}  // namespace tilewright
