// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionary::persist_every(): asks all managers, ten times a second, to hold the checkpoint that is due
// next, and saves it once newer ones have retired it. Another thread saves, so that a file system that does
// not answer keeps nobody from telling the managers that this process lives. docs/decisions/0028 has the
// idea.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include <ddict/dictionary.h>

#include "base/bytes.h"
#include "libclient/attachment.h"
#include "libclient/checkpoint_progress.h"
#include "libclient/page_sink.h"
#include "libclient/persist_path.h"
#include "libclient/read_only.h"
#include "wire/checkpoint_hold.h"

namespace ddict {
namespace {

using Order = PersistEveryOptions::Order;
using wire::CheckpointsReply;

constexpr std::chrono::milliseconds between_questions{100};

void pack(const PersistStatus& status, std::vector<std::byte>& out) {
    Packer packer(out);
    const auto put_id = [&](const std::optional<std::uint32_t>& id) {
        packer.put(id.value_or(limits::newest_checkpoint));
    };
    packer.put(status.every).put(status.persisted).put(status.overtaken).put(status.failed);
    put_id(status.last_persisted);
    put_id(status.last_missed);
    packer.put(static_cast<std::uint16_t>(status.error ? status.error->code : Errc{}));
    const auto text_of = [](const Error& error) {
        return error.detail[0] != '\0' ? std::string(error.detail.data()) : error.message();
    };
    packer.put_text(status.error ? text_of(*status.error) : "");
}

/// Of what a manager has kept; nothing if it has nothing.
Result<PersistStatus> status_of(Bytes said) {
    PersistStatus status;
    if (said.empty()) return status;
    Unpacker in(said);
    const auto take_id = [&]() -> std::optional<std::uint32_t> {
        const auto id = in.take<std::uint32_t>();
        return id > limits::checkpoint_id_max ? std::nullopt : std::optional(id);
    };
    status.every = in.take<std::uint32_t>();
    status.persisted = in.take<std::uint64_t>();
    status.overtaken = in.take<std::uint64_t>();
    status.failed = in.take<std::uint64_t>();
    status.last_persisted = take_id();
    status.last_missed = take_id();
    const auto code = in.take<std::uint16_t>();
    const std::string detail = in.take_text();
    if (!in.good() || !in.at_end() || code > static_cast<std::uint16_t>(errc_last))
        return Error(Errc::protocol, "what it says of the process that persists is malformed");
    if (code != 0) status.error = Error(static_cast<Errc>(code), detail);
    return status;
}

/// Of all managers, where a checkpoint is concerned.
struct Answers {
    std::uint32_t newest = 0;
    std::uint32_t oldest = 0;  // that all have
    bool is_retired = false;   // by some manager
    bool may_retire = true;
    bool was_closed = true;
    std::optional<std::uint32_t> first;  // at which all has begun anew

    void add(const CheckpointsReply& reply, std::uint32_t asked) {
        newest = std::max(newest, reply.newest);
        oldest = std::max(oldest, reply.oldest);
        is_retired = is_retired || reply.newest >= asked + reply.working_set;
        may_retire = may_retire && reply.may_retire;
        was_closed = was_closed && reply.was_closed;
        if (reply.first) first = reply.first;
    }
};

/// One save at a time, by a thread of its own.
class SavingThread {
  public:
    ~SavingThread() {
        if (thread_.joinable()) thread_.join();
    }
    template <class Save>
    void start(Save save) {
        is_running_ = true;
        is_done_ = false;
        thread_ = std::thread([this, save] {
            Result<CheckpointInfo> saved = save();
            const std::lock_guard lock(mutex_);
            outcome_ = std::move(saved);
            is_done_ = true;
            changed_.notify_one();
        });
    }
    bool is_running() const { return is_running_; }
    /// What has come of it, within this time.
    std::optional<Result<CheckpointInfo>> wait_for(std::chrono::milliseconds time) {
        if (!is_running_) {
            std::this_thread::sleep_for(time);
            return std::nullopt;
        }
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, time, [&] { return is_done_; })) return std::nullopt;
        lock.unlock();
        thread_.join();
        is_running_ = false;
        return std::move(outcome_);
    }

