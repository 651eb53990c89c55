// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/memory.h"

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace ddict::bench {

ProcessMemory memory_of(pid_t pid) {
    std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
    if (!smaps) throw std::runtime_error("the memory of process " + std::to_string(pid) + " cannot be read");
    ProcessMemory memory;
    bool is_pool = false;
    bool is_connection = false;
    for (std::string line; std::getline(smaps, line);) {
        std::istringstream words(line);
        std::string first;
        words >> first;
        if (first.empty()) continue;
        if (first.back() != ':') {  // a mapping begins: addresses, and at the end its file
            is_pool = line.find("/dev/shm/ddict-") != std::string::npos;
            is_connection = line.find("/memfd:ddict-connection") != std::string::npos;
            continue;
        }
        std::uint64_t kib = 0;
        words >> kib;
        const std::uint64_t bytes = kib * 1024;
        if (is_pool) {
            if (first == "Rss:") memory.pools += bytes;
        } else if (first == "Pss:") {
            memory.others += bytes;
        } else if (first == (is_connection ? "Rss:" : "Anonymous:")) {
            memory.own += bytes;
        }
    }
    return memory;
}

}  // namespace ddict::bench
