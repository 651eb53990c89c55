// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients that are killed at random moments, short clients, short threads and forks, against real managers.
// All values are checked, and afterwards the managers must be as they were. scripts/soak starts it.
#include <ddict/dictionary.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/faults/checked_value.h"
#include "tests/faults/footprint.h"
#include "tests/faults/number_options.h"
#include "tests/faults/workers.h"

namespace ddict::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct Options {
    std::uint64_t kills = 20'000;
    std::uint64_t clients = 10'000;
    std::uint64_t threads = 10'000;
    std::uint64_t forks = 100'000;
    std::uint64_t crowd = 20'000;
    std::uint64_t descriptors = 0;  // of each process; 0: as many as the crowd takes
    std::uint64_t minutes = 0;      // of kills; 0: as long as they take
    std::uint64_t seed = 0;
    std::uint64_t victims = 4;  // at once
    std::uint64_t managers = 2;
    std::uint64_t growth_kib = 1024;  // of a manager's heap, however many clients there were
};

// The first argument of a process that this program starts.
constexpr const char* forking_parent = "forking-parent";

constexpr const char* usage =
    "usage: soak [--kills N] [--minutes N] [--clients N] [--threads N] [--forks N] [--crowd N]\n"
    "            [--descriptors N] [--seed S] [--victims N] [--managers N] [--growth KIB]\n"
    "\n"
    "Kills clients of real managers on this machine at random moments (kill -9, SIGSEGV, SIGSTOP), runs "
    "short\n"
    "clients, short threads, forks, and a crowd of clients at once, and checks that nothing is lost, wrong, "
    "or left behind.\n"
    "\n"
    "  --kills N     how many clients to kill (20000)\n"
    "  --minutes N   kill for so long instead\n"
    "  --clients N   short clients (10000)\n"
    "  --threads N   short threads (10000)\n"
    "  --forks N     children of an attached process (100000)\n"
    "  --crowd N     clients at the same time (20000)\n"
    "  --descriptors N  the limit of each process (as many as the crowd takes): for more, clients are "
    "refused\n"
    "  --seed S      what is chosen at random (another one each time; it is printed)\n"
    "  --victims N   clients that are killed at the same time (4, at most 64)\n"
    "  --managers N  managers (2)\n"
    "  --growth KIB  what the heap of a manager may keep in the end (1024)\n";

constexpr rlim_t spare_descriptors = 1000;
constexpr std::uint64_t members_per_process = 500;
constexpr std::uint64_t descriptors_per_member = 8;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

Options options_of(int argc, char** argv) {
    Options options;
    options.seed = std::random_device{}();
    set_numbers(argc, argv,
                {{"--kills", &options.kills},
                 {"--clients", &options.clients},
                 {"--threads", &options.threads},
                 {"--forks", &options.forks},
                 {"--crowd", &options.crowd},
                 {"--descriptors", &options.descriptors},
                 {"--minutes", &options.minutes},
                 {"--seed", &options.seed},
                 {"--victims", &options.victims},
                 {"--managers", &options.managers},
                 {"--growth", &options.growth_kib}});
    if (options.victims == 0 || options.victims > SharedState::victims_at_once_max || options.managers == 0)
        throw std::invalid_argument("--victims or --managers");
    return options;
}

/// For each process: managers take as many as they may. To raise the limit takes root, in some containers
/// more. Returns whether nobody may be refused for want of descriptors.
bool limit_descriptors(const Options& options) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    const rlim_t needed = options.crowd + spare_descriptors;  // one a client
    const rlim_t wanted =
        options.descriptors != 0 ? options.descriptors : std::max<rlim_t>(files.rlim_max, needed);
    const rlimit limit{wanted, wanted};
    const bool set = ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
    if (!set && options.descriptors != 0) fail("cannot set the limit of descriptors (ulimit -Hn)");
    const rlim_t have = set ? wanted : files.rlim_max;
    if (have < needed)
        std::cout << "with " << have << " descriptors for each process, some of " << options.crowd
                  << " clients may be refused (ulimit -Hn)" << std::endl;
    return have >= needed;
}

