// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>

#include "libclient/queue_core.h"

namespace ddict::client {

/// A call that may have to wait: its place among the record's waiters, which ends with it.
class QueueCore::Wait {
  public:
    explicit Wait(QueueCore& core) : core_(core) {
        const std::lock_guard lock(core_.mutex_);
        if (core_.free_calls_.empty()) core_.free_calls_.insert(core_.calls_++);
        call_ = *core_.free_calls_.begin();
        core_.free_calls_.erase(core_.free_calls_.begin());
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait() {
        if (is_noted_) {
            static_cast<void>(core_.update(std::chrono::steady_clock::now() + aftermath_timeout,
                                           [&](QueueRecord& record) -> Result<bool> {
                                               return record.stop_waiting(core_.holder_, call_);
                                           }));
        }
        const std::lock_guard lock(core_.mutex_);
        core_.free_calls_.insert(call_);
    }

    /// Whether this changes the record.
    bool begin(QueueRecord& record, std::uint32_t awaits) {
        is_noted_ = true;
        waiter_ = {core_.holder_, call_, awaits};
        return record.wait(waiter_);
    }
    /// It has what it waited for, by this change.
    void end(QueueRecord& record) {
        if (is_noted_) record.stop_waiting(core_.holder_, call_);
    }
    void ended() { is_noted_ = false; }
    /// Until it is woken, or has to look again. False: the deadline has passed, or the program wants an end.
    Result<bool> sleep(Time deadline) {
        using std::chrono::milliseconds;
        using std::chrono::steady_clock;
        const Time begin = steady_clock::now();
        const Time next = std::min(deadline, begin + std::min(core_.lease_ / 2, look_again_interval));
        const std::string key = core_.wake_key(waiter_);
        // A call shows that its holder lives for as long as it takes.
        if (core_.by_hand_) static_cast<void>(core_.count_up(core_.lease_key(core_.holder_), next));
        detail::BytesSink sink;
        const Result<void> woken = core_.beside_record(next).wait_for_bytes(as_key(key), sink);
        const Time now = steady_clock::now();
        if (woken) {
            static_cast<void>(core_.beside_record(now + aftermath_timeout).erase_bytes(as_key(key)));
            return true;
        }
        if (woken.error().code != Errc::timeout) return woken.error();
        return now < deadline && now + milliseconds(1) >= next;
    }

  private:
    // A wake that was lost, because who had to wake was killed between its change and that, costs this at the
    // most.
    static constexpr std::chrono::milliseconds look_again_interval{1000};

    QueueCore& core_;
    std::uint32_t call_ = 0;
    QueueRecord::Waiter waiter_{};
    bool is_noted_ = false;
};

}  // namespace ddict::client
