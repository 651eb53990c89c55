// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/dictionary.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <map>

#include "core/batch.h"
#include "core/stats.h"
#include "libclient/attachment.h"
#include "libclient/page_sink.h"

namespace ddict {
namespace {

using client::Attachment;
using client::PageSink;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using wire::Verb;

constexpr milliseconds destroy_patience{10'000};

Result<std::optional<milliseconds>> timeout_from_environment() {
    const char* text = std::getenv("DDICT_OPERATION_TIMEOUT");
    if (text == nullptr || *text == '\0') return std::optional<milliseconds>();
    const std::string_view digits = text;
    double seconds = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error != std::errc() || end != digits.data() + digits.size() || !(seconds > 0) || seconds > 1e6) {
        return Error(Errc::invalid_argument, "DDICT_OPERATION_TIMEOUT is '" + std::string(digits) +
                                                 "': a number of seconds above 0 is needed")
            .set_operation(Operation::attach);
    }
    return std::optional(milliseconds(static_cast<std::int64_t>(seconds * 1000)));
}

Result<void> check_key(std::span<const std::byte> key, Operation operation) {
    if (key.empty()) return Error(Errc::invalid_argument, "the key is empty").set_operation(operation);
    if (key.size() <= limits::key_bytes_max) return {};
    Error error(Errc::too_large, "the key is too long");
    return error.set_operation(operation).set_key(text_of(key)).set_bytes(key.size(), limits::key_bytes_max);
}

Error not_attached(Operation operation) {
    return Error(Errc::not_attached, "this dictionary was detached or destroyed").set_operation(operation);
}

}  // namespace

class Dictionary::Impl {
  public:
    explicit Impl(std::shared_ptr<Attachment> attachment) : attachment_(std::move(attachment)) {}
    ~Impl() { attachment_->close(); }

    Attachment& attachment() { return *attachment_; }

    /// One request on one key.
    Result<Reply> call(Verb verb, Bytes key, Bytes value = {}, std::uint16_t value_type = 0,
                       ValueSink* sink = nullptr) {
        if (const Result<void> good = check_key(key, operation_of(verb)); !good) return good.error();
        Request request;
        request.verb = verb;
        request.manager = attachment_->manager_of(key);
        request.key = key;
        request.value = value;
        request.value_type = value_type;
        request.sink = sink;
        return attachment_->call(request);
    }

    /// The same request to all managers at once; `on_reply(manager, reply, page)` for each. The first error,
    /// if any.
    Result<void> call_all(Verb verb, const std::function<void(std::uint32_t, const Reply&, Bytes)>& on_reply,
                          bool lost_is_fine = false) {
        const Result<client::Session*> own = attachment_->session();
        if (!own) return Error(own.error()).set_operation(operation_of(verb));
        client::Session& session = **own;
        const Time deadline = steady_clock::now() + attachment_->timeout();
        std::map<std::uint32_t, PageSink> pages;
        Result<void> outcome;
        session.call_all(
            attachment_->manager_count(), deadline,
            [&](std::uint32_t manager) -> Result<Request> {
                if (session.known_manager(manager) == nullptr) {
                    const Result<DirectoryEntry> entry = attachment_->entry(session, manager, deadline);
                    if (!entry)
                        return Error(entry.error()).set_operation(operation_of(verb)).set_manager(manager);
                    session.add_manager(*entry);
                }
                Request request;
                request.verb = verb;
                request.manager = manager;
                request.sink = &pages[manager];
                return request;
            },
            [&](std::uint32_t manager, Result<Reply> reply) {
                if (reply) {
                    on_reply(manager, *reply, pages[manager].page());
                } else if (outcome && !(lost_is_fine && reply.error().code == Errc::manager_lost)) {
                    outcome = reply.error();
                }
                pages.erase(manager);
            });
        return outcome;
    }

    /// The keys of one manager, page by page.
    Result<void> append_keys(std::uint32_t manager, std::vector<std::string>& keys) {
        PageSink sink;
        Request request;
        request.verb = Verb::scan;
        request.manager = manager;
        request.sink = &sink;
        do {
            sink.clear();
            const Result<Reply> reply = attachment_->call(request);
            if (!reply) return reply.error();
            wire::ItemReader in(sink.page());
            for (Bytes key; in.key(key);)
                keys.emplace_back(text_of(key));
            if (!in.at_end())
                return Error(Errc::protocol, "a page of keys that cannot be read").set_manager(manager);
            request.argument = reply->argument;
        } while (request.argument != 0);
        return {};
    }

