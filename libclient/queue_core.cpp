// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/queue_core.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <random>
#include <utility>

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds lease_min{100};
constexpr std::size_t name_bytes_max = 200;
// A wake that was lost, because who had to wake was killed between its change and that, costs this at the
// most.
constexpr milliseconds look_again_interval{1000};
// Of a value for which there is no space on any of its managers: so long on each of them.
constexpr milliseconds space_on_one_timeout{100};

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
    thread_local std::minstd_rand random{std::random_device()()};
    const unsigned most = std::min(2000u, 10u << std::min(round, 8u));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % most));
}

Result<void> check_options(const QueueOptions& options) {
    const auto refuse = [](const char* text) { return Error(Errc::invalid_argument, text); };
    if (options.items > QueueRecord::items_max) return refuse("a queue has at most 4096 items");
    if (options.producers > QueueRecord::producers_max) return refuse("a queue has at most 1024 producers");
    const std::uint32_t producers = std::max(options.producers, 1u);
    if ((options.items == 0 ? QueueRecord::items_default : options.items) < producers)
        return refuse("each producer of a queue needs an item of its own at least: more items");
    if (options.bytes != 0 && options.bytes < producers)
        return refuse("each producer of a queue needs some bytes of its own: more bytes");
    if (options.lease.count() != 0 && options.lease < lease_min)
        return refuse("the lease of a queue is 0.1 s at least");
    return {};
}

}  // namespace

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
            static_cast<void>(core_.update(steady_clock::now() + aftermath_timeout,
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
    QueueCore& core_;
    std::uint32_t call_ = 0;
    QueueRecord::Waiter waiter_{};
    bool is_noted_ = false;
};

QueueCore::QueueCore(View base, detail::Shared<Attachment> attachment, std::vector<std::uint32_t> managers,
                     std::string name)
    : base_(std::move(base)),
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
    if (const Result<void> good = check_options(options); !good) return good;
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

// ---- producers ----

Result<void> QueueCore::push(Bytes value, std::uint16_t type, Time deadline) {
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun;
    QueueClaim claim(claims_);
    Result<QueueRecord::Entry> entry = reserve(value, type, claim, deadline);
    if (!entry) return entry.error();
    if (const Result<void> put = put_value(*entry, value, deadline); !put)
        return lay_down(*entry, put.error(), false);
    const Result<void> published = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        if (record.publish(entry->number, holder_)) return true;
        return lease_lost(entry->number);
    });
    if (!published)
        return lay_down(*entry, published.error(), published.error().code != Errc::not_found);
    return {};
}

Result<QueueRecord::Entry> QueueCore::reserve(Bytes value, std::uint16_t type, QueueClaim& claim,
                                              Time deadline) {
    Wait wait(*this);
    for (;;) {
        std::optional<QueueRecord::Entry> entry;
        std::string waited;
        const Result<void> done = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            entry.reset();
            claim.drop();
            if (record.closed())
                return failure(Errc::invalid_argument, "it is closed: nothing can be pushed any more");
            if (value.size() > record.share_bytes())
                return failure(Errc::too_large, "the value is larger than a producer's share")
                    .set_bytes(value.size(), record.share_bytes());
            const auto& shares = record.shares();
            const bool joins = std::find(shares.begin(), shares.end(), holder_) == shares.end();
            const std::optional<std::uint32_t> share = record.join(holder_);
            if (share) entry = record.reserve(holder_, *share, value.size(), type, managers_);
            if (entry) {
                claim.take(*entry);
                wait.end(record);
                return true;
            }
            waited = share ? "there was no space in this producer's share: no item of it was finished in time"
                           : "other producers have all shares";
            return wait.begin(record, share ? *share : QueueRecord::awaits_share) || (joins && share);
        });
        if (!done) return done.error();
        if (entry) {
            wait.ended();
            return *entry;
        }
        const Result<bool> goes_on = wait.sleep(deadline);
        if (!goes_on.has_value()) return goes_on.error();
        if (!*goes_on) return failure(Errc::timeout, waited);
    }
}

/// On the manager that the entry names, or on another of the share's, if there is no space, or it is lost.
Result<void> QueueCore::put_value(QueueRecord::Entry& entry, Bytes value, Time deadline) const {
    const std::string at = key_of(entry.number);
    std::vector<std::uint32_t> homes{entry.manager};
    std::size_t lost = 0;  // one after the other
    for (std::size_t turn = 0;; ++turn) {
        const bool waits = turn >= homes.size();  // no turn before has
        const bool is_only = turn != 0 && homes.size() == 1;
        const Time begin = steady_clock::now();
        const Time until_then =
            waits && !is_only ? std::min(deadline, begin + space_on_one_timeout) : deadline;
        View view = view_of(entry).until(until_then);
        if (waits) view = view.when_space();
        const Result<void> put = view.put_bytes(as_key(at), value, entry.type);
        if (put) return put;
        const bool is_full = put.error().code == Errc::no_space ||
                             (put.error().code == Errc::timeout && waits && !put.error().in_doubt);
        lost = put.error().code == Errc::manager_lost ? lost + 1 : 0;
        const Time now = steady_clock::now();
        if (now >= deadline || !(is_full || lost > 0)) return put;
        // (A wait that ends too early was ended by the program.)
        if (is_full && waits && now + milliseconds(1) < until_then) return put;
        if (turn == 0) {
            const Result<QueueRecord> record = read(until(deadline));
            if (!record) return record.error();
            homes = record->homes(entry.share, managers_);
            const auto first = std::find(homes.begin(), homes.end(), entry.manager);
            std::rotate(homes.begin(), first, homes.end());
        }
        if (lost >= homes.size()) return put;
        const std::uint32_t next = homes[(turn + 1) % homes.size()];
        if (next == entry.manager) continue;
        const Result<void> moved = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            if (record.move(entry.number, holder_, next)) return true;
            return lease_lost(entry.number);
        });
        if (!moved) return moved;
        entry.manager = next;
    }
}

