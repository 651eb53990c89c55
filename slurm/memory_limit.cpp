// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/memory_limit.h"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace ddict::slurm {

namespace {

namespace fs = std::filesystem;

// Version 1 writes "no limit" as the largest multiple of a page, version 2 as "max".
constexpr std::uint64_t unlimited_from = std::uint64_t{1} << 60;
constexpr std::size_t entries_searched_max = 1'000'000;  // files of all cgroups of a large host

std::optional<std::string> read_file(const fs::path& path) {
    std::ifstream in(path);
    if (!in) return std::nullopt;
    std::ostringstream text;
    text << in.rdbuf();
    return std::move(text).str();
}

std::optional<std::uint64_t> read_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || stop == text.data()) return std::nullopt;
    return number;
}

std::optional<std::uint64_t> number_in_file(const fs::path& path) {
    const auto text = read_file(path);
    return text ? read_number(*text) : std::nullopt;
}

// The number after `name` and blanks, in a text of lines "name number".
std::optional<std::uint64_t> number_of(std::string_view text, std::string_view name) {
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view line = text.substr(at, text.find('\n', at) - at);
        at += line.size() + 1;
        if (!line.starts_with(name)) continue;
        const std::size_t begin = line.find_first_not_of(" \t", name.size());
        if (begin != name.size() && begin != std::string_view::npos) return read_number(line.substr(begin));
    }
    return std::nullopt;
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;)
        words.push_back(word);
    return words;
}

bool has_word(std::string_view list, std::string_view word) {
    while (true) {
        const std::string_view first = list.substr(0, list.find(','));
        if (first == word) return true;
        if (first.size() == list.size()) return false;
        list.remove_prefix(first.size() + 1);
    }
}

// How the two versions of cgroups name their files.
struct Version {
    const char* limit;
    const char* usage;
    const char* cache_prefix;  // in memory.stat
};
constexpr Version version1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_"};
constexpr Version version2{"memory.max", "memory.current", ""};

struct Hierarchy {
    const Version* version = nullptr;
    std::string root;   // what of the hierarchy is mounted
    fs::path mounted;   // where
    std::string group;  // of this process, seen from the top of the hierarchy
};

