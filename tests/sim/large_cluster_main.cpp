// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// large_cluster [MANAGERS [CLIENTS]]: prints, as a table in Markdown, what a cluster of that size sends and
// holds. 10,000 managers and 100,000 clients take minutes, some 100 bytes of /dev/shm for each KiB of pools,
// and as many file descriptors as there are managers.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/sim/large_cluster.h"

namespace {

using namespace ddict::sim;

/// One segment is open for each manager.
void allow_files(std::uint64_t count) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < count + 100) {
        std::fprintf(stderr, "large_cluster: %llu managers need as many file descriptors (ulimit -Hn)\n",
                     static_cast<unsigned long long>(count));
        std::exit(2);
    }
}

double each(double sum, std::uint32_t count) {
    return sum / static_cast<double>(count);
}

void print(const LargeClusterOptions& options, const LargeClusterCosts& costs) {
    std::printf("%u managers on hosts of %u, %u clients, each with %u operations on %u managers\n\n",
                options.managers, options.managers_per_host, options.clients, options.operations,
                options.partners);
    std::puts(
        "| phase | messages / manager | most of one | bytes / manager | held / manager | messages / client | "
        "most of one | bytes / client | held / client | network ms | simulated in s |");
    std::puts("|---|---|---|---|---|---|---|---|---|---|---|");
    for (const PhaseCosts& one : costs.phases) {
        const auto manager = [&](auto sum) { return each(static_cast<double>(sum), options.managers); };
        const auto client = [&](auto sum) { return each(static_cast<double>(sum), options.clients); };
        std::printf("| %s | %.2f | %llu | %.0f | %.0f | %.2f | %llu | %.0f | %.0f | %.1f | %.1f |\n",
                    one.name.c_str(), manager(one.manager_messages),
                    static_cast<unsigned long long>(one.manager_messages_max), manager(one.manager_bytes),
                    manager(one.manager_memory), client(one.client_messages),
                    static_cast<unsigned long long>(one.client_messages_max), client(one.client_bytes),
                    client(one.client_memory), one.virtual_ms, one.seconds);
    }
    std::printf("\ndirectory of each node: %llu bytes; operations that failed: %llu\n",
                static_cast<unsigned long long>(costs.directory_bytes),
                static_cast<unsigned long long>(costs.operations_failed));
}

}  // namespace

int main(int argc, char** argv) {
    LargeClusterOptions options;
    if (argc > 1) options.managers = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
    options.clients = 10 * options.managers;
    if (argc > 2) options.clients = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
    if (argc > 3 || options.managers == 0 || options.clients == 0) {
        std::fputs("usage: large_cluster [MANAGERS [CLIENTS]]\n", stderr);
        return 2;
    }
    allow_files(options.managers);
    const LargeClusterCosts costs = run_large_cluster(options);
    print(options, costs);
    std::fputs(costs.problems.c_str(), stderr);
    return costs.problems.empty() && costs.operations_failed == 0 ? 0 : 1;
}
