// Retirement recorder and SRAM expectations, both driven by the engines' retire pulses.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "settings.h"
#include "verilated.h"

namespace tilewright {

// Finds a public variable by its dotted path below the top level; null when there is none.
const VerilatedVar* find_variable(const std::string& path);

// Records (engine, count, cycle) of every retirement; count starts at 1.
class RetirementRecorder {
public:
    void record(uint32_t pulses, uint64_t cycle);
    uint32_t count(unsigned engine) const { return m_counts[engine]; }
    void write(const std::string& path) const;

private:
    struct Entry {
        uint32_t engine, count;
        uint64_t cycle;
    };
    uint32_t m_counts[32] = {};
    std::vector<Entry> m_entries;
};

// Compares SRAM words with what an independent model expects at given retirements.
class Expectations {
public:
    // Reads the "sram" settings ("name word_bytes path path ...": banks in address order) and the
    // expectation file: records of six little-endian uint32 (engine, count, index of the SRAM in
    // alphabetical order, word, number of bytes, 0), then that many bytes.
    explicit Expectations(const Settings& settings);

    // Checks everything expected of the `count`-th retirement of `engine`.
    void check(uint32_t engine, uint32_t count, uint64_t cycle);
    uint64_t num_checked_bytes() const { return m_num_checked_bytes; }
    uint64_t num_mismatches() const { return m_num_mismatches; }
    size_t num_unchecked() const { return m_records.size(); }
    const std::vector<std::string>& mismatches() const { return m_mismatches; }

private:
    struct Bank {
        const uint8_t* data;
        uint32_t words, entry_bytes;
    };
    struct Sram {
        std::string name;
        uint32_t word_bytes;
        std::vector<Bank> banks;
        const uint8_t* word(uint32_t address) const;
    };
    struct Record {
        uint32_t sram, word, num_bytes;
        size_t offset;  // of the bytes in the file
    };

    void add_sram(const std::string& line);
    void compare(const Record& record, uint32_t engine, uint32_t count, uint64_t cycle);

    std::vector<Sram> m_srams;
    std::vector<uint8_t> m_file;
    std::multimap<std::pair<uint32_t, uint32_t>, Record> m_records;
    std::vector<std::string> m_mismatches;
    uint64_t m_num_checked_bytes = 0, m_num_mismatches = 0;
};

}  // namespace tilewright
