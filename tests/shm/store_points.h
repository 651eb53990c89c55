// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Stops a function at each of its stores to a range of memory: at every state, that is, in which a kill could
// leave that memory. The memory is made read-only; a store ends in SIGSEGV, the state is shown, and the one
// instruction is let through with the processor's trap flag. No line of what is tested knows of it.
#pragma once

#if !defined(__x86_64__)
#error "the trap flag is written for x86-64"
#endif

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace ddict::shm {

/// How many recoveries a test makes: DDICT_TEST_RECOVERIES, or so many.
inline std::uint64_t recoveries_wanted(std::uint64_t unless_given) {
    const char* given = std::getenv("DDICT_TEST_RECOVERIES");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : unless_given;
}

/// One at a time is active, but what is called at a point may use another one. One thread.
class StorePoints {
  public:
    struct Range {
        std::byte* begin;  // of a page
        std::size_t bytes;
    };

    StorePoints(std::vector<Range> ranges, std::function<void()> at_each)
        : ranges_(std::move(ranges)), at_each_(std::move(at_each)) {}
    StorePoints(const StorePoints&) = delete;
    StorePoints& operator=(const StorePoints&) = delete;

    /// Runs f; before each of its stores to the ranges, at_each() is called. Returns their number.
    template <class F>
    std::uint64_t run(F f) {
        count_ = 0;
        outer_ = std::exchange(active_, this);
        struct sigaction action {};
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        action.sa_sigaction = on_store;
        ::sigaction(SIGSEGV, &action, &old_segv_);
        action.sa_sigaction = on_step;
        ::sigaction(SIGTRAP, &action, &old_trap_);
        protect(PROT_READ);
        f();
        protect(PROT_READ | PROT_WRITE);
        ::sigaction(SIGSEGV, &old_segv_, nullptr);
        ::sigaction(SIGTRAP, &old_trap_, nullptr);
        active_ = outer_;
        return count_;
    }

  private:
    static constexpr long long trap_flag = 0x100;

    static void on_store(int, siginfo_t* info, void* context) {
        StorePoints& self = *active_;
        if (!self.contains(info->si_addr)) std::abort();
        ++self.count_;
        self.at_each_();
        self.protect(PROT_READ | PROT_WRITE);
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
    }
    static void on_step(int, siginfo_t*, void* context) {
        active_->protect(PROT_READ);
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
    }
    bool contains(const void* address) const {
        const auto* at = static_cast<const std::byte*>(address);
        for (const Range& range : ranges_)
            if (at >= range.begin && at < range.begin + range.bytes) return true;
        return false;
    }
    void protect(int how) const {
        for (const Range& range : ranges_)
            if (::mprotect(range.begin, range.bytes, how) != 0) throw std::runtime_error("mprotect");
    }

    inline static StorePoints* active_ = nullptr;
    std::vector<Range> ranges_;
    std::function<void()> at_each_;
    std::uint64_t count_ = 0;
    StorePoints* outer_ = nullptr;
    struct sigaction old_segv_ {};
    struct sigaction old_trap_ {};
};

}  // namespace ddict::shm