SharedState& make_shared_state() {
    void* const memory =
        ::mmap(nullptr, sizeof(SharedState), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return *new (memory) SharedState{};
}

pid_t start(const std::function<void()>& run) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) fail("fork");
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    run();
    ::_exit(3);
}

int status_of(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) fail("waitpid");
    return status;
}

class Soak {
  public:
    Soak(const Options& options, bool enough_descriptors)
        : options_(options),
          enough_descriptors_(enough_descriptors),
          random_(options.seed),
          shared_(make_shared_state()),
          dict_(Dictionary::create({.managers_per_node = static_cast<std::uint32_t>(options.managers),
                                    .total_mem = options.managers * (std::uint64_t{128} << 20),
                                    .name = "soak",
                                    .attach = {.local_reads = false}})),
          handle_(dict_.serialize()) {
        for (const ManagerStats& stats : dict_.stats())
            managers_.push_back(stats.pid);
    }

    void run() {
        flat("short clients", options_.clients, [this](std::uint64_t count) { short_clients(count); });
        flat("short threads", options_.threads, [this](std::uint64_t count) {
            await_good_end(start([&] { run_threads(handle_, count); }), "threads");
        });
        flat("forks", options_.forks, [this](std::uint64_t count) {
            await_good_end(start([&] { execute_forking_parent(count); }), "forks");
        });
        // The heap of a manager stays as large as the largest crowd has made it.
        flat("crowd", options_.crowd, options_.crowd, [this](std::uint64_t count) { crowd(count); });
        if (options_.kills != 0 || options_.minutes != 0) kills();
        dict_.destroy();
    }

  private:
    static constexpr std::uint64_t growth_mappings = 8;

    Footprint footprint() const { return Footprint::of(dict_, managers_); }

    void compare(const std::string& what, const Footprint& before) const {
        Footprint after = footprint();
        const auto is_back = [&] {
            return after.is_back_at(before, options_.growth_kib * options_.managers,
                                    growth_mappings * options_.managers);
        };
        for (const auto deadline = steady_clock::now() + 20s; !is_back() && steady_clock::now() < deadline;
             after = footprint())
            std::this_thread::sleep_for(10ms);
        std::cout << what << ": before: " << before.text() << "\n"
                  << what << ": after:  " << after.text() << std::endl;
        if (!is_back()) fail(what + ": something is left");
    }

    static void await_good_end(pid_t pid, const char* what) {
        if (const int status = status_of(pid); status != 0)
            fail(std::string(what) + ": a process ended with status " + std::to_string(status));
    }

    /// Itself no child of a fork that uses UCX: it is to have UCX up.
    void execute_forking_parent(std::uint64_t count) const {
        ::setenv("DDICT_HANDLE", handle_.c_str(), 1);
        ::execl("/proc/self/exe", "soak", forking_parent, std::to_string(count).c_str(), nullptr);
    }

    /// Some first, so that what is kept once is there: of those that come one after the other a tenth.
    void flat(const std::string& what, std::uint64_t count,
              const std::function<void(std::uint64_t)>& run_some) {
        flat(what, std::max<std::uint64_t>(count / 10, 40), count, run_some);
    }
    void flat(const std::string& what, std::uint64_t first, std::uint64_t count,
              const std::function<void(std::uint64_t)>& run_some) {
        if (count == 0) return;
        const auto begin = steady_clock::now();
        run_some(first);
        const Footprint before = settled_footprint();
        run_some(count);
        compare(what, before);
        const std::chrono::duration<double> took = steady_clock::now() - begin;
        std::cout << what << ": " << count << " in " << took.count() << " s\n" << std::endl;
    }

