// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "pmix/session.h"

#include <condition_variable>
#include <cstdlib>
#include <list>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include <pmix.h>

#include "base/limits.h"
#include "pmix/bounded_call.h"
#include "pmix/status.h"
#include "pmix/values.h"

namespace ddict::pmix {

namespace {

using Clock = std::chrono::steady_clock;

bool never() {
    return false;
}

Error no_thread(Error error) {
    return error.set_operation(Operation::launch);
}

std::string full(std::string_view key) {
    return "ddict." + std::string(key);
}
std::string quoted(std::string_view key) {
    return "the exchange '" + std::string(key) + "'";
}

Error given_up(std::string_view doing, bool cancelled) {
    std::string text = "PMIx: ";
    text.append(doing);
    text.append(cancelled ? " was cancelled while it waited for the other node launchers"
                          : ": the PMIx server of this node does not answer");
    return Error(Errc::timeout, text).set_operation(Operation::launch);
}

// PMIx can neither keep an empty value nor does it name who put it; so every contribution starts with this
// byte, which also tells what is ours.
constexpr char contribution_mark = 'd';

// What was asked of PMIx and has not been answered. PMIx's thread writes to it under Inbox::mutex, once.
struct Pending {
    struct Inbox* inbox = nullptr;
    bool done = false;
    pmix_status_t status = PMIX_SUCCESS;
};

// Where PMIx's thread leaves its answers. An answer may come any time until PMIx_Finalize has returned: until
// then neither the inbox nor a pending request without an answer is freed.
struct Inbox {
    std::mutex mutex;
    std::condition_variable arrived;
    std::list<Pending> pending;

    Pending& expect() {
        const std::lock_guard lock(mutex);
        Pending& request = pending.emplace_back();
        request.inbox = this;
        return request;
    }
    void forget(const Pending& request) {
        const std::lock_guard lock(mutex);
        pending.remove_if([&](const Pending& p) { return &p == &request; });
    }
};

// Called on PMIx's thread.
extern "C" void ddict_pmix_answered(pmix_status_t status, void* cbdata) noexcept {
    auto& request = *static_cast<Pending*>(cbdata);
    Inbox& inbox = *request.inbox;
    const std::lock_guard lock(inbox.mutex);
    request.status = status;
    request.done = true;
    inbox.arrived.notify_all();
}

struct Started {
    pmix_status_t status = PMIX_SUCCESS;
    pmix_proc_t self;
    std::uint32_t count = 0;
};

// Blocks: for bounded_call().
Started start_pmix() {
    Started started;
    PMIX_PROC_CONSTRUCT(&started.self);
    started.status = PMIx_Init(&started.self, nullptr, 0);
    if (started.status != PMIX_SUCCESS) return started;
    pmix_proc_t everyone;
    PMIX_PROC_LOAD(&everyone, started.self.nspace, PMIX_RANK_WILDCARD);
    Infos here_only;
    here_only.add(PMIX_IMMEDIATE, true);
    pmix_value_t* raw = nullptr;
    started.status = PMIx_Get(&everyone, PMIX_JOB_SIZE, here_only.data(), here_only.size(), &raw);
    const ValuePtr value(raw);
    if (started.status == PMIX_SUCCESS) {
        if (value && value->type == PMIX_UINT32)
            started.count = value->data.uint32;
        else
            started.status = PMIX_ERR_TYPE_MISMATCH;
    }
    if (started.status != PMIX_SUCCESS) PMIx_Finalize(nullptr, 0);
    return started;
}

pmix_status_t publish(const std::string& key, const std::string& contribution) {
    BytesValue value(contribution);
    const pmix_status_t status = PMIx_Put(PMIX_GLOBAL, key.c_str(), value.get());
    return status == PMIX_SUCCESS ? PMIx_Commit() : status;
}

struct Collected {
    pmix_status_t status = PMIX_SUCCESS;
    std::uint32_t rank = 0;  // that status is about
    std::vector<std::string> blobs;
};

// After the fence all contributions lie at this node's server, so nobody else is asked. Blocks: for
// bounded_call().
Collected collect(const std::string& key, const pmix_proc_t& self, std::uint32_t count) {
    Collected all;
    all.blobs.reserve(count);
    Infos here_only;
    here_only.add(PMIX_IMMEDIATE, true);
    for (all.rank = 0; all.rank < count; ++all.rank) {
        pmix_proc_t peer;
        PMIX_PROC_LOAD(&peer, self.nspace, all.rank);
        pmix_value_t* raw = nullptr;
        all.status = PMIx_Get(&peer, key.c_str(), here_only.data(), here_only.size(), &raw);
        const ValuePtr value(all.status == PMIX_SUCCESS ? raw : nullptr);
        if (all.status != PMIX_SUCCESS) return all;
        const auto bytes = value ? bytes_in(*value) : std::nullopt;
        if (!bytes || bytes->empty() || bytes->front() != contribution_mark) {
            all.status = PMIX_ERR_BAD_PARAM;
            return all;
        }
        all.blobs.emplace_back(bytes->substr(1));
    }
    return all;
}

}  // namespace

struct Session::State {
    Inbox inbox;
    pmix_proc_t self;
    std::uint32_t count = 0;
    std::set<std::string, std::less<>> keys_used;
    std::size_t bytes_contributed = 0;
    bool joined = true;
    // A blocking call was given up and may still be inside PMIx: PMIx must then not be called again, not even
    // to finalize it, and nothing that it may know of is freed.
    bool wedged = false;