  private:
    std::shared_ptr<Attachment> attachment_;
};

Dictionary::Dictionary(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dictionary::Dictionary(Dictionary&&) noexcept = default;
Dictionary& Dictionary::operator=(Dictionary&&) noexcept = default;
Dictionary::~Dictionary() = default;

Result<Dictionary> Dictionary::try_attach(const AttachOptions& options) {
    const char* handle = std::getenv("DDICT_HANDLE");
    if (handle == nullptr || *handle == '\0') {
        return Error(Errc::not_attached,
                     "there is no dictionary in the environment (DDICT_HANDLE is not set)")
            .set_operation(Operation::attach);
    }
    return try_attach(handle, options);
}

Result<Dictionary> Dictionary::try_attach(std::string_view text, const AttachOptions& options) {
    const Result<Handle> handle = Handle::parse(text);
    if (!handle) return handle.error();
    AttachOptions completed = options;
    if (!completed.timeout) {
        Result<std::optional<milliseconds>> timeout = timeout_from_environment();
        if (!timeout) return timeout.error();
        completed.timeout = *timeout;
    }
    Result<std::shared_ptr<Attachment>> attachment = Attachment::open(*handle, completed);
    if (!attachment) return attachment.error();
    return Dictionary(std::make_shared<Impl>(*std::move(attachment)));
}

Result<Dictionary> Dictionary::try_create(const CreateOptions& options) {
    Result<std::unique_ptr<client::LaunchService>> service = client::LaunchService::start(options);
    if (!service) return service.error();
    Result<Dictionary> dictionary = try_attach((*service)->handle(), options.attach);
    if (!dictionary) {
        (*service)->finish(milliseconds{0});
        return dictionary.error();
    }
    dictionary->impl_->attachment().own(*std::move(service));
    return dictionary;
}

std::string Dictionary::serialize() const {
    return impl_ == nullptr ? std::string() : impl_->attachment().handle().serialize();
}

void Dictionary::detach() {
    impl_.reset();
}

Result<void> Dictionary::try_destroy() {
    if (impl_ == nullptr) return not_attached(Operation::destroy);
    const Result<void> told = impl_->call_all(
        Verb::shutdown, [](std::uint32_t, const Reply&, Bytes) {}, true);
    if (!told && told.error().code == Errc::not_attached) return told;
    if (client::LaunchService* service = impl_->attachment().service()) service->finish(destroy_patience);
    impl_.reset();
    return told;
}

Result<void> Dictionary::put_bytes(std::span<const std::byte> key, std::span<const std::byte> value,
                                   std::uint16_t value_type) {
    if (impl_ == nullptr) return not_attached(Operation::put);
    const Result<Reply> reply = impl_->call(Verb::put, key, value, value_type);
    if (!reply) return reply.error();
    return {};
}

Result<void> Dictionary::get_bytes(std::span<const std::byte> key, ValueSink& sink) {
    if (impl_ == nullptr) return not_attached(Operation::get);
    const Result<Reply> reply = impl_->call(Verb::get, key, {}, 0, &sink);
    if (!reply) return reply.error();
    return {};
}

Result<bool> Dictionary::contains_bytes(std::span<const std::byte> key) {
    if (impl_ == nullptr) return not_attached(Operation::contains);
    const Result<Reply> reply = impl_->call(Verb::contains, key);
    if (!reply) return reply.error();
    return reply->argument != 0;
}

Result<bool> Dictionary::erase_bytes(std::span<const std::byte> key) {
    if (impl_ == nullptr) return not_attached(Operation::erase);
    const Result<Reply> reply = impl_->call(Verb::erase, key);
    if (reply) return true;
    if (reply.error().code == Errc::not_found) return false;
    return reply.error();
}

std::uint32_t Dictionary::manager_count() const {
    return impl_ == nullptr ? 0 : impl_->attachment().manager_count();
}

std::uint32_t Dictionary::manager_of_bytes(std::span<const std::byte> key) const {
    return impl_ == nullptr ? 0 : impl_->attachment().manager_of(key);
}

Result<std::uint64_t> Dictionary::try_size() {
    if (impl_ == nullptr) return not_attached(Operation::size);
    std::uint64_t keys = 0;
    const Result<void> asked = impl_->call_all(
        Verb::size, [&](std::uint32_t, const Reply& reply, Bytes) { keys += reply.argument; });
    if (!asked) return asked.error();
    return keys;
}

Result<void> Dictionary::try_clear() {
    if (impl_ == nullptr) return not_attached(Operation::clear);
    return impl_->call_all(Verb::clear, [](std::uint32_t, const Reply&, Bytes) {});
}

Result<std::vector<std::string>> Dictionary::try_keys() {
    if (impl_ == nullptr) return not_attached(Operation::scan);
    std::vector<std::string> keys;
    for (std::uint32_t manager = 0; manager < manager_count(); ++manager) {
        if (const Result<void> got = impl_->append_keys(manager, keys); !got) return got.error();
    }
    return keys;
}

Result<std::vector<ManagerStats>> Dictionary::try_stats() {
    if (impl_ == nullptr) return not_attached(Operation::stats);
    std::vector<ManagerStats> all(manager_count());
    bool readable = true;
    const Result<void> asked =
        impl_->call_all(Verb::stats, [&](std::uint32_t manager, const Reply&, Bytes page) {
            readable = unpack(page, all[manager]) && readable;
        });
    if (!asked) return asked.error();
    if (!readable)
        return Error(Errc::protocol, "statistics that cannot be read").set_operation(Operation::stats);
    return all;
}

Result<ManagerStats> Dictionary::try_stats(std::uint32_t manager) {
    if (impl_ == nullptr) return not_attached(Operation::stats);
    if (manager >= manager_count()) {
        return Error(Errc::invalid_argument,
                     "there is no such manager; there are " + std::to_string(manager_count()))
            .set_operation(Operation::stats)
            .set_manager(manager);
    }
    PageSink sink;
    Request request;
    request.verb = Verb::stats;
    request.manager = manager;
    request.sink = &sink;
    const Result<Reply> reply = impl_->attachment().call(request);
    if (!reply) return reply.error();
    ManagerStats stats;
    if (!unpack(sink.page(), stats)) {
        return Error(Errc::protocol, "statistics that cannot be read").set_operation(Operation::stats);
    }
    return stats;
}

}  // namespace ddict