    /// Once nothing changes any more: UCX closes its sockets a moment after a session has ended.
    Footprint settled_footprint() const {
        wait_until_alone();
        Footprint last = footprint();
        for (const auto deadline = steady_clock::now() + 20s; steady_clock::now() < deadline;) {
            std::this_thread::sleep_for(100ms);
            const Footprint now = footprint();
            if (now.is_back_at(last, 0, 0)) return now;
            last = now;
        }
        fail("the managers do not come to rest: " + last.text());
    }

    /// Only this process has sessions.
    void wait_until_alone() const {
        const auto deadline = steady_clock::now() + 20s;
        while (footprint().sessions > options_.managers) {
            if (steady_clock::now() > deadline) fail("sessions are left: " + footprint().text());
            std::this_thread::sleep_for(5ms);
        }
    }

    void short_clients(std::uint64_t count) {
        std::vector<pid_t> running;
        for (std::uint64_t i = 0; i < count; ++i) {
            if (running.size() == options_.victims) {
                await_good_end(running.front(), "short clients");
                running.erase(running.begin());
            }
            running.push_back(start([&] { run_short_client(handle_, i); }));
        }
        for (const pid_t pid : running)
            await_good_end(pid, "short clients");
    }

    /// All of them at once, beside two that check every answer.
    void crowd(std::uint64_t count) {
        shared_.members = shared_.refused = 0;
        shared_.crowd_leaves = shared_.stop = false;
        const auto begin = steady_clock::now();
        // Those who are refused take all of it, one after the other.
        const std::chrono::milliseconds timeout = enough_descriptors_ ? 60s : 3s;
        std::vector<pid_t> processes;
        for (unsigned i = 0; i < 2; ++i)
            processes.push_back(start([&] { run_steady(handle_, shared_, i); }));
        const std::uint64_t per_process =
            options_.descriptors == 0
                ? members_per_process
                : std::clamp<std::uint64_t>(options_.descriptors / descriptors_per_member, 1,
                                            members_per_process);
        for (std::uint64_t left = count; left > 0;) {
            const std::uint64_t here = std::min(left, per_process);
            processes.push_back(start([&] { run_members(handle_, shared_, here, timeout); }));
            left -= here;
        }
        while (shared_.members + shared_.refused < count) {
            for (const pid_t pid : processes)
                if (::waitpid(pid, nullptr, WNOHANG) != 0) fail("crowd: a process has ended");
            std::this_thread::sleep_for(10ms);
        }
        const std::chrono::duration<double> took = steady_clock::now() - begin;
        std::cout << "crowd: " << shared_.members << " came and " << shared_.refused << " were refused in "
                  << took.count() << " s\ncrowd: " << footprint().text() << std::endl;
        if (footprint().sessions < shared_.members) fail("crowd: sessions are missing");
        if (shared_.members == 0 || (enough_descriptors_ && shared_.refused != 0))
            fail("crowd: a client was refused, and there were descriptors for it");
        shared_.crowd_leaves = shared_.stop = true;
        for (const pid_t pid : processes)
            await_good_end(pid, "crowd");
        static_cast<void>(dict_.erase_prefix("member "));
    }

    // ---- kills ----

    struct Slot {
        pid_t pid = -1;
        std::uint64_t number = 0;
        steady_clock::time_point kill_at;
        bool is_stopped = false;
    };

