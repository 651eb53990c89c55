// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/cpus.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <system_error>

#include "base/assert.h"

namespace ddict::os {
namespace {

constexpr std::uint32_t cpus_max = 8192;  // as Linux can be built for
constexpr std::uint32_t domains_max = 1024;

Error system_error(const std::string& what) {
    return Error(Errc::system, what + ": " + std::generic_category().message(errno))
        .set_operation(Operation::launch);
}

/// glibc's own set ends at 1024.
struct CpuSet {
    std::vector<cpu_set_t> words = std::vector<cpu_set_t>(cpus_max / CPU_SETSIZE);
    std::size_t bytes() const { return words.size() * sizeof(cpu_set_t); }
};

std::optional<std::uint32_t> take_number(std::string_view& text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number >= cpus_max) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

}  // namespace

std::string format_cpus(const Cpus& cpus) {
    std::string text;
    for (std::size_t i = 0; i < cpus.size();) {
        std::size_t last = i;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1)
            ++last;
        text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
        if (last != i) text += "-" + std::to_string(cpus[last]);
        i = last + 1;
    }
    return text;
}

std::optional<Cpus> parse_cpus(std::string_view text) {
    Cpus cpus;
    for (;;) {
        const auto first = take_number(text);
        auto last = first;
        if (first && text.starts_with('-')) {
            text.remove_prefix(1);
            last = take_number(text);
        }
        if (!first || !last || *last < *first) return std::nullopt;
        for (std::uint32_t cpu = *first; cpu <= *last; ++cpu)
            cpus.push_back(cpu);
        if (text.empty()) break;
        if (!text.starts_with(',')) return std::nullopt;
        text.remove_prefix(1);
    }
    std::sort(cpus.begin(), cpus.end());
    cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
    return cpus;
}

Result<Cpus> own_cpus() {
    CpuSet set;
    if (::sched_getaffinity(0, set.bytes(), set.words.data()) != 0)
        return system_error("asking on which processors this process may run");
    Cpus cpus;
    for (std::uint32_t cpu = 0; cpu < cpus_max; ++cpu)
        if (CPU_ISSET_S(cpu, set.bytes(), set.words.data())) cpus.push_back(cpu);
    return cpus;
}

Result<void> bind_to_cpus(const Cpus& cpus) {
    CpuSet set;
    for (const std::uint32_t cpu : cpus) {
        DDICT_ASSERT(cpu < cpus_max, "no kernel has such a processor");
        CPU_SET_S(cpu, set.bytes(), set.words.data());
    }
    if (::sched_setaffinity(0, set.bytes(), set.words.data()) != 0)
        return system_error("binding to processors " + format_cpus(cpus));
    return {};
}

/// Preferred, and not bound: where the domain is full, a binding would have the kernel end the process.
Result<void> prefer_numa_domain(std::byte* at, std::uint64_t bytes, std::uint32_t domain) {
    constexpr std::uint32_t word_bits = std::numeric_limits<unsigned long>::digits;
    unsigned long mask[domains_max / word_bits] = {};
    DDICT_ASSERT(domain < domains_max, "no kernel has such a domain");
    mask[domain / word_bits] = 1UL << (domain % word_bits);
    // The kernel leaves the last bit of what it is told away.
    if (::syscall(SYS_mbind, at, bytes, MPOL_PREFERRED, mask, domains_max + 1UL, 0U) != 0)
        return system_error("taking memory from NUMA domain " + std::to_string(domain));
    return {};
}

}  // namespace ddict::os
