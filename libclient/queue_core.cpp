// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/queue_core.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <random>
#include <utility>

#include "libclient/random_pause.h"

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t name_bytes_max = 200;

std::uint64_t random_number() {
    std::random_device source;
    std::uint64_t number = 0;
    while (number == 0)
        number = std::uint64_t{source()} << 32 | source();
    return number;
}

std::string hexadecimal(std::uint64_t number) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
    return {digits, end};
}

/// Others have changed the record: a moment at random, so that they do not do it again all at once.
void pause_after_conflict(unsigned round) {
    const std::chrono::microseconds most(std::min(2000u, 10u << std::min(round, 8u)));
    std::this_thread::sleep_for(random_pause({}, most));
}

/// What is wrong with them; nullptr if nothing is.
const char* wrong_with(const QueueOptions& options) {
    if (options.items > QueueRecord::items_max) return "a queue has at most 4096 items";
    if (options.producers > QueueRecord::producers_max) return "a queue has at most 1024 producers";
    const std::uint32_t producers = std::max(options.producers, 1u);
    if ((options.items == 0 ? QueueRecord::items_default : options.items) < producers)
        return "each producer of a queue needs an item of its own at least: more items";
    if (options.bytes != 0 && options.bytes < producers)
        return "each producer of a queue needs some bytes of its own: more bytes";
    if (options.lease.count() != 0 &&
        (options.lease < QueueRecord::lease_min || options.lease > QueueRecord::lease_max))
        return "the lease of a queue is 0.1 s at least, and 30 days at most";
    return nullptr;
}

}  // namespace

QueueCore::QueueCore(View base, const detail::TimeoutBudget& budget, detail::Shared<Attachment> attachment,
                     std::vector<std::uint32_t> managers, std::string name)
    : base_(std::move(base)),
      budget_(budget),
      attachment_(std::move(attachment)),
      managers_(std::move(managers)),
      name_(std::move(name)),
      holder_(random_number()),
      process_(::getpid()),
      ends_changed_(std::make_unique<std::condition_variable>()) {}

bool QueueCore::is_of_parent() const {
    return ::getpid() != process_;
}

QueueCore::~QueueCore() {
    if (is_of_parent()) {
        static_cast<void>(thread_.release());  // it is the parent's
        // Its thread was waiting there: who destroys it would wait for that thread.
        static_cast<void>(ends_changed_.release());
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
    }
    ends_changed_->notify_all();
    if (thread_ != nullptr) thread_->join();
    if (!lease_begun_) return;
    const Time deadline = steady_clock::now() + aftermath_timeout;
    static_cast<void>(update(deadline, [&](QueueRecord& record) -> Result<bool> {
        const bool gave_back = give_back_unclaimed(record);
        return record.leave(holder_) || gave_back;
    }));
    const View view = beside_record(deadline);
    for (std::uint32_t call = 0; call < calls_; ++call)
        static_cast<void>(view.erase_bytes(as_key(wake_key({holder_, call, 0}))));
    for (const std::string& key : {lease_key(holder_), look_key(holder_)})
        static_cast<void>(view.erase_bytes(as_key(key)));
}

// ---- names ----

Error QueueCore::failure(Errc code, const std::string& text) const {
    return Error(code, "queue '" + name_.substr(0, 40) + "': " + text);
}

Error QueueCore::lease_lost(std::uint64_t number) const {
    return failure(Errc::not_found, "lease lost: item " + std::to_string(number) +
                                        " is this holder's no more, which has shown no sign of life for " +
                                        std::to_string(lease_.count()) + " ms");
}

std::string QueueCore::record_key() const {
    return "ddict.queue/" + name_ + "/state";
}

std::string QueueCore::key(const char* kind, const std::string& rest) const {
    return "ddict.queue/" + name_ + "/" + hexadecimal(birth_) + "/" + kind + rest;
}

std::string QueueCore::key_of(std::uint64_t number) const {
    return key("item/", std::to_string(number));
}

std::string QueueCore::lease_key(QueueRecord::Holder holder) const {
    return key("lease/", hexadecimal(holder));
}

std::string QueueCore::look_key(QueueRecord::Holder holder) const {
    return key("look/", hexadecimal(holder));
}

std::string QueueCore::wake_key(const QueueRecord::Waiter& waiter) const {
    return wake_prefix(waiter.holder) + std::to_string(waiter.call);
}

std::string QueueCore::wake_prefix(QueueRecord::Holder holder) const {
    return key("wake/", hexadecimal(holder) + "/");
}

// ---- the record ----

