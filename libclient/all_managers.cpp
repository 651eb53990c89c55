// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The operations of a View on all its managers, and what it tells of them.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "libclient/page_sink.h"
#include "libclient/view_calls.h"
#include "wire/stats.h"

namespace ddict {
namespace {

using client::PageSink;
using std::chrono::steady_clock;
using wire::Verb;

Request request_of(Verb verb, std::uint64_t argument = 0) {
    Request request;
    request.verb = verb;
    request.argument = argument;
    return request;
}

Error unreadable_statistics() {
    return Error(Errc::protocol, "the statistics that it sent are malformed").set_operation(Operation::stats);
}

}  // namespace

/// The managers that this view is of.
std::vector<std::uint32_t> View::managers() const {
    if (attachment_ == nullptr) return {};
    if (manager_ != any_manager) return {manager_};
    std::vector<std::uint32_t> all(attachment_->manager_count());
    std::iota(all.begin(), all.end(), 0);
    return all;
}

Result<void> View::Calls::ask_all(const View& view, const std::vector<std::uint32_t>& managers,
                                  const Request& request, const OnReply& on_reply) {
    if (view.attachment_ == nullptr) return no_dictionary(operation_of(request.verb));
    Request at_checkpoint = request;
    at_checkpoint.checkpoint = checkpoint(view);
    return view.attachment_->call_each(managers, at_checkpoint, view.budget_, on_reply);
}

Result<std::vector<MissingManager>> View::Calls::ask_answering(const View& view,
                                                               const std::vector<std::uint32_t>& managers,
                                                               const Request& request,
                                                               const OnReply& on_reply) {
    if (view.attachment_ == nullptr) return no_dictionary(operation_of(request.verb));
    Request at_checkpoint = request;
    at_checkpoint.checkpoint = checkpoint(view);
    return view.attachment_->call_answering(managers, at_checkpoint, view.budget_, on_reply);
}

void View::Calls::complete_transport(const View& view, ManagerStats& stats) {
    constexpr std::string_view within = "same host";
    const client::Session* const session = view.attachment_->existing_session();
    if (session == nullptr) return;
    if (stats.transport.starts_with(within)) {
        const std::string own = session->describe(ShardId{stats.manager});
        if (stats.transport == within && own.starts_with(within)) stats.transport = own;
        return;
    }
    const std::string why = session->why_over_network(ShardId{stats.manager});
    if (!why.empty()) stats.transport += ", on one node: " + why;
}

Result<std::uint64_t> View::Calls::keys_of(const View& view, const std::vector<std::uint32_t>& managers) {
    std::uint64_t keys = 0;
    const Result<void> asked =
        ask_all(view, managers, request_of(Verb::size),
                [&](std::uint32_t, const Reply& reply, Bytes) { keys += reply.argument; });
    if (!asked) return asked.error();
    return keys;
}

Result<std::uint64_t> View::try_size() const {
    return Calls::keys_of(*this, managers());
}

Result<Partial<std::uint64_t>> View::try_partial_size() const {
    Partial<std::uint64_t> size;
    Result<std::vector<MissingManager>> missing =
        Calls::ask_answering(*this, managers(), request_of(Verb::size),
                             [&](std::uint32_t, const Reply& reply, Bytes) { size.value += reply.argument; });
    if (!missing) return missing.error();
    size.missing = *std::move(missing);
    return size;
}

Result<std::uint64_t> View::try_local_size() const {
    return Calls::keys_of(*this, local_of_view());
}

Result<std::uint32_t> View::try_newest_checkpoint_id() const {
    std::uint64_t newest = 0;
    const Result<void> asked = Calls::ask_all(
        *this, managers(), request_of(Verb::checkpoints),
        [&](std::uint32_t, const Reply& reply, Bytes) { newest = std::max(newest, reply.argument); });
    if (!asked) return asked.error();
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(newest, checkpoint_id_max));
}

Result<void> View::try_clear() const {
    return Calls::ask_all(*this, managers(), request_of(Verb::clear),
                          [](std::uint32_t, const Reply&, Bytes) {});
}

// ---- the keys with a prefix ----