/// What was reserved, and is not published, as far as is known. Returns why.
Result<void> QueueCore::lay_down(const QueueRecord::Entry& entry, const Error& why,
                                 bool may_be_published) const {
    const Time deadline = steady_clock::now() + aftermath_timeout;
    bool is_mine = false;
    const Result<void> abandoned = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        is_mine = record.abandon(entry.number, holder_);
        return is_mine;
    });
    if (abandoned && is_mine) {
        static_cast<void>(clear_away(deadline, entry));
    } else if (!may_be_published) {
        // Somebody else has removed the entry, or will, perhaps before this put.
        const std::string at = key_of(entry.number);
        static_cast<void>(
            view_of(entry).until(steady_clock::now() + aftermath_timeout).erase_bytes(as_key(at)));
    }
    return why;
}

Result<std::uint32_t> QueueCore::join(Time deadline) {
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun.error();
    Wait wait(*this);
    for (;;) {
        bool joined = false;
        std::uint32_t share = 0;
        const Result<void> done = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            if (record.closed())
                return failure(Errc::invalid_argument, "it is closed: nothing can be pushed any more");
            const std::optional<std::uint32_t> found = record.join(holder_);
            joined = found.has_value();
            share = found.value_or(0);
            if (!joined) return wait.begin(record, QueueRecord::awaits_share);
            wait.end(record);
            return true;
        });
        if (!done) return done.error();
        if (joined) {
            wait.ended();
            return share;
        }
        const Result<bool> goes_on = wait.sleep(deadline);
        if (!goes_on.has_value()) return goes_on.error();
        if (!*goes_on) return failure(Errc::timeout, "other producers have all shares");
    }
}

Result<void> QueueCore::leave(Time deadline) {
    return update(deadline,
                  [&](QueueRecord& record) -> Result<bool> { return record.leave(holder_); });
}

// ---- consumers ----

Result<std::optional<QueueRecord::Entry>> QueueCore::take(QueueEnd end, Time deadline) {
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun.error();
    const std::uint32_t awaits =
        end == QueueEnd::closed ? QueueRecord::awaits_item : QueueRecord::awaits_item_or_end;
    Wait wait(*this);
    QueueClaim claim(claims_);
    for (;;) {
        std::optional<QueueRecord::Entry> entry;
        bool is_over = false;
        const Result<void> done = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            claim.drop();
            const bool gave_back = give_back_unclaimed(record);
            entry = record.take(holder_);
            if (entry) claim.take(*entry);
            is_over = !entry && record.is_over(holder_, end);
            if (!entry && !is_over) return wait.begin(record, awaits) || gave_back;
            wait.end(record);
            return entry.has_value() || gave_back;
        });
        if (!done) return done.error();
        if (entry) wait.ended();
        claim.keep();
        if (entry || is_over) return entry;
        const Result<bool> goes_on = wait.sleep(deadline);
        if (!goes_on.has_value()) return goes_on.error();
        if (!*goes_on) return failure(Errc::timeout, "no item has come in time");
    }
}

Result<void> QueueCore::finish(std::uint64_t number, std::uint32_t attempt, Time deadline) {
    if (is_of_parent()) return forked();
    QueueRecord::Entry entry{};
    const Result<void> finished = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        if (!record.finish(number, holder_, attempt)) return lease_lost(number);
        entry = *record.find(number);
        return true;
    });
    if (finished || finished.error().code == Errc::not_found) claims_.remove({number, attempt});
    if (!finished) return finished;
    // From here on it is done. What is left is done by others, if it cannot be done here.
    static_cast<void>(clear_away(std::max(deadline, steady_clock::now() + aftermath_timeout), entry));
    return {};
}

Result<void> QueueCore::put_back(std::uint64_t number, std::uint32_t attempt, Time deadline) {
    if (is_of_parent()) return forked();
    const Result<void> back = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        if (!record.put_back(number, holder_, attempt)) return lease_lost(number);
        return true;
    });
    claims_.remove({number, attempt});  // if that has failed, the thread of the lease does it
    return back;
}

}  // namespace ddict::client