    void kills() {
        slots_.resize(options_.victims);
        kill_some(Phase::none, std::min<std::uint64_t>(options_.kills / 10 + 10, 500));
        static_cast<void>(dict_.erase_prefix("victim "));
        const Footprint before = settled_footprint();
        shared_.stop = false;
        std::vector<pid_t> steady;
        for (unsigned i = 0; i < 2; ++i)
            steady.push_back(start([&] { run_steady(handle_, shared_, i); }));
        // Short blocks of either, so that both see the same machine.
        const std::uint64_t block = options_.kills != 0 && options_.kills < 200 ? 10 : 25;
        const auto end = steady_clock::now() + std::chrono::minutes(options_.minutes);
        while (options_.minutes != 0 ? steady_clock::now() < end : killed_ < options_.kills) {
            kill_some(Phase::undisturbed, block);
            kill_some(Phase::kills, 2 * block);
            if (killed_ / 1000 != (killed_ - 2 * block) / 1000)
                std::cout << "kills: " << killed_ << " so far" << std::endl;
            for (const pid_t pid : steady)
                if (::kill(pid, 0) != 0 || ::waitpid(pid, nullptr, WNOHANG) != 0)
                    fail("a steady client has ended");
        }
        shared_.phase = Phase::none;
        shared_.stop = true;
        for (const pid_t pid : steady)
            await_good_end(pid, "steady clients");
        static_cast<void>(dict_.erase_prefix("victim "));
        compare("kills", before);
        report();
    }

    /// `count` victims, at most options_.victims of them at once.
    void kill_some(Phase phase, std::uint64_t count) {
        shared_.phase = phase;
        const bool leave = phase == Phase::undisturbed;
        std::uint64_t started = 0;
        for (std::uint64_t ended = 0; ended < count;) {
            Slot* next = nullptr;
            for (Slot& slot : slots_) {
                if (slot.pid < 0 && started < count) {
                    begin(slot);
                    ++started;
                }
                if (slot.pid >= 0 && (next == nullptr || slot.kill_at < next->kill_at)) next = &slot;
            }
            std::this_thread::sleep_until(next->kill_at);
            if (end(*next, leave)) ++ended;
        }
    }

    void begin(Slot& slot) {
        slot.number = ++victims_;
        const std::size_t index = static_cast<std::size_t>(&slot - slots_.data());
        VictimRecord& record = shared_.victims[index];
        record.doing = Doing::starting;
        record.is_to_leave = false;
        for (std::size_t i = 0; i < keys_of_victim; ++i)
            record.begun[i] = record.acknowledged[i] = 0;
        const std::uint64_t seed = random_();
        // A third while it starts and attaches.
        const std::uint64_t life_us = random_() % 3 == 0 ? random_() % 1500 : random_() % 12'000;
        slot.is_stopped = false;
        slot.kill_at = steady_clock::now() + std::chrono::microseconds(life_us);
        slot.pid = start([&] { run_victim(handle_, shared_, index, slot.number, seed); });
    }

