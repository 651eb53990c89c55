// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// usage: ddict-pmix-server CLIENTS SECONDS DIRECTORY COMMAND [ARGS...]
// Starts COMMAND so many times as PMIx clients. A line on standard output for each that ends:
// "RANK exit|signal CODE finalized|lost". Exit status 0 if all could be served, however they ended.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/pmix/forking_server.h"

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "usage: %s CLIENTS SECONDS DIRECTORY COMMAND [ARGS...]\n", argv[0]);
        return 2;
    }
    ddict::pmix::Launch launch;
    launch.clients = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
    launch.time_max = std::chrono::seconds(std::strtol(argv[2], nullptr, 10));
    launch.directory = argv[3];
    launch.command.assign(argv + 4, argv + argc);
    const std::string trouble = ddict::pmix::run_clients(launch, [](const ddict::pmix::Exit& exit) {
        std::printf("%u %s %d %s\n", exit.rank, exit.signalled ? "signal" : "exit", exit.code,
                    exit.finalized ? "finalized" : "lost");
        std::fflush(stdout);
    });
    if (trouble.empty()) return 0;
    std::fprintf(stderr, "ddict-pmix-server: %s\n", trouble.c_str());
    return 1;
}
