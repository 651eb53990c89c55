// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/footprint.h"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ddict::faults {
namespace {

std::string folder_of(pid_t process) {
    return "/proc/" + std::to_string(process);
}

/// Those that contain `text`.
std::uint64_t lines_of(const std::string& path, std::string_view text = {}) {
    std::ifstream file(path);
    std::uint64_t count = 0;
    for (std::string line; std::getline(file, line);)
        if (line.find(text) != line.npos) ++count;
    return count;
}

std::uint64_t entries_of(const std::string& folder) {
    std::error_code none;
    std::uint64_t count = 0;
    for (std::filesystem::directory_iterator at(folder, none), end; !none && at != end; at.increment(none))
        ++count;
    return count;
}

}  // namespace

std::uint64_t descriptors_of(pid_t process) {
    return entries_of(folder_of(process) + "/fd");
}

std::uint64_t anonymous_kib_of(pid_t process) {
    std::ifstream status(folder_of(process) + "/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8));
    return 0;
}

Footprint Footprint::of(const Dictionary& dictionary, const std::vector<pid_t>& managers) {
    Footprint sum;
    for (const ManagerStats& stats : dictionary.stats()) {
        sum.sessions += stats.sessions;
        sum.waiting += stats.waiting;
        sum.payloads_in_flight += stats.payloads_in_flight;
        sum.keys += stats.keys;
        sum.used_bytes += stats.used_bytes;
    }
    for (const pid_t manager : managers) {
        sum.descriptors += descriptors_of(manager);
        const std::string maps = folder_of(manager) + "/maps";
        const std::uint64_t of_connections = lines_of(maps, "ddict-connection");
        sum.connection_mappings += of_connections;
        sum.other_mappings += lines_of(maps) - of_connections;
        sum.anonymous_kib += anonymous_kib_of(manager);
    }
    sum.shared_memory_files = entries_of("/dev/shm");
    sum.system_v_segments = lines_of("/proc/sysvipc/shm");
    return sum;
}

bool Footprint::is_back_at(const Footprint& before, std::uint64_t growth_kib,
                           std::uint64_t growth_mappings) const {
    Footprint expected = before;
    expected.anonymous_kib = anonymous_kib;
    expected.other_mappings = other_mappings;
    return text() == expected.text() && anonymous_kib <= before.anonymous_kib + growth_kib &&
           other_mappings <= before.other_mappings + growth_mappings;
}

std::string Footprint::text() const {
    std::ostringstream out;
    out << "sessions " << sessions << ", waiting " << waiting << ", payloads under way " << payloads_in_flight
        << ", keys " << keys << ", used bytes " << used_bytes << ", descriptors " << descriptors
        << ", mappings of connections " << connection_mappings << ", others " << other_mappings
        << ", anonymous KiB " << anonymous_kib << ", files in /dev/shm " << shared_memory_files
        << ", System V segments " << (system_v_segments == 0 ? 0 : system_v_segments - 1);
    return out.str();
}

}  // namespace ddict::faults