Result<std::uint64_t> View::Calls::sum_of_parts(const View& view, Verb verb, KeyBytes prefix) {
    if (view.attachment_ == nullptr) return no_dictionary(operation_of(verb));
    if (const Result<void> good = view.attachment_->check_usable(); !good)
        return Error(good.error()).set_operation(operation_of(verb));
    std::uint64_t sum = 0;
    if (prefix.size() > limits::key_bytes_max) return sum;  // no key begins with what is longer than any key
    const detail::TimeoutBudget one_deadline{.until = view.budget_.deadline(steady_clock::now())};
    Request request = request_of(verb);
    request.key = prefix;
    request.checkpoint = checkpoint(view);
    std::vector<std::uint32_t> managers = view.managers();
    std::vector<std::uint64_t> cursors(managers.size());
    while (!managers.empty()) {
        std::vector<std::uint32_t> unfinished;
        std::vector<std::uint64_t> next;
        const auto on_reply = [&](std::uint32_t manager, const Reply& reply, Bytes) {
            sum += reply.argument2;
            if (reply.argument == 0) return;
            unfinished.push_back(manager);
            next.push_back(reply.argument);
        };
        const Result<void> asked =
            view.attachment_->call_each(managers, request, one_deadline, on_reply, false, cursors);
        if (!asked) {
            Error error = asked.error();
            error.in_doubt = error.in_doubt || (wire::is_change(verb) && sum != 0);
            return error;
        }
        managers.swap(unfinished);
        cursors.swap(next);
    }
    return sum;
}

Result<std::uint64_t> View::try_count_prefix(std::string_view prefix) const {
    return count_prefix_bytes(bytes_of(prefix));
}

Result<std::uint64_t> View::try_erase_prefix(std::string_view prefix) const {
    return erase_prefix_bytes(bytes_of(prefix));
}

Result<std::uint64_t> View::count_prefix_bytes(KeyBytes prefix) const {
    return Calls::sum_of_parts(*this, Verb::count_prefix, prefix);
}

Result<std::uint64_t> View::erase_prefix_bytes(KeyBytes prefix) const {
    if (prefix.empty())
        return Error(Errc::invalid_argument, "the prefix is empty; clear removes all pairs")
            .set_operation(Operation::erase_prefix);
    return Calls::sum_of_parts(*this, Verb::erase_prefix, prefix);
}

// ---- freezing ----

Result<void> View::try_freeze() const {
    return Calls::ask_all(*this, managers(), request_of(Verb::freeze, wire::freeze_on),
                          [](std::uint32_t, const Reply&, Bytes) {});
}

Result<void> View::try_unfreeze() const {
    return Calls::ask_all(*this, managers(), request_of(Verb::freeze, wire::freeze_off),
                          [](std::uint32_t, const Reply&, Bytes) {});
}

Result<bool> View::try_is_frozen() const {
    bool frozen = true;
    const Result<void> asked = Calls::ask_all(
        *this, managers(), request_of(Verb::freeze, wire::freeze_ask),
        [&](std::uint32_t, const Reply& reply, Bytes) { frozen = frozen && reply.argument != 0; });
    if (!asked) return asked.error();
    return frozen;
}

// ---- where keys live ----

std::uint32_t View::manager_count() const {
    return attachment_ == nullptr ? 0 : attachment_->manager_count();
}

Result<void> View::check_attached() const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::none);
    return attachment_->check_usable();
}

std::vector<std::uint32_t> View::local_managers() const {
    if (attachment_ == nullptr || !attachment_->is_usable()) return {};
    return attachment_->local_managers();
}

/// Those of the managers of this view that are on this node.
std::vector<std::uint32_t> View::local_of_view() const {
    std::vector<std::uint32_t> local = local_managers();
    if (manager_ != any_manager) std::erase_if(local, [&](std::uint32_t id) { return id != manager_; });
    return local;
}

std::optional<std::uint32_t> View::local_manager() const {
    if (local_managers().empty()) return std::nullopt;
    return attachment_->main_manager();
}

std::uint32_t View::main_manager() const {
    return attachment_ == nullptr ? 0 : attachment_->main_manager();
}

Result<std::string> View::try_manager_node(std::uint32_t manager) const {
    if (const Result<View> good = try_manager(manager); !good)
        return Error(good.error()).set_operation(Operation::directory);
    const Result<client::Session*> session = attachment_->session();
    if (!session) return Error(session.error()).set_operation(Operation::directory);
    const Time deadline = budget_.deadline(steady_clock::now());
    Result<DirectoryEntry> entry = attachment_->entry(**session, ShardId{manager}, deadline);
    if (!entry) return Error(entry.error()).set_operation(Operation::directory);
    return std::move(entry->node);
}

Result<std::vector<std::string>> View::try_manager_nodes() const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::directory);
    const View in_time = until(budget_.deadline(steady_clock::now()));
    std::vector<std::string> nodes;
    for (std::uint32_t manager = 0; manager < manager_count(); ++manager) {
        Result<std::string> node = in_time.try_manager_node(manager);
        if (!node) return node.error();
        nodes.push_back(*std::move(node));
    }
    return nodes;
}

// ---- the state of things ----