// The memory hierarchies that this process is in. A line of mountinfo:
// "36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup2 cgroup2 rw,memory"
std::vector<Hierarchy> find_hierarchies(const std::string& mountinfo, const std::string& own_cgroups) {
    std::vector<Hierarchy> found;
    std::istringstream mounts(mountinfo);
    for (std::string line; std::getline(mounts, line);) {
        const std::size_t dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        const auto mount = words_of(line.substr(0, dash));
        const auto type = words_of(line.substr(dash + 3));
        if (mount.size() < 5 || type.size() < 3) continue;
        if (type[0] == "cgroup2")
            found.push_back({&version2, mount[3], mount[4], ""});
        else if (type[0] == "cgroup" && has_word(type[2], "memory"))
            found.push_back({&version1, mount[3], mount[4], ""});
    }
    std::istringstream groups(own_cgroups);  // lines "4:memory:/path" and "0::/path"
    for (std::string line; std::getline(groups, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        for (Hierarchy& hierarchy : found)
            if (hierarchy.version == &version2 ? controllers.empty() : has_word(controllers, "memory"))
                hierarchy.group = line.substr(second + 1);
    }
    return found;
}

bool holds_this_process(const fs::path& directory) {
    std::ifstream processes(directory / "cgroup.procs");
    const std::int64_t self = getpid();
    for (std::int64_t process = 0; processes >> process;) {
        if (process == self) return true;
    }
    return false;
}

// The group of this process as seen from where the hierarchy is mounted, found by looking for the process.
std::optional<std::string> find_own_group(const fs::path& mounted) {
    if (holds_this_process(mounted)) return "/";
    std::error_code error;
    fs::recursive_directory_iterator at(mounted, fs::directory_options::skip_permission_denied, error);
    for (std::size_t seen = 0;
         !error && at != fs::recursive_directory_iterator() && seen < entries_searched_max;
         at.increment(error), ++seen) {
        if (at->is_directory(error) && holds_this_process(at->path()))
            return "/" + fs::relative(at->path(), mounted, error).string();
    }
    return std::nullopt;
}

// In a cgroup namespace paths begin at the group that it was made in; what was mounted outside begins above.
bool is_above_namespace(const Hierarchy& hierarchy) {
    return hierarchy.root.starts_with("/..") || hierarchy.group.starts_with("/..");
}

// Its own group first, then those above it, as far up as is mounted. None if the own one is not to be found.
std::vector<std::string> groups_upwards(const Hierarchy& hierarchy, const fs::path& mounted) {
    std::string group = hierarchy.group;
    if (is_above_namespace(hierarchy)) {
        const auto found = find_own_group(mounted);
        if (!found) return {};
        group = *found;
    } else if (hierarchy.root != "/") {
        if (!group.starts_with(hierarchy.root))
            return {"/"};  // of a container that sees only what is mounted
        group.erase(0, hierarchy.root.size());
    }
    std::vector<std::string> groups;
    while (group.size() > 1) {
        groups.push_back(group);
        group.erase(group.find_last_of('/'));
    }
    groups.emplace_back("/");
    return groups;
}

std::optional<MemoryLimit> limit_of_group(const fs::path& directory, const Version& version,
                                          const std::string& name) {
    const auto limit = number_in_file(directory / version.limit);
    if (!limit || *limit >= unlimited_from) return std::nullopt;
    const std::uint64_t usage = number_in_file(directory / version.usage).value_or(0);
    const std::string stat = read_file(directory / "memory.stat").value_or("");
    std::uint64_t cache = 0;
    for (const char* const kind : {"inactive_file", "active_file"})
        cache += number_of(stat, version.cache_prefix + std::string(kind)).value_or(0);
    return MemoryLimit{*limit, usage > cache ? usage - cache : 0, "the cgroup " + name};
}

}  // namespace

Result<MemoryLimit> memory_limit(std::optional<std::uint64_t> job_memory_bytes, const fs::path& root) {
    std::vector<MemoryLimit> limits;
    const std::string meminfo = read_file(root / "proc/meminfo").value_or("");
    const auto total_kb = number_of(meminfo, "MemTotal:");
    const auto available_kb = number_of(meminfo, "MemAvailable:");
    if (!total_kb || !available_kb || *available_kb > *total_kb)
        return Error(Errc::system, "/proc/meminfo does not say how much memory this node has")
            .set_operation(Operation::launch);
    limits.push_back({*total_kb << 10, (*total_kb - *available_kb) << 10, "this node's memory"});
    if (job_memory_bytes) limits.push_back({*job_memory_bytes, 0, "the memory that the job asked for"});

    const std::string own_cgroups = read_file(root / "proc/self/cgroup").value_or("");
    const auto hierarchies =
        find_hierarchies(read_file(root / "proc/self/mountinfo").value_or(""), own_cgroups);
    std::string unseen;
    if (hierarchies.empty() && !own_cgroups.empty())
        unseen = "no cgroups are mounted here, so that a memory limit of theirs cannot be seen";
    for (const Hierarchy& hierarchy : hierarchies) {
        const fs::path mounted = root / hierarchy.mounted.relative_path();
        const auto groups = groups_upwards(hierarchy, mounted);
        if (groups.empty())
            unseen =
                "this process's cgroup is not among those mounted here, so that its memory limit cannot be "
                "seen";
        for (const std::string& group : groups) {
            const fs::path directory = mounted / fs::path(group).relative_path();
            if (auto limit = limit_of_group(directory, *hierarchy.version, group)) limits.push_back(*limit);
        }
    }
    MemoryLimit tightest = limits.front();
    for (const MemoryLimit& limit : limits)
        if (limit.free_bytes() < tightest.free_bytes()) tightest = limit;
    tightest.unseen = std::move(unseen);
    return tightest;
}

}  // namespace ddict::slurm
