// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Managers that are killed at random moments (kill -9; some are only stopped for a while) while clients use
// them. Each client knows what its own keys must be, counts what it adds to shared ones, and checks every
// answer. scripts/soak starts it for longer.
#include <ddict/dictionary.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "tests/faults/checked_client.h"
#include "tests/faults/number_options.h"

namespace ddict::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct Options {
    std::uint64_t kills = 0;  // of managers; 0: as many as there is time for
    std::uint64_t seconds = 10;
    std::uint64_t seed = 0;
    std::uint64_t clients = 4;
    std::uint64_t managers = 4;
};

constexpr const char* usage =
    "usage: manager_soak [--kills N | --seconds N] [--seed S] [--clients N] [--managers N]\n"
    "\n"
    "Kills real managers on this machine at random moments (kill -9; some are only stopped for a while)\n"
    "under clients that check every answer. Nothing may be lost, made twice, wrong, or left behind.\n"
    "\n"
    "  --kills N     how many managers to kill\n"
    "  --seconds N   kill for so long instead (10)\n"
    "  --seed S      what is chosen at random (another one each time; it is printed)\n"
    "  --clients N   processes (4)\n"
    "  --managers N  managers (4)\n";

// Of kills of one manager within the time in which three would end it for good.
constexpr std::size_t kills_max = 2;
constexpr auto kills_counted_within = 10'500ms;

/// What clients and the process that started them tell each other.
struct Shared {
    static constexpr std::size_t clients_max = 64;
    std::array<char, limits::handle_bytes_max> handle;
    std::atomic<bool> has_handle;
    std::atomic<bool> stop;
    std::array<ClientRecord, clients_max> records;

    std::uint64_t operations() const {
        std::uint64_t sum = 0;
        for (const ClientRecord& record : records)
            sum += record.operations;
        return sum;
    }
    std::uint64_t longest_us() const {
        std::uint64_t longest = 0;
        for (const ClientRecord& record : records)
            longest = std::max(longest, record.longest_us.load());
        return longest;
    }
};

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

void run_worker(Shared& shared, unsigned number, std::uint64_t seed) {
    const Dictionary dict = Dictionary::attach(shared.handle.data(), {.local_reads = number % 2 == 0});
    CheckedClient client(dict, shared.records[number], "w" + std::to_string(number) + "/", seed, {});
    while (!shared.stop)
        client.step();
    client.check_all();
}

/// Before this process attaches: where UCX is used, none that is attached may fork.
pid_t start_worker(Shared& shared, unsigned number, std::uint64_t seed) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) fail("fork");
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    int status = 0;
    try {
        while (!shared.has_handle && !shared.stop)
            std::this_thread::sleep_for(1ms);
        if (!shared.stop) run_worker(shared, number, seed);
    } catch (const std::exception& error) {
        std::cerr << "client " << number << ": " << error.what() << std::endl;
        shared.stop = true;
        status = 1;
    }
    std::_Exit(status);
}

class Killer {
  public:
    Killer(Dictionary& dict, std::uint32_t managers, std::uint64_t seed)
        : dict_(dict), recent_(managers), random_(seed) {}