    Result<void> check(std::string_view key, std::string_view mine) const;
    Result<void> put(std::string_view key, std::string_view mine, const std::function<bool()>& cancelled);
    Result<void> fence(std::string_view key, const std::function<bool()>& cancelled);
};

Result<std::unique_ptr<Session>> Session::open(std::chrono::milliseconds timeout) {
    if (!std::getenv("PMIX_NAMESPACE") || !std::getenv("PMIX_RANK"))
        return Error(Errc::system,
                     "PMIx: this process was not started by a PMIx launcher (PMIX_NAMESPACE is not set); "
                     "start it "
                     "with srun --mpi=pmix")
            .set_operation(Operation::launch);
    const auto called = bounded_call<Started>(start_pmix, Clock::now() + timeout, never);
    if (!called.has_value()) return no_thread(called.error());
    const std::optional<Started>& started = *called;
    if (!started) return given_up("joining the other node launchers", false);
    if (started->status != PMIX_SUCCESS) return to_error(started->status, "joining the other node launchers");
    auto state = std::make_unique<State>();
    state->self = started->self;
    state->count = started->count;
    std::unique_ptr<Session> session(new Session(std::move(state)));
    if (session->index() >= session->count())
        return Error(Errc::system, "PMIx: the launcher gave this process rank " +
                                       std::to_string(session->index()) + " among " +
                                       std::to_string(session->count()))
            .set_operation(Operation::launch);
    return session;
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}

Session::~Session() {
    // Whatever leave() has to say, there is nobody left to hear it.
    static_cast<void>(leave().has_value());
    // PMIx may still know of it. Kept where leak checkers find it.
    [[maybe_unused]] static State* volatile abandoned = nullptr;
    if (state_->wedged) abandoned = state_.release();
}

std::uint32_t Session::index() const {
    return state_->self.rank;
}
std::uint32_t Session::count() const {
    return state_->count;
}

Result<std::vector<std::string>> Session::exchange(std::string_view key, std::string_view mine,
                                                   const std::function<bool()>& cancelled) {
    if (auto fit = state_->check(key, mine); !fit) return fit.error();
    if (auto done = state_->put(key, mine, cancelled); !done) return done.error();
    if (auto done = state_->fence(key, cancelled); !done) return done.error();

    auto called = bounded_call<Collected>([full_key = full(key), self = state_->self,
                                           count = state_->count] { return collect(full_key, self, count); },
                                          Clock::now() + limits::pmix_answer_timeout, cancelled);
    if (!called.has_value()) return no_thread(called.error());
    std::optional<Collected>& all = *called;
    if (!all) {
        state_->wedged = true;
        return given_up(quoted(key), cancelled());
    }
    if (all->status != PMIX_SUCCESS)
        return to_error(all->status, quoted(key) + ", from node launcher " + std::to_string(all->rank));
    return std::move(all->blobs);
}

Result<void> Session::State::check(std::string_view key, std::string_view mine) const {
    const auto refuse = [&](Errc code, const std::string& text) {
        return Error(code, "PMIx: " + quoted(key) + ": " + text).set_operation(Operation::launch);
    };
    if (!joined || wedged) return refuse(Errc::system, "this process has left the node launchers");
    if (key.empty() || key.size() > limits::exchange_key_bytes_max)
        return refuse(Errc::invalid_argument, "the key is empty or too long");
    if (keys_used.contains(key)) return refuse(Errc::invalid_argument, "the key was used before");
    const std::size_t total = bytes_contributed + mine.size();
    if (total > limits::pmix_contribution_bytes_max)
        return refuse(Errc::too_large, "more than PMIx can carry reliably")
            .set_bytes(total, limits::pmix_contribution_bytes_max);
    return {};
}

Result<void> Session::State::put(std::string_view key, std::string_view mine,
                                 const std::function<bool()>& cancelled) {
    keys_used.emplace(key);
    bytes_contributed += mine.size();
    std::string contribution(1, contribution_mark);
    contribution.append(mine);
    const auto called = bounded_call<pmix_status_t>(
        [full_key = full(key), contribution = std::move(contribution)] {
            return publish(full_key, contribution);
        },
        Clock::now() + limits::pmix_answer_timeout, cancelled);
    if (!called.has_value()) return no_thread(called.error());
    const std::optional<pmix_status_t>& status = *called;
    if (!status) {
        wedged = true;
        return given_up("handing data to the PMIx server", cancelled());
    }
    if (*status != PMIX_SUCCESS) return to_error(*status, "handing data to the PMIx server");
    return {};
}

Result<void> Session::State::fence(std::string_view key, const std::function<bool()>& cancelled) {
    // Without collected data a fence is no barrier between nodes under Slurm.
    Infos collecting;
    collecting.add(PMIX_COLLECT_DATA, true);
    Pending& request = inbox.expect();
    pmix_status_t status =
        PMIx_Fence_nb(nullptr, 0, collecting.data(), collecting.size(), ddict_pmix_answered, &request);
    if (status == PMIX_SUCCESS) {
        std::unique_lock lock(inbox.mutex);
        while (!inbox.arrived.wait_for(lock, std::chrono::milliseconds(10), [&] { return request.done; })) {
            lock.unlock();
            if (cancelled())
                return given_up(quoted(key), true);  // the request stays: its answer may still come
            lock.lock();
        }
        status = request.status;
    }
    inbox.forget(request);
    if (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED) return {};
    return to_error(status, quoted(key));
}

Result<void> Session::leave() {
    if (!state_->joined) return {};
    state_->joined = false;
    if (state_->wedged) return given_up("leaving the other node launchers", false);
    const auto called = bounded_call<pmix_status_t>([] { return PMIx_Finalize(nullptr, 0); },
                                                    Clock::now() + limits::pmix_leave_timeout, never);
    if (!called.has_value()) {  // PMIx does not know that this process leaves
        state_->wedged = true;
        return no_thread(called.error());
    }
    const std::optional<pmix_status_t>& status = *called;
    if (!status) {
        state_->wedged = true;
        return given_up("leaving the other node launchers", false);
    }
    if (*status != PMIX_SUCCESS) return to_error(*status, "leaving the other node launchers");
    return {};
}

}  // namespace ddict::pmix
