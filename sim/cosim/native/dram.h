// AXI4 DRAM model: latency, bandwidth, outstanding bursts, stalls, injected errors, rule checks.
//
// Timing. A read burst whose address handshake is in cycle t shows its first beat in cycle
// t + latency at the earliest; a write burst whose last data handshake is in cycle t shows its
// response in cycle t + latency. Reads and writes are independent; each direction moves at most
// `beats_per_cycle` beats. Bursts are served in order of arrival; with stalls on, latencies are
// random, readies and valids are withheld at random, and bursts of different IDs overtake each
// other (never those of one ID).
//
// Ordering is the strictest AXI allows a master to rely on: a read sees memory as it was at its
// address handshake, a write changes memory when its response appears.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "settings.h"

namespace tilewright {

struct AddressChannel {
    uint64_t address = 0;
    uint8_t id = 0, length = 0, size = 0, burst = 0;
    bool operator==(const AddressChannel&) const = default;
};

// What the design drives in a cycle.
struct MasterSignals {
    bool ar_valid, aw_valid, w_valid, w_last, r_ready, b_ready;
    AddressChannel ar, aw;
    const uint8_t* w_data;
    uint64_t w_strobes;
};

// What the DRAM drives in a cycle. r_data points to one beat.
struct SlaveSignals {
    bool ar_ready = false, aw_ready = false, w_ready = false;
    bool r_valid = false, r_last = false, b_valid = false;
    uint8_t r_id = 0, r_response = 0, b_id = 0, b_response = 0;
    const uint8_t* r_data = nullptr;
};

struct DramStatistics {
    uint64_t read_bursts = 0, read_beats = 0, write_bursts = 0, write_beats = 0;
    uint64_t read_bytes = 0, write_bytes = 0;
    uint64_t read_stall_cycles = 0, write_wait_cycles = 0;
    uint64_t max_outstanding_reads = 0, max_outstanding_writes = 0;
    uint64_t read_beats_by_id[16] = {};
    uint64_t error_responses = 0;
};

class Dram {
public:
    explicit Dram(const Settings& settings);

    // Take the signals of `cycle` and compute those of the next one.
    void step(const MasterSignals& master, uint64_t cycle);
    const SlaveSignals& signals() const { return m_slave; }

    bool idle() const { return m_reads.empty() && m_writes.empty() && m_write_beats.empty(); }
    void report_violation(uint64_t cycle, const std::string& text);
    void dump(const std::string& path) const;
    const DramStatistics& statistics() const { return m_statistics; }
    const std::vector<std::string>& violations() const { return m_violations; }
    uint64_t num_violations() const { return m_num_violations; }

private:
    struct Burst {
        AddressChannel request;
        uint64_t ready_cycle = 0;      // first cycle in which a beat or the response may show
        unsigned beats_done = 0;
        bool complete = false;         // write: all data received
        std::vector<uint8_t> data;     // length + 1 beats
        std::vector<uint64_t> strobes;
        std::vector<uint8_t> responses;
    };
    struct WriteBeat {
        std::vector<uint8_t> data;
        uint64_t strobes;
        bool last;
    };
    struct ErrorRange {
        uint64_t first, last;
        bool read, write;
        uint8_t response;
    };

    void check_stable(const MasterSignals& master, uint64_t cycle);
    void check_request(const AddressChannel& request, const char* channel, uint64_t cycle);
    void accept_read(const AddressChannel& request, uint64_t cycle);
    void accept_write_beat(const MasterSignals& master);
    void match_write_beats(uint64_t cycle);
    void finish_write_beat(Burst& burst, const WriteBeat& beat, uint64_t cycle);
    void offer_read_beat(uint64_t next_cycle);
    void offer_response(uint64_t next_cycle);
    void commit(Burst& burst);
    uint8_t response_for(uint64_t address, unsigned bytes, bool write) const;
    uint64_t beat_address(const AddressChannel& request, unsigned beat) const;
    uint64_t lane_mask(const AddressChannel& request, unsigned beat) const;
    bool in_image(uint64_t address, uint64_t bytes) const;
    int pick(const std::deque<Burst>& bursts, uint64_t next_cycle, int current);
    uint64_t latency();
    bool stall();
    uint32_t random();

    const unsigned m_bus_bytes, m_latency, m_max_outstanding;
    const uint32_t m_rate;             // beats per cycle in 1/65536
    const uint32_t m_stall_threshold;  // probability in 1/2^32
    const bool m_random, m_allow_out_of_range;
    const uint64_t m_base;
    std::vector<uint8_t> m_memory, m_idle_data;
    std::vector<ErrorRange> m_errors;
    uint64_t m_state;                  // of the random numbers

    std::deque<Burst> m_reads, m_writes;
    std::deque<WriteBeat> m_write_beats;
    std::vector<std::vector<uint8_t>> m_pool;
    int m_current_read = -1, m_current_response = -1;
    uint32_t m_read_credit = 65536, m_write_credit = 65536;
    SlaveSignals m_slave;
    MasterSignals m_previous{};
    std::vector<uint8_t> m_previous_data;
    DramStatistics m_statistics;
    std::vector<std::string> m_violations;
    uint64_t m_num_violations = 0;
};

}  // namespace tilewright
