// The run's parameters: a text file of lines "key value", keys may repeat.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tilewright {

class Settings {
public:
    explicit Settings(const std::string& path);

    bool has(const std::string& key) const { return m_values.count(key) != 0; }
    const std::string& text(const std::string& key) const;
    uint64_t number(const std::string& key) const { return std::stoull(text(key), nullptr, 0); }
    double real(const std::string& key) const { return std::stod(text(key)); }
    std::vector<std::string> all(const std::string& key) const;

private:
    std::multimap<std::string, std::string> m_values;
};

// Write a whole file; ends the process with a message when that fails.
void write_file(const std::string& path, const void* data, size_t size);
// Read a whole file; ends the process with a message when that fails.
std::vector<uint8_t> read_file(const std::string& path);
// Print "tilewright: text" and end the process with exit status 3.
[[noreturn]] void fail(const std::string& text);

}  // namespace tilewright
