// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/view.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "libclient/attachment.h"
#include "libclient/page_sink.h"
#include "wire/items.h"

namespace ddict {
namespace {

using client::Attachment;
using client::PageSink;
using wire::Verb;

/// Receives a value that was asked for alone.
class ValueCopy final : public ValueSink {
  public:
    Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        value.resize(bytes);
        type = value_type;
        return MutableBytes(value);
    }
    std::vector<std::byte> value;
    std::uint16_t type = 0;
};

}  // namespace

struct Cursor::Impl {
    Result<bool> next();
    Result<void> leave_out_the_silent();
    bool leaves_out(const Error& error);
    Result<void> fetch_page();
    Result<bool> fetch_value();
    /// Of the next message.
    detail::TimeoutBudget budget_now() const {
        detail::TimeoutBudget now = budget;
        if (partial)
            now.timeout = std::min<std::chrono::nanoseconds>(now.timeout, limits::partial_answer_timeout);
        return now;
    }

    detail::Shared<Attachment> attachment;
    detail::TimeoutBudget budget;
    std::uint32_t checkpoint = no_checkpoint;
    std::vector<std::uint32_t> managers;  // to be visited
    std::string prefix;
    std::optional<std::uint16_t> type;  // of the keys
    bool values = false;
    bool partial = false;
    bool asked_all = false;  // partial: whether they answer
    std::vector<MissingManager> missing;

    std::size_t place = 0;       // in managers
    std::uint64_t position = 0;  // that the manager gave, of the page after this one
    bool page_is_last = true;    // of its manager
    bool started = false;        // the manager at `place` has sent a page
    PageSink page;
    wire::ItemReader reader{Bytes()};

    wire::PackedPair pair;       // the one it stands on; points into page or alone
    bool value_to_come = false;  // it stands on a key whose value could not be fetched yet
    ValueCopy alone;
};

Result<bool> Cursor::Impl::next() {
    if (attachment == nullptr) {
        return Error(Errc::not_attached,
                     "this view is of no dictionary, or of one that was detached or destroyed here")
            .set_operation(Operation::scan);
    }
    if (partial && !asked_all) {
        if (const Result<void> asked = leave_out_the_silent(); !asked) return asked.error();
    }
    for (;;) {
        if (value_to_come) {
            const Result<bool> got = fetch_value();
            if (!got.has_value() && leaves_out(got.error())) continue;
            if (!got.has_value()) return got.error();
            value_to_come = false;
            if (*got) return true;
            continue;  // erased meanwhile
        }
        if (values ? reader.pair(pair) : reader.key(pair.key)) {
            if (!pair.ask_alone) return true;
            value_to_come = true;
            continue;
        }
        if (!reader.at_end()) {
            Error error(Errc::protocol, "the page of pairs that it sent is malformed");
            error.set_operation(Operation::scan).set_manager(managers[place]);
            attachment->name_node(error);
            if (leaves_out(error)) continue;
            return error;
        }
        if (started && page_is_last) {
            ++place;
            started = false;
        }
        if (place >= managers.size()) return false;
        const Result<void> fetched = fetch_page();
        if (!fetched && !leaves_out(fetched.error())) return fetched.error();
    }
}

/// All at once, so that many that are silent take no longer than one.
Result<void> Cursor::Impl::leave_out_the_silent() {
    const Result<std::vector<MissingManager>> silent =
        attachment->call_answering(managers, Request{}, budget, [](std::uint32_t, const Reply&, Bytes) {});
    if (!silent) return Error(silent.error()).set_operation(Operation::scan);
    asked_all = true;
    missing = *silent;
    for (MissingManager& one : missing) {
        one.error.set_operation(Operation::scan);
        std::erase(managers, one.manager);
    }
    return {};
}

