#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace tilewright {

void fail(const std::string& text) {
    std::fprintf(stderr, "tilewright: %s\n", text.c_str());
    std::exit(3);
}

Settings::Settings(const std::string& path) {
    std::ifstream file(path);
    if (!file) fail("cannot read the settings file " + path);
    std::string line;
    while (std::getline(file, line)) {
        const size_t space = line.find(' ');
        if (space == std::string::npos) fail("malformed settings line: " + line);
        m_values.emplace(line.substr(0, space), line.substr(space + 1));
    }
}

const std::string& Settings::text(const std::string& key) const {
    const auto found = m_values.find(key);
    if (found == m_values.end()) fail("missing setting " + key);
    return found->second;
}

std::vector<std::string> Settings::all(const std::string& key) const {
    std::vector<std::string> values;
    const auto range = m_values.equal_range(key);
    for (auto entry = range.first; entry != range.second; ++entry) values.push_back(entry->second);
    return values;
}

void write_file(const std::string& path, const void* data, size_t size) {
    std::ofstream file(path, std::ios::binary);
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    file.close();
    if (!file) fail("cannot write " + path);
}

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace tilewright
