// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// View::when_space(): changes that wait for space. No manager tells when it has some, so they are tried
// again; a value above 4 KiB is refused before it is moved, so that a try is one small message. Tries are far
// apart, and at chance times, so that many who wait do not ask all at once, and closer the longer one has
// waited, so that whoever has come last is not served first.
#include <algorithm>
#include <chrono>

#include "libclient/random_pause.h"
#include "libclient/view_calls.h"

namespace ddict {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How long to wait for the next try.
class Pauses {
  public:
    steady_clock::duration next(steady_clock::duration waited) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(waited).count();
        const milliseconds longest = std::max(shortest_of_old, longest_of_new / (1 + seconds));
        pause_ = std::min(pause_ * 2, longest);
        return client::random_pause(pause_ / 2, pause_ * 3 / 2);
    }

  private:
    static constexpr milliseconds longest_of_new{64};
    static constexpr milliseconds shortest_of_old{8};
    milliseconds pause_{2};
};

/// Has the thread's other operations go on. False: the program wants the call to end.
bool sleep_until(client::Session& session, steady_clock::time_point time) {
    session.interruptible();
    while (steady_clock::now() < time) {
        session.progress(time);
        if (session.is_interrupted()) return false;
    }
    return true;
}

/// What a change that has waited ends with. `last` is its last answer.
Error waited_for_space(const Error& last, const Error& refusal, bool interrupted) {
    Error error = last;
    error.code = Errc::timeout;
    error.set_bytes(refusal.need_bytes, refusal.have_bytes);
    std::string text = interrupted ? "it was ended while it waited for space" : "it waited for space";
    if (refusal.need_bytes != 0)
        text += ": " + std::to_string(refusal.need_bytes) + " bytes are needed, " +
                std::to_string(refusal.have_bytes) + " are free in one piece";
    return error.set_detail(text + "; erase keys, or start the dictionary with a larger --total-mem");
}

}  // namespace

Result<Reply> View::Calls::send_when_space(const View& view, Request& request) {
    const auto begin = steady_clock::now();
    const detail::TimeoutBudget budget{.until = view.budget_.deadline(begin)};
    Result<Reply> reply = view.attachment_->call(request, budget);
    Pauses pauses;
    while (!reply && reply.error().code == Errc::no_space) {
        const Error refusal = reply.error();
        const Result<client::Session*> session = view.attachment_->session();
        if (!session) return session.error();
        const auto now = steady_clock::now();
        const auto next = std::min(now + pauses.next(now - begin), budget.until);
        const bool goes_on = sleep_until(**session, next);
        if (!goes_on || steady_clock::now() >= budget.until)
            return waited_for_space(refusal, refusal, !goes_on);
        reply = view.attachment_->call(request, budget);
        if (!reply && reply.error().code == Errc::timeout)
            return waited_for_space(reply.error(), refusal, false);
    }
    return reply;
}

/// One of those that were refused waits. When it is stored, the next are tried again: one, and twice as many
/// each time that there was space for all, so that the many for which there is none are not sent each time.
Result<void> View::Calls::multi_put_when_space(const View& view, std::span<const PutItem> pairs,
                                               std::span<ItemStatus> statuses) {
    std::vector<ItemStatus> own;
    if (statuses.empty()) {
        own.resize(pairs.size());
        statuses = own;
    }
    View waiting = view.for_one_call();
    waiting.batch_ = nullptr;
    View hasty = waiting;
    hasty.waits_for_space_ = false;
    Result<void> first = hasty.multi_put_bytes(pairs, statuses);
    for (std::size_t tries = 1;;) {
        std::vector<std::size_t> refused;
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            if (statuses[i].code == Errc::no_space) refused.push_back(i);
        }
        if (refused.empty()) break;
        const PutItem& pair = pairs[refused.front()];
        ItemStatus& status = statuses[refused.front()];
        const Result<void> put = waiting.put_bytes(pair.key, pair.value, pair.value_type);
        status.code = put ? Errc{} : put.error().code;
        if (!put) {
            first = put;
            status.in_doubt = put.error().in_doubt;
            // The others have waited as long.
            for (std::size_t i = 1; i < refused.size() && put.error().code == Errc::timeout; ++i)
                statuses[refused[i]].code = Errc::timeout;
            continue;
        }
        std::vector<PutItem> next;
        for (std::size_t i = 1; i < std::min(refused.size(), 1 + tries); ++i)
            next.push_back(pairs[refused[i]]);
        std::vector<ItemStatus> of_next(next.size());
        const Result<void> again = hasty.multi_put_bytes(next, of_next);
        if (!again && again.error().code != Errc::no_space) first = again;
        for (std::size_t i = 0; i < next.size(); ++i)
            statuses[refused[i + 1]] = of_next[i];
        tries = again ? 2 * tries : 1;
    }
    const auto failed =
        std::find_if(statuses.begin(), statuses.end(), [](const ItemStatus& status) { return !status.ok(); });
    if (failed == statuses.end()) return {};
    if (!first && first.error().code == failed->code) return first;
    Error error(failed->code);
    error.in_doubt = failed->in_doubt;
    return view.name_error(error, Operation::batch_put,
                           pairs[static_cast<std::size_t>(failed - statuses.begin())].key);
}

}  // namespace ddict