    /// Kills one, if one may be killed now.
    void kill_one() {
        const auto manager = static_cast<std::uint32_t>(random_() % recent_.size());
        std::deque<steady_clock::time_point>& recent = recent_[manager];
        const auto now = steady_clock::now();
        while (!recent.empty() && now - recent.front() > kills_counted_within)
            recent.pop_front();
        if (recent.size() == kills_max) return;
        const Result<ManagerStats> stats = dict_.try_stats(manager);
        if (!stats) fail("stats of manager " + std::to_string(manager) + ": " + stats.error().message());
        const pid_t pid = stats->pid;
        const pid_t launcher = parent_of(pid);
        if (random_() % 10 == 0) {
            ::kill(pid, SIGSTOP);
            std::this_thread::sleep_for(std::chrono::milliseconds(random_() % 300));
            ::kill(pid, SIGCONT);
            return;
        }
        recent.push_back(now);
        ::kill(pid, SIGKILL);
        ++killed_;
        // Sometimes again, while it comes back.
        if (random_() % 4 != 0 || recent.size() == kills_max) return;
        std::this_thread::sleep_for(std::chrono::microseconds(random_() % 12'000));
        if (const pid_t next = successor(launcher, manager, pid); next != 0) {
            recent.push_back(steady_clock::now());
            if (::kill(next, SIGKILL) == 0) ++killed_early_;
        }
    }
    std::uint64_t killed() const { return killed_ + killed_early_; }
    /// Of these, such that had not come back yet, or only just.
    std::uint64_t killed_early() const { return killed_early_; }

  private:
    /// The process that takes the manager's place; 0 if there is none yet.
    static pid_t successor(pid_t launcher, std::uint32_t manager, pid_t ended) {
        const std::string pool = "-m" + std::to_string(manager) + std::string(1, '\0');
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const pid_t pid = std::atoi(entry.path().filename().c_str());
            if (pid <= 0 || pid == ended || parent_of(pid) != launcher) continue;
            std::ifstream file(entry.path() / "cmdline");
            const std::string words{std::istreambuf_iterator<char>(file), {}};
            if (words.find(pool) != std::string::npos) return pid;
        }
        return 0;
    }
    static pid_t parent_of(pid_t pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        const std::size_t name_end = text.rfind(')');
        return name_end == std::string::npos ? -1 : std::atoi(text.c_str() + name_end + 4);
    }

    Dictionary& dict_;
    std::vector<std::deque<steady_clock::time_point>> recent_;
    std::mt19937_64 random_;
    std::uint64_t killed_ = 0;
    std::uint64_t killed_early_ = 0;
};

std::size_t files_in_shared_memory() {
    const std::filesystem::directory_iterator all("/dev/shm");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

void run(const Options& options) {
    std::cout << "seed " << options.seed << std::endl;
    const std::size_t files = files_in_shared_memory();
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    Shared& shared = *new (memory) Shared{};
    const auto managers = static_cast<std::uint32_t>(options.managers);
    std::mt19937_64 random(options.seed);
    std::vector<pid_t> workers;
    for (unsigned i = 0; i < options.clients; ++i)
        workers.push_back(start_worker(shared, i, random()));
    Dictionary dict =
        Dictionary::create({.managers_per_node = managers, .total_mem = options.managers * (96 << 20)});
    const std::string handle = dict.serialize();
    std::copy(handle.begin(), handle.end(), shared.handle.begin());
    shared.has_handle = true;

    Killer killer(dict, managers, random());
    const auto begin = steady_clock::now();
    const auto is_over = [&] {
        return options.kills != 0 ? killer.killed() >= options.kills
                                  : steady_clock::now() - begin >= std::chrono::seconds(options.seconds);
    };
    std::string trouble;
    std::uint64_t told = 0;
    try {
        while (!is_over() && !shared.stop) {
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % (2000 / options.managers)));
            killer.kill_one();
            if (killer.killed() / 100 == told) continue;
            told = killer.killed() / 100;
            std::cout << killer.killed() << " killed, " << shared.operations() << " operations checked"
                      << std::endl;
        }
    } catch (const std::exception& error) {
        trouble = error.what();
    }
    shared.stop = true;
    for (const pid_t worker : workers) {
        int status = 0;
        ::waitpid(worker, &status, 0);
        if (status != 0 && trouble.empty())
            trouble = "a client has ended with status " + std::to_string(status);
    }
    if (!trouble.empty()) fail(trouble);
    std::vector<const ClientRecord*> records;
    for (const ClientRecord& record : shared.records)
        records.push_back(&record);
    check_shared_counters(dict, records);
    std::uint64_t restarts = 0;
    for (const ManagerStats& stats : dict.stats())
        restarts += stats.restarts;
    dict.destroy();
    if (files_in_shared_memory() != files) fail("something is left in /dev/shm");
    std::cout << killer.killed() << " managers killed (" << killer.killed_early()
              << " as soon as others had taken their place), " << restarts << " recoveries, "
              << shared.operations() << " operations checked, the longest took " << shared.longest_us() / 1000
              << " ms" << std::endl;
}

Options options_of(int argc, char** argv) {
    Options options;
    options.seed = std::random_device{}();
    set_numbers(argc, argv,
                {{"--kills", &options.kills},
                 {"--seconds", &options.seconds},
                 {"--seed", &options.seed},
                 {"--clients", &options.clients},
                 {"--managers", &options.managers}});
    if (options.managers == 0 || options.managers > 64) throw std::invalid_argument("--managers");
    if (options.clients > Shared::clients_max) throw std::invalid_argument("--clients");
    return options;
}

}  // namespace
}  // namespace ddict::faults

int main(int argc, char** argv) {
    ddict::faults::Options options;
    try {
        options = ddict::faults::options_of(argc, argv);
    } catch (const std::invalid_argument&) {
        std::cerr << ddict::faults::usage;
        return 2;
    }
    try {
        ddict::faults::run(options);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "manager_soak: " << error.what() << " (seed " << options.seed << ")" << std::endl;
        return 1;
    }
}