Result<void> QueueCore::open(const QueueOptions& options, Time deadline) {
    if (name_.empty() || name_.size() > name_bytes_max)
        return Error(Errc::invalid_argument, "the name of a queue has 1 to 200 bytes");
    if (const char* const wrong = wrong_with(options)) return failure(Errc::invalid_argument, wrong);
    by_hand_ = options.renew_by_hand;
    const std::string at = record_key();
    const View view = until(deadline);
    const bool makes = options.bytes != 0 || options.items != 0 || options.producers != 0;
    if (makes) {
        const std::vector<std::byte> made = QueueRecord::make(options, random_number()).bytes();
        const Result<bool> put = view.when_space().put_bytes_if(PutCondition::absent, as_key(at), made);
        if (!put.has_value()) return put.error();
    }
    detail::BytesSink sink;
    const Result<void> found = view.wait_for_bytes(as_key(at), sink);
    if (!found && found.error().code == Errc::timeout)
        return failure(Errc::timeout,
                       "nobody has made it: it is made by the first who says its bytes or items");
    if (!found) return found;
    const Result<QueueRecord> record = QueueRecord::parse(sink.bytes());
    if (!record) return failure(record.error().code, record.error().detail.data());
    if (const auto difference = record->difference(options))
        return failure(Errc::invalid_argument, "it is there, and " + *difference);
    birth_ = record->birth();
    lease_ = record->lease();
    beside_record_ = base_.manager(base_.which_manager(at));
    return {};
}

Result<QueueRecord> QueueCore::read(const View& view) const {
    detail::BytesSink sink;
    const std::string at = record_key();
    const Result<void> got = view.find_bytes(as_key(at), sink);
    if (!got && got.error().code == Errc::not_found) return failure(Errc::not_found, "it was removed");
    if (!got) return got.error();
    Result<QueueRecord> record = QueueRecord::parse(sink.bytes());
    if (!record) return failure(record.error().code, record.error().detail.data());
    if (record->birth() != birth_) return failure(Errc::not_found, "it was removed, and made anew by others");
    return record;
}

Result<void> QueueCore::update(Time deadline, const Change& change) const {
    const View view = until(deadline);
    const std::string at = record_key();
    for (unsigned round = 0;; ++round) {
        Result<QueueRecord> record = read(view);
        if (!record) return record.error();
        const std::vector<std::byte> before = record->bytes();
        const Result<bool> changed = change(*record);
        if (!changed.has_value()) return changed.error();
        if (!*changed) return {};
        const std::vector<std::byte> after = record->bytes();
        const Result<bool> swapped = view.when_space().swap_bytes(as_key(at), Bytes(before), Bytes(after));
        if (!swapped.has_value()) return swapped.error();
        if (*swapped) {
            wake(deadline, record->woken());
            return {};
        }
        pause_after_conflict(round);
    }
}

/// Who is not woken, since this process ends here or there is no space, looks again by itself.
void QueueCore::wake(Time deadline, const std::vector<QueueRecord::Waiter>& woken) const {
    const View view = beside_record(deadline);
    for (const QueueRecord::Waiter& waiter : woken)
        static_cast<void>(view.put_bytes(as_key(wake_key(waiter)), Bytes()));
}

Result<void> QueueCore::clear_away(Time deadline, const QueueRecord::Entry& entry) const {
    const std::string at = key_of(entry.number);
    const Result<bool> erased = view_of(entry).until(deadline).erase_bytes(as_key(at));
    // With its manager the value is lost as well, but not the space of its share.
    if (!erased.has_value() && erased.error().code != Errc::manager_lost) return erased.error();
    return update(deadline, [&](QueueRecord& record) -> Result<bool> { return record.remove(entry.number); });
}

bool QueueCore::is_unclaimed(const QueueRecord::Entry& entry) const {
    using State = QueueRecord::State;
    return entry.holder == holder_ && (entry.state == State::writing || entry.state == State::taken) &&
           !claims_.has(QueueClaims::of(entry));
}

bool QueueCore::give_back_unclaimed(QueueRecord& record) const {
    return record.give_back(
        holder_, [this](const QueueRecord::Entry& entry) { return claims_.has(QueueClaims::of(entry)); });
}

Result<QueueStats> QueueCore::stats(Time deadline) {
    const Result<QueueRecord> record = read(until(deadline));
    if (!record) return record.error();
    return record->stats();
}

Result<void> QueueCore::close(Time deadline) {
    return update(deadline, [](QueueRecord& record) -> Result<bool> { return record.close(); });
}

Result<void> QueueCore::remove(Time deadline) {
    const View view = until(deadline);
    const std::string at = record_key();
    for (unsigned round = 0;; ++round) {
        const Result<QueueRecord> record = read(view);
        if (!record) return record.error();
        const std::vector<std::byte> before = record->bytes();
        const Result<bool> gone = view.swap_bytes(as_key(at), Bytes(before), std::nullopt);
        if (!gone.has_value()) return gone.error();
        if (*gone) {
            wake(deadline, record->waiters());
            break;
        }
        pause_after_conflict(round);
    }
    const Result<std::uint64_t> erased =
        view.try_erase_prefix("ddict.queue/" + name_ + "/" + hexadecimal(birth_) + "/");
    if (!erased) return erased.error();
    return {};
}

}  // namespace ddict::client