Result<std::vector<ManagerStats>> View::try_stats() const {
    const std::vector<std::uint32_t> asked_ones = managers();
    std::vector<ManagerStats> all(asked_ones.size());
    bool readable = true;
    const Result<void> asked = Calls::ask_all(
        *this, asked_ones, request_of(Verb::stats), [&](std::uint32_t manager, const Reply&, Bytes page) {
            const std::size_t place = manager_ != any_manager ? 0 : manager;
            readable = unpack(page, all[place]) && readable;
            Calls::complete_transport(*this, all[place]);
        });
    if (!asked) return asked.error();
    if (!readable) return unreadable_statistics();
    return all;
}

Result<Partial<std::vector<ManagerStats>>> View::try_partial_stats() const {
    Partial<std::vector<ManagerStats>> stats;
    std::vector<std::uint32_t> unreadable;
    Result<std::vector<MissingManager>> missing = Calls::ask_answering(
        *this, managers(), request_of(Verb::stats), [&](std::uint32_t manager, const Reply&, Bytes page) {
            ManagerStats one;
            const bool is_good = unpack(page, one);
            Calls::complete_transport(*this, one);
            is_good ? stats.value.push_back(std::move(one)) : unreadable.push_back(manager);
        });
    if (!missing) return missing.error();
    stats.missing = *std::move(missing);
    for (const std::uint32_t manager : unreadable)
        stats.missing.push_back(attachment_->missing(manager, unreadable_statistics()));
    std::sort(stats.value.begin(), stats.value.end(),
              [](const ManagerStats& a, const ManagerStats& b) { return a.manager < b.manager; });
    std::sort(stats.missing.begin(), stats.missing.end(),
              [](const MissingManager& a, const MissingManager& b) { return a.manager < b.manager; });
    return stats;
}

Result<ManagerStats> View::try_stats(std::uint32_t manager) const {
    const Result<View> of_one = try_manager(manager);
    if (!of_one) return Error(of_one.error()).set_operation(Operation::stats);
    Result<std::vector<ManagerStats>> stats = of_one->try_stats();
    if (!stats) return stats.error();
    return std::move(stats->front());
}

Result<std::vector<ManagerHealth>> View::try_health() const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::ping);
    const std::vector<std::uint32_t> asked_ones = managers();
    std::vector<ManagerHealth> all(asked_ones.size());
    const Result<client::Session*> session = attachment_->session();
    if (!session) return Error(session.error()).set_operation(Operation::ping);
    const Time deadline = budget_.deadline(steady_clock::now());
    std::vector<Time> sent(all.size());
    const auto set_lost = [&](ManagerHealth& one, const Error& why) {
        const DirectoryEntry* known = (*session)->known_manager(ShardId{one.manager});
        one.round_trip = {};
        one.restarts = 0;
        one.error = why;
        one.restarting = known != nullptr && known->state == ServingState::restarting;
    };
    (*session)->call_all(
        static_cast<std::uint32_t>(all.size()), deadline,
        [&](std::uint32_t i, Time& latest) -> Result<Request> {
            all[i].manager = asked_ones[i];
            Request ping = request_of(Verb::ping);
            ping.shard = ShardId{asked_ones[i]};
            const Result<void> ready = attachment_->prepare(**session, ping, steady_clock::now(), deadline);
            if (const DirectoryEntry* known = (*session)->known_manager(ping.shard))
                all[i].node = known->node;
            if (!ready) return ready.error();
            sent[i] = steady_clock::now();
            // As many as are asked at once may all hang: the others have their share of the time.
            const std::size_t rounds = (all.size() - i - 1) / client::Session::calls_at_once_max + 1;
            latest = std::min(sent[i] + (deadline - sent[i]) / static_cast<std::ptrdiff_t>(rounds),
                              sent[i] + limits::partial_answer_timeout);
            return ping;
        },
        [&](std::uint32_t i, const Result<Reply>& reply) {
            all[i].round_trip = steady_clock::now() - sent[i];
            if (reply) {
                all[i].restarts = reply->argument;
            } else {
                set_lost(all[i], reply.error());
            }
        });
    // Now that all are connected, one after the other: while others are asked as well, a time is not that of
    // one round trip.
    Request ping = request_of(Verb::ping);
    for (ManagerHealth& one : all) {
        const Time before = steady_clock::now();
        if (!one.alive() || before >= deadline) continue;
        ping.shard = ShardId{one.manager};
        const Result<Reply> reply =
            (*session)->call(ping, before, std::min(deadline, before + limits::partial_answer_timeout));
        one.round_trip = steady_clock::now() - before;
        if (!reply) set_lost(one, reply.error());
    }
    return all;
}

ClientProfile View::profile() const {
    return attachment_ == nullptr ? ClientProfile() : attachment_->profile();
}

void View::profile_reset() const {
    if (attachment_ != nullptr) attachment_->reset_profile();
}

}  // namespace ddict
