// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/dictionary.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <thread>
#include <utility>

#include "base/limits.h"
#include "cluster/handle.h"
#include "libclient/attachment.h"
#include "libclient/shared.h"

namespace ddict {
namespace {

using client::Attachment;
using std::chrono::milliseconds;

constexpr milliseconds destroy_timeout{10'000};
constexpr double timeout_seconds_max = 1e9;  // thirty years

Result<std::optional<milliseconds>> timeout_from_environment() {
    const char* text = std::getenv("DDICT_OPERATION_TIMEOUT");
    if (text == nullptr || *text == '\0') return std::optional<milliseconds>();
    const std::string_view digits = text;
    double seconds = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error != std::errc() || end != digits.data() + digits.size() || !(seconds > 0)) {
        return Error(Errc::invalid_argument, "DDICT_OPERATION_TIMEOUT is '" + std::string(digits) +
                                                 "': a number of seconds above 0 is needed")
            .set_operation(Operation::attach);
    }
    const std::chrono::duration<double> exact(std::min(seconds, timeout_seconds_max));
    return std::optional(std::chrono::ceil<milliseconds>(exact));
}

/// A time-out above 0, cut to what can be added to the clock.
Result<milliseconds> checked(milliseconds timeout, const char* name, Operation operation) {
    if (timeout.count() <= 0) {
        return Error(Errc::invalid_argument, std::string(name) + " is " + std::to_string(timeout.count()) +
                                                 " ms: a time above 0 is needed")
            .set_operation(operation);
    }
    return std::chrono::ceil<milliseconds>(detail::TimeoutBudget::clamped(timeout));
}

Result<AttachOptions> checked(AttachOptions options, Operation operation) {
    if (options.timeout) {
        const Result<milliseconds> timeout = checked(*options.timeout, "timeout", operation);
        if (!timeout) return timeout.error();
        options.timeout = *timeout;
    }
    const Result<milliseconds> attach = checked(options.attach_timeout, "attach_timeout", operation);
    if (!attach) return attach.error();
    options.attach_timeout = *attach;
    return options;
}

/// The node launcher does it when its managers have ended. Of other nodes nothing is known here.
Result<void> wait_until_kept(const Attachment& attachment) {
    const auto deadline = std::chrono::steady_clock::now() + destroy_timeout;
    std::optional<bool> kept = attachment.are_pools_kept();
    while (!kept && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(limits::restart_look_interval);
        kept = attachment.are_pools_kept();
    }
    if (kept == true) return {};
    return (kept ? Error(Errc::system,
                         "the pools of this node are not kept: the standard error of ddict-launch says why")
                 : Error(Errc::timeout, "the node launcher has not kept the pools of this node yet"))
        .set_operation(Operation::destroy);
}

Result<void> begin_with(Dictionary& dictionary, const CreateOptions& options) {
    Result<CheckpointInfo> begun = CheckpointInfo();
    if (!options.load.empty()) begun = dictionary.try_load(options.load, {.exclusive = true});
    if (options.restore_from) begun = dictionary.try_restore(*options.restore_from, {.exclusive = true});
    return begun ? Result<void>() : begun.error();
}

}  // namespace

Dictionary& Dictionary::operator=(Dictionary&& other) noexcept {
    if (this != &other) {
        detach();
        View::operator=(std::move(other));
    }
    return *this;
}

Dictionary::~Dictionary() {
    if (attachment() != nullptr && !attachment()->stays_until_exit()) detach();
}

Result<Dictionary> Dictionary::try_attach(const AttachOptions& options) {
    const char* handle = std::getenv("DDICT_HANDLE");
    // srun hands this one on whatever it is told to export.
    if (handle == nullptr || *handle == '\0') handle = std::getenv("SLURM_DDICT_HANDLE");
    if (handle == nullptr || *handle == '\0') {
        return Error(Errc::not_attached,
                     "DDICT_HANDLE is not set: there is no dictionary here, or what started this program "
                     "(sudo, "
                     "ssh, a container) has not handed the variable on")
            .set_operation(Operation::attach);
    }
    return try_attach(handle, options);
}

Result<Dictionary> Dictionary::try_attach(std::string_view text, const AttachOptions& options) {
    Result<AttachOptions> completed = checked(options, Operation::attach);
    if (!completed) return completed.error();
    const Result<Handle> handle = Handle::parse(text);
    if (!handle) return handle.error();
    if (!completed->timeout) {
        Result<std::optional<milliseconds>> timeout = timeout_from_environment();
        if (!timeout.has_value()) return timeout.error();
        completed->timeout = *timeout;
    }
    Result<std::shared_ptr<Attachment>> attachment = Attachment::open(*handle, *completed);
    if (!attachment) return attachment.error();
    const milliseconds timeout = (*attachment)->timeout();
    return Dictionary(client::share(*std::move(attachment)), timeout);
}

Result<Dictionary> Dictionary::try_create(const CreateOptions& options) {
    // Before anything is started.
    const Result<AttachOptions> attach = checked(options.attach, Operation::create);
    if (!attach) return attach.error();
    if (options.restore_from && (options.resume || !options.load.empty())) {
        return Error(Errc::invalid_argument,
                     "restore_from is one way to begin, load and resume are others: choose one")
            .set_operation(Operation::create);
    }
    if (options.read_only && !options.restore_from) {
        return Error(Errc::invalid_argument, "read_only needs restore_from: what is there to read?")
            .set_operation(Operation::create);
    }
    CreateOptions completed = options;
    const Result<milliseconds> launch = checked(options.launch_timeout, "launch_timeout", Operation::create);
    if (!launch) return launch.error();
    completed.launch_timeout = *launch;
    Result<std::unique_ptr<client::LaunchService>> service = client::LaunchService::start(completed);
    if (!service) return service.error();
    Result<Dictionary> dictionary = try_attach((*service)->handle(), *attach);
    if (!dictionary) {
        (*service)->finish(milliseconds{0});
        return dictionary.error();
    }
    dictionary->attachment()->own(*std::move(service));
    if (const Result<void> begun = begin_with(*dictionary, options); !begun) {
        static_cast<void>(dictionary->try_destroy());
        return begun.error();
    }
    return dictionary;
}

std::string Dictionary::handle() const {
    return attachment() == nullptr ? std::string() : attachment()->handle().serialize();
}

std::string Dictionary::name() const {
    return attachment() == nullptr ? std::string() : attachment()->handle().name;
}

void Dictionary::detach() {
    if (attachment() == nullptr) return;
    attachment()->close();
    View::operator=(View());
}

namespace {

/// Of threads that change it at once, each does. Returns what it is then.
template <class F>
std::uint32_t change_id(const detail::Shared<client::Attachment>& attachment, F next_of) {
    if (attachment == nullptr) return 0;
    std::uint32_t before = attachment->checkpoint_id().load();
    while (!attachment->checkpoint_id().compare_exchange_weak(before, next_of(before))) {
    }
    return next_of(before);
}

}  // namespace

std::uint32_t Dictionary::checkpoint() {
    return change_id(attachment(), [](std::uint32_t id) { return id >= checkpoint_id_max ? id : id + 1; });
}

std::uint32_t Dictionary::rollback() {
    return change_id(attachment(),
                     [](std::uint32_t id) { return id == 0 || id == newest_checkpoint ? id : id - 1; });
}

Result<void> Dictionary::try_set_checkpoint_id(std::uint32_t checkpoint) {
    const auto refuse = [](Errc code, std::string_view why) {
        return Error(code, why).set_operation(Operation::checkpoints);
    };
    if (checkpoint > newest_checkpoint) return refuse(Errc::invalid_argument, "the id is too large");
    if (attachment() == nullptr) return refuse(Errc::not_attached, "it was detached or destroyed here");
    attachment()->checkpoint_id() = checkpoint;
    return {};
}

Result<std::uint32_t> Dictionary::try_sync_to_newest_checkpoint() {
    const Result<std::uint32_t> newest = try_newest_checkpoint_id();
    if (newest.has_value()) attachment()->checkpoint_id() = *newest;
    return newest;
}

Result<void> Dictionary::try_restart(std::uint32_t manager) {
    // The one that is to end may answer a question that comes later.
    const Result<ManagerStats> before = try_stats(manager);
    if (!before) return Error(before.error()).set_operation(Operation::restart);
    Request restart;
    restart.verb = wire::Verb::restart;
    const detail::TimeoutBudget budget{.timeout = attachment()->timeout()};
    const auto deadline = budget.deadline(std::chrono::steady_clock::now());
    const Result<void> told = attachment()->call_each(std::array{manager}, restart, budget,
                                                      [](std::uint32_t, const Reply&, Bytes) {});
    if (!told) return told;
    for (;;) {
        const Result<ManagerStats> now = try_stats(manager);
        if (!now) return Error(now.error()).set_operation(Operation::restart);
        if (now->restarts != before->restarts) return {};
        if (std::chrono::steady_clock::now() >= deadline)
            return Error(Errc::timeout, "the manager has not ended")
                .set_operation(Operation::restart)
                .set_manager(manager);
        std::this_thread::sleep_for(limits::restart_look_interval);
    }
}

Result<std::vector<std::uint32_t>> Dictionary::try_empty_managers() const {
    const Result<std::vector<ManagerStats>> all = try_stats();
    if (!all) return all.error();
    std::vector<std::uint32_t> empty;
    for (const ManagerStats& stats : *all)
        if (stats.without_kept) empty.push_back(stats.manager);
    return empty;
}

Result<void> Dictionary::try_destroy(const DestroyOptions& options) {
    if (attachment() == nullptr) {
        return Error(Errc::not_attached, "this dictionary was detached or destroyed here")
            .set_operation(Operation::destroy);
    }
    // Before any lock, which a thread of the parent may have had at the fork.
    if (const Result<void> good = attachment()->check_usable(); !good)
        return Error(good.error()).set_operation(Operation::destroy);
    std::vector<std::uint32_t> managers(manager_count());
    std::iota(managers.begin(), managers.end(), 0);
    // Those that are the way to others come last.
    const std::vector<std::uint32_t> last = attachment()->managers_giving_tunnels();
    std::erase_if(managers,
                  [&](std::uint32_t manager) { return std::ranges::find(last, manager) != last.end(); });
    Request shutdown;
    shutdown.verb = wire::Verb::shutdown;
    if (options.keep_pools) shutdown.flags = wire::shutdown_keeps;
    Result<void> told;
    for (const auto* const some : {&std::as_const(managers), &last}) {
        const Result<void> answer = attachment()->call_each(
            *some, shutdown, {.timeout = attachment()->timeout()}, [](std::uint32_t, const Reply&, Bytes) {},
            true);
        if (told) told = answer;
    }
    if (!told && told.error().code == Errc::not_attached) return told;
    if (client::LaunchService* service = attachment()->service()) service->finish(destroy_timeout);
    if (told && options.keep_pools) told = wait_until_kept(*attachment());
    detach();
    return told;
}

}  // namespace ddict
