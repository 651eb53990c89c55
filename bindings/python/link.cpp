// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/link.h"

#include <ddict/checkpoint_store.h>

#include <pthread.h>

#include <thread>
#include <unordered_map>

#include "bindings/python/errors.h"
#include "bindings/python/gil.h"

namespace ddict::python {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds end_of_calls_max{5};

std::unordered_map<std::string, std::weak_ptr<Link>>& links() {
    static auto* const all =
        new std::unordered_map<std::string, std::weak_ptr<Link>>;  // for as long as the process
    return *all;
}

/// What a link is known by: those with other options have attachments of their own.
std::string name_of(const std::string& handle, const AttachOptions& options) {
    const auto count = [](auto time) { return std::to_string(time.count()) + ' '; };
    return count(options.timeout.value_or(std::chrono::milliseconds(-1))) + count(options.attach_timeout) +
           (options.local_reads ? "local " : "remote ") + handle;
}

}  // namespace

void watch_processes() {
    pthread_atfork(nullptr, nullptr, [] {
        ++process_generation;
        link_of_call = nullptr;
    });
    set_ends_call([] { return link_of_call != nullptr && link_of_call->is_closing(); });
}

Link::Link(Dictionary dictionary, const AttachOptions& options)
    : handle_(dictionary.handle()),
      options_(options),
      dictionary_(std::move(dictionary)),
      generation_(process_generation),
      checkpoint_(dictionary_->checkpoint_id()) {}

Link::~Link() {
    if (!dictionary_) return;
    begin_generation();
    if (generation_ != process_generation || calls_ != 0) {
        // The parent's, or in use by a thread that the end of the interpreter has stopped.
        static_cast<void>(new Dictionary(*std::move(dictionary_)));
    } else {
        without_gil([&] {
            dictionary_.reset();
            return 0;
        });
    }
}

std::shared_ptr<Link> Link::of_handle(const std::string& handle, const AttachOptions& options) {
    if (const auto known = links().find(name_of(handle, options)); known != links().end()) {
        if (auto link = known->second.lock(); link && !link->is_detached()) return link;
    }
    auto link = std::make_shared<Link>(handle, options);
    remember(link);
    return link;
}

void Link::remember(const std::shared_ptr<Link>& link) {
    std::erase_if(links(), [](const auto& known) { return known.second.expired(); });
    links().insert_or_assign(name_of(link->handle_, link->options_), link);
}

void Link::refuse_detached() {
    begin_generation();
    if (!is_detached_ && !is_closing()) return;  // that was the parent's
    raise(Error(Errc::not_attached, "this dictionary was detached or destroyed here"));
}

void Link::refuse_ended(Error why) {
    if (why.code != Errc::timeout) return;
    why.code = Errc::not_attached;
    why.set_detail("this dictionary was detached here, which has ended the call");
    raise(why);
}

const View& Link::root() {
    refuse_in_handler();
    begin_generation();
    require_attached();
    while (generation_ != process_generation) {
        if (is_attaching_) {  // each attach has a deadline
            without_gil([] {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                return 0;
            });
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        } else {
            attach();
        }
        require_attached();
    }
    return *dictionary_;
}

void Link::attach() {
    const std::uint64_t generation = process_generation;
    is_attaching_ = true;
    std::optional<Result<Dictionary>> made;
    try {
        made = call([&] { return std::optional(Dictionary::try_attach(handle_, options_)); });
    } catch (...) {
        is_attaching_ = false;
        throw;
    }
    is_attaching_ = false;
    if (!made->has_value()) raise(made->error());
    // What the parent has made, or another process than this one, stays as it is.
    if (generation != process_generation) {
        static_cast<void>(new Dictionary(*std::move(*made)));
        return;
    }
    if (dictionary_) static_cast<void>(new Dictionary(*std::move(dictionary_)));
    dictionary_.emplace(*std::move(*made));
    dictionary_->set_checkpoint_id(checkpoint_);
    generation_ = process_generation;
}

std::string Link::name() {
    root();
    return dictionary_->name();
}

void Link::end_calls() {
    begin_generation();
    is_closing_ = true;
    const auto latest = steady_clock::now() + end_of_calls_max;
    while (calls_ != 0 && steady_clock::now() < latest) {
        without_gil([] {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            return 0;
        });
    }
    if (calls_ == 0) return;
    is_closing_ = false;
    raise(Error(Errc::busy, "other threads are in calls to this dictionary, and these do not end"));
}

void Link::detach() {
    refuse_in_handler();
    begin_generation();
    if (is_detached_ || is_closing()) return;
    end_calls();
    if (generation_ == process_generation) {
        without_gil([&] {
            dictionary_->detach();
            return 0;
        });
    }
    is_detached_ = true;
}

void Link::restart(std::uint32_t manager) {
    root();
    const Result<void> restarted = call([&] { return dictionary_->try_restart(manager); });
    if (!restarted) raise(restarted.error());
}

std::uint32_t Link::checkpoint() {
    root();
    return checkpoint_ = dictionary_->checkpoint();
}

std::uint32_t Link::rollback() {
    root();
    return checkpoint_ = dictionary_->rollback();
}

void Link::set_checkpoint_id(std::uint32_t checkpoint) {
    root();
    if (const Result<void> set = dictionary_->try_set_checkpoint_id(checkpoint); !set) raise(set.error());
    checkpoint_ = checkpoint;
}

Result<void> Link::clone_to(Link& target, const LoadOptions& options) {
    return dictionary_->try_clone_to(*target.dictionary_, options);
}

Result<Dictionary> Link::copy(const CreateOptions& options, const LoadOptions& load) {
    return dictionary_->try_copy(options, load);
}

void Link::set_checkpoint_store(std::shared_ptr<CheckpointStore> store) {
    root();
    if (const Result<void> set = dictionary_->try_set_checkpoint_store(std::move(store)); !set)
        raise(set.error());
}

/// Called without the interpreter's lock.
Result<CheckpointInfo> Link::restore(std::uint32_t checkpoint, const LoadOptions& options) {
    return dictionary_->try_restore(checkpoint, options);
}

Result<CheckpointInfo> Link::advance(const LoadOptions& options) {
    return dictionary_->try_advance(options);
}

bool Link::begins_at(std::uint32_t checkpoint) {
    if (generation_ != process_generation && checkpoint_ == 0) checkpoint_ = checkpoint;
    return checkpoint_ == checkpoint;
}

void Link::destroy(bool keep) {
    root();
    end_calls();
    const Result<void> destroyed =
        without_gil([&] { return dictionary_->try_destroy({.keep_pools = keep}); });
    is_detached_ = true;
    throw_if_interrupted();
    if (!destroyed) raise(destroyed.error());
}

}  // namespace ddict::python
