// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/saving_targets.h"
#include "bench/targets.h"
#include "bench/transport.h"
#include "os/descriptors.h"

namespace {

using namespace ddict::bench;

/// Before hours are spent on figures that cannot be written.
void check_writable(const std::string& file) {
    if (!file.empty() && !std::ofstream(file, std::ios::app)) {
        throw std::runtime_error("cannot write to " + file);
    }
}

void write(const std::string& file, const std::string& text) {
    if (file.empty()) return;
    std::ofstream out(file);
    out << text << std::flush;
    if (!out) throw std::runtime_error("cannot write to " + file);
}

void run_targets(const Options& options, const Machine& machine) {
    TargetFigures figures;
    {
        Progress progress;
        figures =
            options.targets ? measure_targets(options, progress) : measure_saving_targets(options, progress);
    }
    std::fputs(("\n" + table_of_targets(figures.targets)).c_str(), stdout);
    write(options.json, json(figures.records, machine, options, figures.targets));
}

std::vector<Record> measure_headline_over_each(const Options& options, Progress& progress) {
    std::vector<Record> all;
    for (const Transport transport : options.transports) {
        choose_transport(transport);
        for (Record& record : measure_headline(options, progress))
            all.push_back(std::move(record));
    }
    return all;
}

void run(const Options& options) {
    check_writable(options.json);
    choose_transport(options.transports.front());
    const Machine machine = look_at_machine();
    std::fputs(banner(machine, options).c_str(), stdout);
    std::fflush(stdout);
    if (options.targets || options.saving_targets) return run_targets(options, machine);
    std::vector<Record> records;
    {
        Progress progress;
        records = options.memory          ? measure_memory(options, progress)
                  : options.connections   ? measure_connections(options, progress)
                  : options.bring_up      ? measure_bring_up(options, progress)
                  : !options.save.empty() ? measure_saving(options, progress)
                  : options.idle != 0     ? measure_idle(options, progress)
                                          : measure_headline_over_each(options, progress);
    }
    std::fputs((options.headline() ? table(records) : list(records)).c_str(), stdout);
    write(options.json, json(records, machine, options));
}

}  // namespace

int main(int argc, char** argv) {
    ddict::os::ensure_standard_descriptors();
    try {
        const Options options = parse_options(std::vector<std::string>(argv + 1, argv + argc));
        if (options.help) {
            std::fputs(help_text().c_str(), stdout);
            return EXIT_SUCCESS;
        }
        if (options.version) {
            std::fputs("ddict-bench " DDICT_VERSION "\n", stdout);
            return EXIT_SUCCESS;
        }
        run(options);
        return EXIT_SUCCESS;
    } catch (const UsageError& error) {
        std::fprintf(stderr, "ddict-bench: %s (--help lists the options)\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ddict-bench: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
