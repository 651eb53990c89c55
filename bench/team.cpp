// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/team.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include "bench/machine.h"
#include "bench/shared_memory.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free);

constexpr std::size_t text_bytes_max = std::size_t{1} << 20;
constexpr std::chrono::milliseconds nap_max{100};
// How long members may take to detach; after a failed phase they may be stuck.
constexpr std::chrono::seconds shutdown_timeout{10};
constexpr std::chrono::seconds shutdown_timeout_after_failure{1};

/// Sleeps while `word` has the value `seen`, for nap_max at the most.
void sleep_while(Word& word, std::uint32_t seen) {
    const timespec nap{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(nap_max).count()};
    syscall(SYS_futex, &word, FUTEX_WAIT, seen, &nap, nullptr, 0);
}

void wake_all(Word& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

struct Text {
    std::uint32_t bytes = 0;
    std::array<char, text_bytes_max> chars;

    void set(std::string_view text) {
        bytes = static_cast<std::uint32_t>(std::min(text.size(), chars.size()));
        std::memcpy(chars.data(), text.data(), bytes);
    }
    std::string str() const { return {chars.data(), bytes}; }
};

struct Member {
    std::atomic<std::uint32_t> failed{0};
    std::int64_t end = 0;
    Text text;  // what run() returned, or why it failed
    Tally tally;
};

// A phase has two stages, numbered through: an odd one in which members prepare, an even one in which they
// run.
struct Control {
    Word stage{0};    // set by the parent; members sleep on it
    Word arrived{0};  // members that have come to the end of the stage; the parent sleeps on it
    Word quit{0};
    Phase phase;
};

}  // namespace

struct Team::Shared {
    explicit Shared(unsigned count) : control_array(1), members(count) {}
    Control& control() { return control_array[0]; }

    SharedArray<Control> control_array;
    SharedArray<Member> members;
};

Team::Team(std::string name, unsigned members, std::function<std::unique_ptr<Role>(unsigned)> make_role,
           std::optional<unsigned> first_slot)
    : name_(std::move(name)),
      shared_(std::make_unique<Shared>(members)),
      parent_(getpid()),
      first_slot_(first_slot) {
    std::fflush(nullptr);
    for (unsigned member = 0; member < members; ++member) {
        const pid_t pid = fork();
        if (pid < 0) {
            const int error = errno;
            end_members();
            throw std::system_error(error, std::generic_category(), "fork of a " + name_ + " process");
        }
        if (pid == 0) serve(member, make_role);
        pids_.push_back(pid);
    }
}

Team::~Team() {
    end_members();
}

void Team::serve(unsigned member, const std::function<std::unique_ptr<Role>(unsigned)>& make_role) {
    pids_.clear();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent_) std::_Exit(1);
    int status = 0;
    try {
        if (first_slot_) pin(getpid(), *first_slot_ + member);
        const std::unique_ptr<Role> role = make_role(member);
        serve_phases(member, *role);
    } catch (const std::exception& error) {
        status = 1;
        Member& self = shared_->members[member];
        self.text.set(error.what());
        self.failed.store(1);
        shared_->control().arrived.fetch_add(1);
        wake_all(shared_->control().arrived);
    }
    std::_Exit(status);  // not exit(): what the parent has registered is none of ours
}

void Team::serve_phases(unsigned member, Role& role) {
    Control& control = shared_->control();
    Member& self = shared_->members[member];
    std::uint32_t stage = 0;
    // False when there is nothing more to do.
    const auto next_stage = [&] {
        while (control.stage.load() == stage && control.quit.load() == 0)
            sleep_while(control.stage, stage);
        stage = control.stage.load();
        return control.quit.load() == 0;
    };
    const auto arrive = [&] {
        control.arrived.fetch_add(1);
        wake_all(control.arrived);
    };
    while (next_stage()) {
        const Phase phase = control.phase;
        self.tally.clear();
        self.text.set("");
        role.prepare(phase);
        arrive();
        if (!next_stage()) return;
        const std::string text = role.run(phase, self.tally);
        self.end = Clock::now().time_since_epoch() / Nanoseconds(1);
        self.text.set(text);
        arrive();
    }
}

PhaseResult Team::run(Phase phase, std::chrono::seconds limit) {
    Control& control = shared_->control();
    const auto deadline = Clock::now() + limit;
    phase.number = control.phase.number + 1;
    control.phase = phase;
    const auto next_stage = [&] {
        control.arrived.store(0);
        const std::uint32_t stage = control.stage.load() + 1;
        const Clock::time_point start = Clock::now();
        control.stage.store(stage);
        wake_all(control.stage);
        await_all(deadline);
        return start;
    };
    phase_failed_ = true;  // until it has not
    next_stage();
    const auto start = next_stage().time_since_epoch() / Nanoseconds(1);

    PhaseResult result;
    std::int64_t end = start;
    for (unsigned i = 0; i < size(); ++i) {
        const Member& member = shared_->members[i];
        end = std::max(end, member.end);
        result.operations += member.tally.operations;
        result.latencies.add(member.tally.latencies);
        result.texts.push_back(member.text.str());
    }
    result.elapsed = Nanoseconds(end - start);
    phase_failed_ = false;
    return result;
}

void Team::await_all(Clock::time_point deadline) {
    Control& control = shared_->control();
    for (;;) {
        const std::uint32_t arrived = control.arrived.load();
        check_members();
        if (arrived >= size()) return;
        if (Clock::now() > deadline) {
            throw std::runtime_error("the " + name_ + " processes were not done in time: " +
                                     std::to_string(arrived) + " of " + std::to_string(size()) + " were");
        }
        sleep_while(control.arrived, arrived);
    }
}

void Team::check_members() {
    for (unsigned i = 0; i < size(); ++i) {
        const Member& member = shared_->members[i];
        if (member.failed.load() != 0) {
            throw std::runtime_error(name_ + " process " + std::to_string(i) + ": " + member.text.str());
        }
        siginfo_t info{};
        // Only looks: the process is collected in end_members().
        if (waitid(P_PID, static_cast<id_t>(pids_[i]), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0) {
            continue;
        }
        if (member.failed.load() != 0) continue;  // it has just said why: see the next round
        throw std::runtime_error(name_ + " process " + std::to_string(i) + " died" +
                                 (info.si_code == CLD_EXITED
                                      ? " with status " + std::to_string(info.si_status)
                                      : " of signal " + std::to_string(info.si_status)));
    }
}

void Team::end_members() noexcept {
    shared_->control().quit.store(1);
    shared_->control().stage.fetch_add(1);
    wake_all(shared_->control().stage);
    const auto deadline = Clock::now() + (phase_failed_ ? shutdown_timeout_after_failure : shutdown_timeout);
    for (const pid_t pid : pids_) {
        bool killed = false;
        // A process that ends wakes nobody's futex; naps of a millisecond are short beside its own end.
        while (waitpid(pid, nullptr, WNOHANG) == 0) {
            if (!killed && Clock::now() > deadline) {
                kill(pid, SIGKILL);
                killed = true;
            }
            const timespec nap{.tv_sec = 0, .tv_nsec = 1'000'000};
            nanosleep(&nap, nullptr);
        }
    }
    pids_.clear();
}

}  // namespace ddict::bench