    /// False if it lives on for a while: it was stopped.
    bool end(Slot& slot, bool leaves) {
        VictimRecord& record = shared_.victims[static_cast<std::size_t>(&slot - slots_.data())];
        if (leaves) {
            record.is_to_leave = true;
            await_good_end(slot.pid, "clients that come and go");
        } else if (!slot.is_stopped && random_() % 6 == 0) {
            ::kill(slot.pid, SIGSTOP);
            slot.is_stopped = true;
            slot.kill_at = steady_clock::now() + std::chrono::microseconds(random_() % 20'000);
            return false;
        } else {
            if (!slot.is_stopped && random_() % 8 == 0) {  // while it leaves
                record.is_to_leave = true;
                std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3000));
            }
            const int signal = random_() % 5 == 0 ? SIGSEGV : SIGKILL;
            ++killed_doing_[static_cast<std::size_t>(record.doing.load())];
            if (slot.is_stopped && random_() % 2 == 0) ::kill(slot.pid, SIGCONT);
            ::kill(slot.pid, signal);
            if (slot.is_stopped) ::kill(slot.pid, SIGCONT);
            ++(slot.is_stopped ? stopped_ : signal == SIGSEGV ? crashed_ : killed_outright_);
            ++killed_;
            const int status = status_of(slot.pid);
            const bool has_left = record.is_to_leave && status == 0;
            if (!WIFSIGNALED(status) && !has_left) fail("a victim failed: status " + std::to_string(status));
        }
        slot.pid = -1;
        check_what_is_left(slot);
        return true;
    }

    /// What was acknowledged is there; what is there was written.
    void check_what_is_left(const Slot& slot) {
        const VictimRecord& record = shared_.victims[static_cast<std::size_t>(&slot - slots_.data())];
        std::vector<std::string> keys;
        for (std::size_t i = 0; i < keys_of_victim; ++i)
            keys.push_back(key_of_victim(slot.number, i));
        const auto values = dict_.multi_get<Value>(keys);
        for (std::size_t i = 0; i < keys_of_victim; ++i) {
            const auto version =
                values[i] ? version_of(keys[i], *values[i]) : std::optional<std::uint64_t>(0);
            if (!version || *version < record.acknowledged[i] || *version > record.begun[i])
                fail("the value of '" + keys[i] + "' is version " +
                     (version ? std::to_string(*version) : "(broken)") + ", of which " +
                     std::to_string(record.acknowledged[i]) + " was acknowledged, and " +
                     std::to_string(record.begun[i]) + " begun");
        }
        shared_.checked_operations += keys_of_victim;
        static_cast<void>(dict_.multi_erase(keys));
    }

    void report() const {
        std::cout << "kills: " << killed_ << " (SIGKILL " << killed_outright_ << ", SIGSEGV " << crashed_
                  << ", after SIGSTOP " << stopped_ << ")\n       while:";
        for (std::size_t i = 0; i < doing_names.size(); ++i)
            std::cout << (i == 0 ? " " : ", ") << doing_names[i] << ' ' << killed_doing_[i];
        std::cout << "\nchecked operations: " << shared_.checked_operations << "\n";
        double p99[2] = {};
        for (std::size_t i = 0; i < 2; ++i) {
            const Times& times = shared_.times[i];
            p99[i] = times.quantile(0.99);
            std::cout << (i == 0 ? "put and get of others, clients come and go: "
                                 : "put and get of others, clients are killed:  ")
                      << times.count() << " samples, p50 " << times.quantile(0.5) << " us, p99 " << p99[i]
                      << " us, p99.9 " << times.quantile(0.999) << " us, max " << times.quantile(1)
                      << " us\n";
        }
        std::cout << "p99 of others with kills / without: " << p99[1] / p99[0] << std::endl;
        // A short run has too few samples for that.
        if (killed_ >= 1000 && p99[1] > 2 * p99[0]) fail("others are held up by kills");
    }

    Options options_;
    bool enough_descriptors_;
    std::mt19937_64 random_;
    SharedState& shared_;
    Dictionary dict_;
    std::string handle_;
    std::vector<pid_t> managers_;
    std::vector<Slot> slots_;
    std::uint64_t victims_ = 0;
    std::uint64_t killed_ = 0;
    std::uint64_t killed_outright_ = 0;
    std::uint64_t crashed_ = 0;
    std::uint64_t stopped_ = 0;
    std::array<std::uint64_t, doing_names.size()> killed_doing_{};
};

int run(int argc, char** argv) {
    try {
        const Options options = options_of(argc, argv);
        std::cout << "seed " << options.seed << std::endl;
        const bool enough_descriptors = limit_descriptors(options);
        Soak(options, enough_descriptors).run();
        std::cout << "nothing lost, nothing left" << std::endl;
        return 0;
    } catch (const std::invalid_argument& wrong) {
        std::cerr << "soak: invalid argument '" << wrong.what() << "'\n" << usage;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "soak: " << error.what() << std::endl;
        return 1;
    }
}

}  // namespace
}  // namespace ddict::faults

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << ddict::faults::usage;
        return 0;
    }
    if (argc == 3 && std::string_view(argv[1]) == ddict::faults::forking_parent)
        ddict::faults::run_forking_parent(std::getenv("DDICT_HANDLE"), std::strtoull(argv[2], nullptr, 10));
    return ddict::faults::run(argc, argv);
}