/// Whether the walk goes on without the manager that it is at.
bool Cursor::Impl::leaves_out(const Error& error) {
    if (!partial || client::is_of_whole(error)) return false;
    const MissingManager left_out = attachment->missing(managers[place], error);
    missing.insert(std::upper_bound(missing.begin(), missing.end(), left_out.manager,
                                    [](std::uint32_t manager, const MissingManager& one) {
                                        return manager < one.manager;
                                    }),
                   left_out);
    ++place;
    started = false;
    value_to_come = false;
    reader = wire::ItemReader(Bytes());
    return true;
}

Result<void> Cursor::Impl::fetch_page() {
    Request request;
    request.verb = Verb::scan;
    request.shard = ShardId{managers[place]};
    request.key = {bytes_of(prefix), type.value_or(type_text)};
    request.argument = started ? position : 0;
    request.flags =
        static_cast<std::uint16_t>((values ? wire::scan_values : 0) | (type ? wire::scan_of_type : 0));
    request.sink = &page;
    request.checkpoint = checkpoint;
    reader = wire::ItemReader(Bytes());
    page.clear();
    const Result<Reply> reply = attachment->call(request, budget_now());
    if (!reply) return reply.error();
    reader = wire::ItemReader(page.page());
    position = reply->argument;
    page_is_last = position == 0;
    started = true;
    return {};
}

Result<bool> Cursor::Impl::fetch_value() {
    Request request;
    request.verb = Verb::get;
    request.shard = ShardId{managers[place]};
    request.key = pair.key;
    request.flags = wire::at_once;
    request.sink = &alone;
    request.checkpoint = checkpoint;
    const Result<Reply> reply = attachment->call(request, budget_now());
    if (!reply) {
        if (reply.error().code == Errc::not_found) return false;
        return reply.error();
    }
    pair.value = alone.value;
    pair.value_type = alone.type;
    return true;
}

Cursor::Cursor(Impl* impl) : impl_(impl) {}

Cursor::Cursor(Cursor&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}

Cursor& Cursor::operator=(Cursor&& other) noexcept {
    if (this != &other) {
        delete impl_;
        impl_ = std::exchange(other.impl_, nullptr);
    }
    return *this;
}

Cursor::~Cursor() {
    delete impl_;
}

Result<bool> Cursor::next() {
    return impl_->next();
}

std::span<const std::byte> Cursor::key() const {
    return impl_->pair.key.bytes();
}

std::uint16_t Cursor::key_type() const {
    return impl_->pair.key.type();
}

std::span<const std::byte> Cursor::value() const {
    return impl_->pair.value;
}

std::uint16_t Cursor::value_type() const {
    return impl_->pair.value_type;
}

std::uint32_t Cursor::manager() const {
    return impl_->place < impl_->managers.size() ? impl_->managers[impl_->place] : Error::no_manager;
}

const std::vector<MissingManager>& Cursor::missing() const {
    return impl_->missing;
}

Error Cursor::name_error(Error error) const {
    error.set_operation(Operation::scan).set_manager(manager()).set_key(impl_->pair.key);
    if (impl_->attachment != nullptr) impl_->attachment->name_node(error);
    return error;
}

Cursor View::cursor(const ScanOptions& options) const {
    auto impl = std::make_unique<Cursor::Impl>();
    impl->attachment = attachment_;
    impl->budget = budget_;
    impl->checkpoint = checkpoint_id();
    impl->prefix = options.prefix;
    impl->type = options.type;
    impl->values = options.values;
    impl->partial = options.partial;
    // No key begins with what is longer than any key.
    if (options.prefix.size() <= limits::key_bytes_max)
        impl->managers = options.local ? local_of_view() : managers();
    // Clients that begin together do not all begin at the same manager.
    if (attachment_ != nullptr && attachment_->is_usable()) {
        const auto own = std::find(impl->managers.begin(), impl->managers.end(), main_manager());
        if (own != impl->managers.end()) std::rotate(impl->managers.begin(), own, impl->managers.end());
    }
    return Cursor(impl.release());
}

}  // namespace ddict
