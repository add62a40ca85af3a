#include "probes.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "verilated_sym_props.h"
#include "verilated_syms.h"

namespace tilewright {

namespace {

constexpr size_t MAX_REPORTED_MISMATCHES = 20;
constexpr size_t HEADER_BYTES = 24;

// Hierarchical names without the simulator's root and without escapes.
std::string normalize(const std::string& name) {
    std::string plain;
    for (const char c : name)
        if (c != '\\' && c != ' ') plain += c;
    return plain.rfind("TOP.", 0) == 0 ? plain.substr(4) : plain;
}

}  // namespace

const VerilatedVar* find_variable(const std::string& path) {
    const size_t dot = path.rfind('.');
    const std::string wanted_scope = path.substr(0, dot), wanted = path.substr(dot + 1);
    for (const auto& [scope_name, scope] : *Verilated::scopeNameMap()) {
        if (normalize(scope_name) != wanted_scope || scope->varsp() == nullptr) continue;
        for (const auto& [name, variable] : *scope->varsp())
            if (normalize(name) == wanted) return &variable;
    }
    return nullptr;
}

void RetirementRecorder::record(uint32_t pulses, uint64_t cycle) {
    for (; pulses != 0; pulses &= pulses - 1) {
        const auto engine = static_cast<uint32_t>(__builtin_ctz(pulses));
        m_entries.push_back({engine, ++m_counts[engine], cycle});
    }
}

void RetirementRecorder::write(const std::string& path) const {
    write_file(path, m_entries.data(), m_entries.size() * sizeof(Entry));
}

Expectations::Expectations(const Settings& settings) {
    for (const std::string& line : settings.all("sram")) add_sram(line);
    std::sort(m_srams.begin(), m_srams.end(),
              [](const Sram& a, const Sram& b) { return a.name < b.name; });
    m_file = read_file(settings.text("expectations"));
    for (size_t at = 0; at < m_file.size();) {
        uint32_t header[6];
        if (at + HEADER_BYTES > m_file.size()) fail("the expectation file is truncated");
        std::memcpy(header, &m_file[at], HEADER_BYTES);
        const auto [engine, count, sram, word, num_bytes, zero] = header;
        if (sram >= m_srams.size()) fail("the expectation file names an unknown SRAM");
        if (at + HEADER_BYTES + num_bytes > m_file.size())
            fail("the expectation file is truncated");
        m_records.insert({{engine, count}, {sram, word, num_bytes, at + HEADER_BYTES}});
        at += HEADER_BYTES + num_bytes;
    }
}

void Expectations::add_sram(const std::string& line) {
    std::istringstream words(line);
    Sram sram;
    words >> sram.name >> sram.word_bytes;
    for (std::string path; words >> path;) {
        const VerilatedVar* const variable = find_variable(path);
        if (variable == nullptr || variable->udims() != 1)
            fail("SRAM " + sram.name + ": the model has no public memory " + path);
        const uint32_t words_in_bank = static_cast<uint32_t>(variable->unpackedRanges()[0].elements());
        sram.banks.push_back({static_cast<const uint8_t*>(variable->datap()), words_in_bank,
                              variable->entSize()});
        if (sram.word_bytes > variable->entSize())
            fail("SRAM " + sram.name + ": words of " + path + " are narrower than " +
                 std::to_string(sram.word_bytes) + " bytes");
    }
    m_srams.push_back(sram);
}

const uint8_t* Expectations::Sram::word(uint32_t address) const {
    for (const Bank& bank : banks) {
        if (address < bank.words) return bank.data + size_t{address} * bank.entry_bytes;
        address -= bank.words;
    }
    fail("an expectation lies outside SRAM " + name);
}

void Expectations::check(uint32_t engine, uint32_t count, uint64_t cycle) {
    const auto range = m_records.equal_range({engine, count});
    for (auto entry = range.first; entry != range.second; ++entry)
        compare(entry->second, engine, count, cycle);
    m_records.erase(range.first, range.second);
}

void Expectations::compare(const Record& record, uint32_t engine, uint32_t count,
                           uint64_t cycle) {
    const Sram& sram = m_srams[record.sram];
    m_num_checked_bytes += record.num_bytes;
    for (uint32_t done = 0; done < record.num_bytes; done += sram.word_bytes) {
        const uint32_t word = record.word + done / sram.word_bytes;
        const uint8_t* const actual = sram.word(word);
        const uint8_t* const expected = &m_file[record.offset + done];
        const uint32_t size = std::min(sram.word_bytes, record.num_bytes - done);
        if (std::memcmp(actual, expected, size) == 0) continue;
        m_num_mismatches++;
        if (m_mismatches.size() >= MAX_REPORTED_MISMATCHES) continue;
        const auto at = std::mismatch(expected, expected + size, actual).first - expected;
        std::ostringstream text;
        text << engine << ' ' << count << ' ' << cycle << ' ' << sram.name << ' ' << word << ' '
             << at << ' ' << unsigned{expected[at]} << ' ' << unsigned{actual[at]};
        m_mismatches.push_back(text.str());
    }
}

}  // namespace tilewright