  private:
    std::thread thread_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    bool is_done_ = false;
    std::optional<Result<CheckpointInfo>> outcome_;
    bool is_running_ = false;  // the caller's
};

class Persister {
  public:
    Persister(const Dictionary& dict, client::Attachment& attachment, const PersistEveryOptions& options)
        : dict_(dict), attachment_(attachment), options_(options) {
        status_.every = options.every;
        status_.running = true;
        managers_.resize(attachment.manager_count());
        std::iota(managers_.begin(), managers_.end(), 0);
    }

    Result<PersistStatus> run() {
        const Result<Answers> begun = ask(0, 0);
        if (!begun) return begun.error();
        due_ = multiple_from(begun->oldest);
        for (Order order = Order::go_on; !is_over(order); order = next_order(order)) {
            if (const Result<void> turned = turn(order); !turned) return turned.error();
            // Who gives the orders learns at once that the first is held.
            const auto pause = holds_ ? between_questions : std::chrono::milliseconds(0);
            holds_ = true;
            if (auto outcome = thread_.wait_for(pause)) take(*outcome);
        }
        status_.running = false;
        static_cast<void>(ask(due_, wire::hold_checkpoint));
        static_cast<void>(ask(0, wire::hold_ends));
        return status_;
    }

  private:
    std::uint32_t multiple_from(std::uint32_t id) const {
        const std::uint64_t every = options_.every;
        const std::uint64_t multiple = (id + every - 1) / every * every;
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(multiple, limits::checkpoint_id_max));
    }
    Order next_order(Order before) {
        if (!options_.order || before == Order::stop) return before;
        const Order order = std::max(before, options_.order());
        if (order != before) has_more_ = true;  // look
        return order;
    }
    /// Nothing is left to do.
    bool is_over(Order order) const { return order != Order::go_on && !thread_.is_running() && !has_more_; }

    Result<Answers> ask(std::uint32_t checkpoint, std::uint16_t flags) const {
        std::vector<std::byte> said;
        if ((flags & wire::hold_checkpoint) != 0) pack(status_, said);
        return ask(checkpoint, flags, said);
    }
    Result<Answers> ask(std::uint32_t checkpoint, std::uint16_t flags, Bytes said) const {
        Request request;
        request.verb = wire::Verb::checkpoints;
        request.flags = flags;
        request.argument = checkpoint;
        request.value = said;
        Answers answers;
        const Result<void> asked = attachment_.call_each(
            managers_, request, {.timeout = attachment_.timeout()},
            [&](std::uint32_t, const Reply& reply, Bytes) {
                answers.add(CheckpointsReply::of(reply.argument, reply.argument2), checkpoint);
            });
        if (!asked) return asked.error();
        return answers;
    }

    /// Says that this process lives, and sees what is to be done. Errors: the dictionary has ended.
    Result<void> turn(Order order) {
        Result<Answers> answers = ask(due_, wire::hold_checkpoint);
        if (answers && answers->first && answers->first != first_ && !thread_.is_running()) {
            first_ = answers->first;  // somebody has restored it
            due_ = multiple_from(*first_);
            answers = ask(due_, wire::hold_checkpoint);
        }
        if (!answers) {
            const Errc code = answers.error().code;
            if (code == Errc::dictionary_gone || code == Errc::not_attached) return answers.error();
            status_.error = answers.error();
            has_more_ = false;
            return {};
        }
        if (thread_.is_running()) return {};
        if (answers->oldest > due_) {
            skip_to(multiple_from(answers->oldest));
            return {};  // the next one is not held yet
        }
        const bool is_last = order == Order::finish && due_ <= answers->newest;
        const bool is_ready = answers->is_retired && answers->may_retire;
        has_more_ = is_last || is_ready;
        if (is_last) start(false);
        if (is_last || !is_ready) return {};
        constexpr std::uint16_t closes = wire::hold_checkpoint | wire::hold_closes;
        for (int i = 0; i < 2 && answers; ++i)  // what the first has closed the second finds closed
            answers = ask(due_, closes);
        if (answers && answers->was_closed && answers->oldest <= due_) start(true);
        return {};
    }

    /// Those before it are gone from memory.
    void skip_to(std::uint32_t due) {
        const std::uint32_t last = due - options_.every;
        status_.overtaken += (last - due_) / options_.every;
        miss(last,
             Error(Errc::checkpoint_retired,
                   (last == due_ ? "it was" : "it and those from " + std::to_string(due_) + " on were") +
                       std::string(" retired by newer ones, or for want of memory, before it could be "
                                   "written")));
        due_ = due;
        has_more_ = true;
    }

    void start(bool is_closed) {
        thread_.start([this, is_closed, id = due_] {
            SaveOptions save{.threads = options_.threads, .checkpoint = id, .compress = options_.compress};
            if (is_closed) save.confirm = [this, id] { return check_still_closed(id); };
            return dict_.try_persist(save);
        });
    }

    /// A manager that was killed meanwhile has held nothing for a moment, in which somebody may have written.
    /// Called by the other thread, which `status_` is not for.
    Result<void> check_still_closed(std::uint32_t checkpoint) const {
        const Result<Answers> answers = ask(checkpoint, wire::hold_checkpoint | wire::hold_closes, {});
        if (!answers) return answers.error();
        if (answers->was_closed && answers->oldest <= checkpoint) return {};
        return Error(Errc::busy,
                     "the checkpoint was not held all the time: a manager has come back, or "
                     "memory is short");
    }

    void take(const Result<CheckpointInfo>& outcome) {
        if (outcome) {
            ++status_.persisted;
            status_.last_persisted = due_;
            tries_ = 0;
            if (options_.on_persisted) options_.on_persisted(*outcome);
        } else if (outcome.error().code == Errc::busy && ++tries_ < tries_max) {
            return;  // is it still there? then once more
        } else {
            tries_ = 0;
            miss(due_, outcome.error());
        }
        due_ = multiple_from(due_ + 1);
        has_more_ = true;  // look
    }

    void miss(std::uint32_t checkpoint, const Error& error) {
        ++(error.code == Errc::checkpoint_retired ? status_.overtaken : status_.failed);
        status_.last_missed = checkpoint;
        status_.error = error;
        if (options_.on_missed) options_.on_missed(checkpoint, error);
    }

    static constexpr int tries_max = 3;

    const Dictionary& dict_;
    client::Attachment& attachment_;
    const PersistEveryOptions& options_;
    std::vector<std::uint32_t> managers_;
    PersistStatus status_;
    std::uint32_t due_ = 0;
    std::optional<std::uint32_t> first_;
    bool has_more_ = true;
    bool holds_ = false;
    int tries_ = 0;
    SavingThread thread_;
};

}  // namespace

