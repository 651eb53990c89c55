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
#include "tests/faults/checked_value.h"
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
constexpr std::size_t shared_counters = 8;
constexpr std::size_t own_keys = 120;

/// What clients and the process that started them tell each other.
struct Shared {
    std::array<char, limits::handle_bytes_max> handle;
    std::atomic<bool> has_handle;
    std::atomic<bool> stop;
    std::atomic<std::uint64_t> operations;
    std::array<std::atomic<std::uint64_t>, shared_counters> added;
    std::atomic<std::uint64_t> longest_us;
};

std::string counter_name(std::size_t number) {
    return "shared counter " + std::to_string(number);
}

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

template <class T>
T expect(Result<T> result, const std::string& what) {
    if (!result.has_value()) fail(what + ": " + result.error().message());
    return *std::move(result);
}

/// One process, and what it knows of its own keys.
class Worker {
  public:
    Worker(const std::string& handle, Shared& shared, unsigned number, std::uint64_t seed)
        : shared_(shared),
          dict_(Dictionary::attach(handle, {.local_reads = number % 2 == 0})),
          name_("w" + std::to_string(number) + "/"),
          random_(seed) {}

    void run() {
        while (!shared_.stop) {
            const auto begin = steady_clock::now();
            one();
            const auto took =
                std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - begin);
            const auto us = static_cast<std::uint64_t>(took.count());
            if (us > shared_.longest_us) shared_.longest_us = us;
            shared_.operations.fetch_add(1, std::memory_order_relaxed);
        }
        for (const auto& [key, version] : versions_)
            check(key);
        if (expect(dict_.try_count_prefix(name_), "count") != versions_.size() + (sum_ != 0 ? 1 : 0))
            fail("there are other keys than those that were put");
    }

  private:
    std::uint64_t below(std::uint64_t end) { return random_() % end; }
    std::string any_key() { return name_ + std::to_string(below(own_keys)); }
    std::size_t any_size() {
        constexpr std::array<std::size_t, 6> sizes{0, 40, 300, 5'000, 40'000, 300'000};
        return sizes[below(20) == 0 ? 5 : below(8) == 0 ? 4 : below(4)];
    }

    void one() {
        const std::string key = any_key();
        const auto known = versions_.find(key);
        switch (below(10)) {
            case 0:
            case 1:
                return put(key);
            case 2:
            case 3:
            case 4:
                return check(key);
            case 5: {
                const bool was = expect(dict_.try_erase(key), "erase of " + key);
                if (was != (known != versions_.end())) fail("erase of " + key + ": made twice, or lost");
                if (was) versions_.erase(known);
                return;
            }
            case 6: {
                const auto taken = expect(dict_.try_pop<Value>(key), "pop of " + key);
                if (taken.has_value() != (known != versions_.end()))
                    fail("pop of " + key + ": twice, or lost");
                if (!taken) return;
                if (version_of(key, *taken) != known->second) fail("pop of " + key + ": another value");
                versions_.erase(known);
                return;
            }
            case 7: {
                const auto sum = expect(dict_.try_fetch_add<std::uint64_t>(name_ + "sum"), "fetch_add");
                if (sum != sum_++)
                    fail("fetch_add: " + std::to_string(sum) + " instead of " + std::to_string(sum_));
                return;
            }
            case 8: {
                const std::size_t which = below(shared_counters);
                expect(dict_.try_fetch_add<std::uint64_t>(counter_name(which)), "fetch_add");
                ++shared_.added[which];
                return;
            }
            default:
                return put_several();
        }
    }
    void put(const std::string& key) {
        const std::uint64_t version = ++last_version_;
        const Value value = checked_value(key, version, any_size());
        const Result<void> stored = dict_.try_put(key, value);
        if (!stored) fail("put of " + key + ": " + stored.error().message());
        versions_[key] = version;
    }
    void put_several() {
        Batch batch = dict_.batch();
        std::map<std::string, std::uint64_t> put;
        for (std::uint64_t i = 2 + below(20); i > 0; --i) {
            const std::string key = any_key();
            put[key] = ++last_version_;
        }
        for (const auto& [key, version] : put)
            batch.put(key, checked_value(key, version, below(300)));
        const Result<BatchReport> report = batch.try_commit();
        if (!report) fail("batch: " + report.error().message());
        if (!report->failures.empty()) fail("batch: " + report->failures[0].error.message());
        for (const auto& [key, version] : put)
            versions_[key] = version;
    }
    void check(const std::string& key) {
        const auto known = versions_.find(key);
        const Result<Value> value = dict_.try_get<Value>(key);
        if (!value) {
            if (value.error().code != Errc::not_found) fail("get of " + key + ": " + value.error().message());
            if (known != versions_.end()) fail("get of " + key + ": it is lost");
            return;
        }
        if (known == versions_.end()) fail("get of " + key + ": it is there again");
        const auto version = version_of(key, *value);
        if (!version) fail("get of " + key + ": a value that nobody has put");
        if (*version != known->second) fail("get of " + key + ": an older value");
    }

    Shared& shared_;
    Dictionary dict_;
    const std::string name_;
    std::mt19937_64 random_;
    std::map<std::string, std::uint64_t> versions_;  // of the keys that are there
    std::uint64_t last_version_ = 0;
    std::uint64_t sum_ = 0;
};

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
        if (!shared.stop) Worker(shared.handle.data(), shared, number, seed).run();
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
    for (std::size_t i = 0; i < shared_counters; ++i)
        dict.put(counter_name(i), std::uint64_t{0});
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
            std::cout << killer.killed() << " killed, " << shared.operations << " operations checked"
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
    for (std::size_t i = 0; i < shared_counters; ++i) {
        if (dict.get<std::uint64_t>(counter_name(i)) != shared.added[i])
            fail(counter_name(i) + ": not what was added");
    }
    std::uint64_t restarts = 0;
    for (const ManagerStats& stats : dict.stats())
        restarts += stats.restarts;
    dict.destroy();
    if (files_in_shared_memory() != files) fail("something is left in /dev/shm");
    std::cout << killer.killed() << " managers killed (" << killer.killed_early()
              << " as soon as others had taken their place), " << restarts << " recoveries, "
              << shared.operations << " operations checked, the longest took " << shared.longest_us / 1000
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