Result<PersistStatus> Dictionary::try_persist_every(const PersistEveryOptions& options) const {
    const auto persist_them = [&]() -> Result<PersistStatus> {
        if (const Result<void> good = check_attached(); !good) return good.error();
        // Whether its folder is there is looked at for each checkpoint: it may be away for a while.
        if (persist_path().empty() && checkpoint_store() == nullptr)
            return client::persist_path_of(*this).error();
        if (options.every == 0) return Error(Errc::invalid_argument, "every how many: 1 or more");
        if (const Result<void> may = client::check_not_read_only(attachment()->handle()); !may)
            return may.error();
        return Persister(*this, *attachment(), options).run();
    };
    Result<PersistStatus> status = persist_them();
    return status ? std::move(status) : Error(status.error()).set_operation(Operation::persist);
}

Result<PersistStatus> Dictionary::try_persist_status() const {
    const auto ask = [&]() -> Result<PersistStatus> {
        if (const Result<void> good = check_attached(); !good) return good.error();
        client::PageSink said;
        Request request;
        request.verb = wire::Verb::checkpoints;
        request.shard = ShardId{attachment()->main_manager()};
        request.flags = wire::hold_asks;
        request.sink = &said;
        const Result<Reply> reply = attachment()->call(request, {.timeout = attachment()->timeout()});
        if (!reply) return reply.error();
        Result<PersistStatus> status = status_of(said.page());
        if (status) status->running = reply->argument != 0;
        return status;
    };
    Result<PersistStatus> status = ask();
    return status ? std::move(status) : Error(status.error()).set_operation(Operation::persist);
}

}  // namespace ddict
