// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_launcher.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "cluster/directory.h"
#include "cluster/rendezvous.h"
#include "launcher/events.h"
#include "launcher/job_end.h"
#include "launcher/manager_process.h"
#include "launcher/memory_budget.h"
#include "launcher/node_directory.h"
#include "launcher/node_network.h"
#include "launcher/output.h"
#include "launcher/supervision.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/host_name.h"
#include "os/signals.h"
#include "pmix/session.h"
#include "shm/directory_segment.h"
#include "shm/pool.h"
#include "shm/segment.h"
#include "slurm/memory_limit.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The supervisor's own deadline comes first; this one is for a node launcher that has lost touch with it.
constexpr milliseconds deadline_slack{5'000};
constexpr milliseconds unready_stop_grace{1'000};
// When a client has ended one manager, it is ending them all. If it is killed on the way, this node finishes
// the job.
constexpr milliseconds destroy_grace{2'000};
// After a failure: how long this node waits for the word to go round before it leaves the step. Slurm kills
// the whole step when a member ends before it has left PMIx, and the others would not get to clean up.
constexpr milliseconds failure_linger{5'000};
constexpr milliseconds last_words_grace{1'000};

class NodeLauncher {
  public:
    NodeLauncher(const NodePlan& plan, os::Environment environment, os::SignalFd signals)
        : plan_(plan),
          environment_(std::move(environment)),
          signals_(std::move(signals)),
          deadline_(Clock::now() + plan.timeout + deadline_slack) {}

    int run();

  private:
    Result<void> bring_up();
    Result<void> find_place();
    Result<void> check_room();
    Result<void> make_segments();
    Result<void> format(shm::Segment& pool, std::uint32_t manager) const;
    void remove_segments();
    Result<void> start_managers();
    Result<void> meet();
    Result<NodeDirectory> exchange_directory(std::string_view key);
    Result<void> avoid(const std::vector<std::string>& shared_addresses);
    Result<void> wait_for_managers(ManagerProcess::State state);
    Result<std::vector<std::string>> exchange(std::string_view key, std::string_view mine);
    Result<void> announce(const NodeDirectory& all);

    void pump(milliseconds wait);
    void take_signals();
    void take_lifeline();
    void on_job_ends();
    void withdraw_names();
    void on_lost(const ManagerProcess& manager);
    bool any_running() const;
    /// Why the bring-up must not go on, if it must not.
    Result<void> trouble() const;
    /// The same for the user, whole: an Error cuts long texts.
    std::string why(const Error& error) const;
    void supervise();
    milliseconds send_beat();
    void stop_managers();
    void linger();

    Event event(Event::Kind kind) const;
    void report(const Event& event);
    std::uint32_t first_manager() const { return index_ * plan_.managers_per_node; }
    std::uint32_t managers_total() const { return plan_.nodes * plan_.managers_per_node; }

    const NodePlan& plan_;
    const os::Environment environment_;
    const os::SignalFd signals_;
    const Clock::time_point deadline_;
    std::string node_;
    std::string step_;  // Slurm's "JOB.STEP"
    std::uint32_t index_ = 0;
    std::unique_ptr<Rendezvous> rendezvous_;
    std::optional<shm::Segment> directory_;  // its lock tells everyone that this dictionary lives
    std::vector<std::string> pool_names_;
    std::vector<std::optional<shm::Segment>> withdrawn_;  // the pools, once their names are gone
    std::vector<ManagerProcess> managers_;
    std::vector<std::string> shared_addresses_;
    bool introduced_ = false;  // the managers know each other's addresses
    bool serving_ = false;
    bool lifeline_open_ = true;
    bool cancelled_ = false;  // by a signal, before it served
    int end_signals_ = 0;
    JobEnd job_end_;
    Clock::time_point next_beat_;
    Output events_{STDOUT_FILENO};

    bool told_to_stop() const { return !lifeline_open_ || cancelled_; }
};

int NodeLauncher::run() {
    node_ = os::host_name();
    const Result<void> up = bring_up();
    if (!up) {
        if (!told_to_stop()) {
            Event failed = event(Event::Kind::error);
            failed.text = why(up.error());
            failed.code = up.error().code;
            report(failed);
        }
        stop_managers();
        remove_segments();
        linger();
        events_.flush_within(last_words_grace);
        return 1;
    }
    supervise();
    const bool by_client = !told_to_stop();
    stop_managers();
    remove_segments();
    Event stopped = event(Event::Kind::stopped);
    stopped.text = by_client ? stopped_by_client : "asked to";
    report(stopped);
    events_.flush_within(last_words_grace);
    return 0;
}

Result<void> NodeLauncher::bring_up() {
    if (const auto found = find_place(); !found) return found;
    Event here = event(Event::Kind::node);
    here.step = step_;
    report(here);
    if (const auto room = check_room(); !room) return room;
    if (const auto made = make_segments(); !made) return made;
    if (const auto started = start_managers(); !started) return started;
    return meet();
}

/// Slurm tells the rank before PMIx does, so that the managers start while PMIx does.
Result<void> NodeLauncher::find_place() {
    if (!plan_.pmix) return {};
    const auto job = environment_.find("SLURM_JOB_ID");
    const auto step = environment_.find("SLURM_STEP_ID");
    if (job != environment_.end() && step != environment_.end()) step_ = job->second + "." + step->second;
    const auto rank = environment_.find("SLURM_PROCID");
    const std::string_view digits = rank == environment_.end() ? std::string_view() : rank->second;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index_);
    if (digits.empty() || error != std::errc() || index_ >= plan_.nodes)
        return Error(Errc::system, "srun has not told this node launcher its rank (SLURM_PROCID)");
    return {};
}

Result<void> NodeLauncher::check_room() {
    shm::remove_stale_segments();
    const auto shared_free = shm::shared_memory_free_bytes();
    if (!shared_free) return shared_free.error();
    const auto limit = slurm::memory_limit(plan_.job_memory_bytes);
    if (!limit) return limit.error();
    return check_memory(
        {.managers = plan_.managers_per_node,
         .managers_total = managers_total(),
         .pool_bytes = plan_.pool_bytes},
        {.shared_free_bytes = *shared_free, .free_bytes = limit->free_bytes(), .limited_by = limit->source});
}

Result<void> NodeLauncher::make_segments() {
    const std::uint64_t id = plan_.identity.dictionary_id;
    auto directory = shm::create_directory_segment(id);
    if (!directory) return directory.error();
    directory_.emplace(*std::move(directory));
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        const std::uint32_t manager = first_manager() + i;
        auto segment = shm::Segment::create(shm::pool_segment_name(id, manager), plan_.pool_bytes);
        if (!segment) return segment.error();
        pool_names_.push_back(segment->name());
        if (const auto formatted = format(*segment, manager); !formatted) return formatted;
        // Touching the memory of a large pool takes seconds: look up in between.
        pump(milliseconds(0));
        if (const auto ok = trouble(); !ok) return ok;
    }
    return {};
}

Result<void> NodeLauncher::format(shm::Segment& pool, std::uint32_t manager) const {
    return shm::Pool::format(pool, {.dictionary_id = plan_.identity.dictionary_id,
                                    .secret = plan_.identity.secret,
                                    .manager = manager,
                                    .node = node_});
}

/// The directory last: without it the others count as stale. Clients may have the pools mapped still, and
/// read what is there without asking anyone: so they are told.
void NodeLauncher::remove_segments() {
    for (const auto& pool : withdrawn_)
        if (pool) shm::Pool::mark_gone(*pool);
    for (const std::string& name : pool_names_) {
        shm::Pool::mark_gone(name);
        shm::Segment::remove(name);
    }
    withdrawn_.clear();
    pool_names_.clear();
    if (directory_) shm::Segment::remove(directory_->name());
    directory_.reset();
}

Result<void> NodeLauncher::start_managers() {
    const auto program = find_manager_program(plan_.manager_program);
    if (!program) return program.error();
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        auto manager = ManagerProcess::start({.manager = first_manager() + i,
                                              .program = *program,
                                              .pool = pool_names_[i],
                                              .directory = directory_->name(),
                                              .shared_addresses = shared_addresses_,
                                              .environment = environment_});
        if (!manager) return manager.error();
        managers_.push_back(*std::move(manager));
    }
    [[maybe_unused]] const int moved = chdir("/");  // the folder of the user's shell is not ours to keep
    return {};
}

Result<void> NodeLauncher::meet() {
    if (plan_.pmix) {
        auto session = pmix::Session::open();
        if (!session) return session.error();
        rendezvous_ = *std::move(session);
        if (rendezvous_->index() != index_ || rendezvous_->count() != plan_.nodes)
            return Error(Errc::system, "PMIx and Slurm do not agree about this node launcher's rank");
    } else {
        rendezvous_ = std::make_unique<LoneRendezvous>();
    }
    if (const auto started = wait_for_managers(ManagerProcess::State::started); !started) return started;
    auto all = exchange_directory("directory");
    if (all && !all->shared_addresses.empty()) {
        if (const auto avoided = avoid(all->shared_addresses); !avoided) return avoided;
        all = exchange_directory("directory without shared addresses");
        if (all) all->shared_addresses = shared_addresses_;
    }
    if (!all) return all.error();
    const auto written = shm::write_directory(*directory_,
                                              {.dictionary_id = plan_.identity.dictionary_id,
                                               .secret = plan_.identity.secret,
                                               .ucx_version = all->ucx_version,
                                               .first_local_manager = first_manager(),
                                               .local_managers = plan_.managers_per_node},
                                              all->entries);
    if (!written) return written;

    introduced_ = true;
    for (ManagerProcess& manager : managers_) {
        if (plan_.pmix) {
            manager.permit(plan_.client_hosts);
            manager.permit(all->hosts);
        }
        manager.tell(Control::directory);
    }
    if (const auto ready = wait_for_managers(ManagerProcess::State::ready); !ready) return ready;
    if (const auto everyone = exchange("ready", "ready"); !everyone) return everyone.error();
    // From here on a death on another node is that node's affair; inside PMIx it would end the whole step.
    if (const auto left = rendezvous_->leave(); !left) return left;
    serving_ = true;
    return index_ == 0 ? announce(*all) : Result<void>();
}

Result<NodeDirectory> NodeLauncher::exchange_directory(std::string_view key) {
    NodeContribution mine{.ucx_version = managers_[0].ucx_version(),
                          .used_addresses = addresses_for_ucx(environment_),
                          .hosts = os::host_addresses().value_or(std::vector{std::string(all_hosts)}),
                          .entries = {}};
    for (const ManagerProcess& manager : managers_)
        mine.entries.push_back(manager.entry());
    const auto packed = exchange(key, pack_node(mine));
    if (!packed) return packed.error();
    return NodeDirectory::gather(*packed, plan_.managers_per_node);
}

/// Managers that have put such an address into theirs are started again without it. Rare, and so found out
/// only now: to ask before the first start would take every launch longer.
Result<void> NodeLauncher::avoid(const std::vector<std::string>& shared_addresses) {
    shared_addresses_ = shared_addresses;
    const auto interfaces = os::network_interfaces();
    if (interfaces_for_ucx(interfaces, {}, environment_).size() ==
        interfaces_for_ucx(interfaces, shared_addresses_, environment_).size())
        return {};
    for (ManagerProcess& manager : managers_)
        manager.kill();
    while (any_running()) {
        if (told_to_stop() || Clock::now() > deadline_)
            return Error(Errc::timeout, "managers that are started again do not end");
        pump(milliseconds(50));
    }
    managers_.clear();
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        auto pool = shm::Segment::open(pool_names_[i], shm::Access::read_write);
        if (!pool) return pool.error();
        if (const auto formatted = format(*pool, first_manager() + i); !formatted) return formatted;
    }
    if (const auto started = start_managers(); !started) return started;
    return wait_for_managers(ManagerProcess::State::started);
}

Result<void> NodeLauncher::wait_for_managers(ManagerProcess::State state) {
    const auto pending = [&](const ManagerProcess& m) { return m.state() < state; };
    while (std::any_of(managers_.begin(), managers_.end(), pending)) {
        if (const auto ok = trouble(); !ok) return ok;
        pump(milliseconds(100));
    }
    return trouble();
}

Result<std::vector<std::string>> NodeLauncher::exchange(std::string_view key, std::string_view mine) {
    auto all = rendezvous_->exchange(key, mine, [this] {
        pump(milliseconds(0));
        return !trouble().has_value();
    });
    if (const auto ok = trouble(); !ok) return ok.error();
    return all;
}

Result<void> NodeLauncher::announce(const NodeDirectory& all) {
    const std::string handle = all.handle(plan_).serialize();
    if (handle.size() > limits::handle_bytes_max)
        return Error(Errc::too_large,
                     "the handle is too long: the addresses of UCX are larger than expected");
    for (const std::string& line : format_handle(event(Event::Kind::handle), handle))
        events_.add(line);
    Event ready = event(Event::Kind::ready);
    ready.step = step_;
    report(ready);
    return {};
}

/// One turn of the loop: waits at the most so long for something to happen, and takes in all that has.
void NodeLauncher::pump(milliseconds wait) {
    std::vector<pollfd> fds{{signals_.fd(), POLLIN, 0},
                            {lifeline_open_ ? STDIN_FILENO : -1, POLLIN, 0},
                            {events_.poll_fd(), POLLOUT, 0}};
    for (const ManagerProcess& manager : managers_) {
        fds.push_back({manager.control_fd(), POLLIN, 0});
        fds.push_back({manager.pidfd(), POLLIN, 0});
    }
    if (poll(fds.data(), fds.size(), static_cast<int>(wait.count())) <= 0) return;
    if (fds[0].revents != 0) take_signals();
    if (fds[1].revents != 0) take_lifeline();
    if (fds[2].revents != 0) events_.flush();
    for (std::size_t i = 0; i < managers_.size(); ++i) {
        if (fds[3 + 2 * i].revents == 0 && fds[4 + 2 * i].revents == 0) continue;
        const ManagerProcess::State before = managers_[i].state();
        managers_[i].advance();
        const ManagerProcess::State now = managers_[i].state();
        if (now == before) continue;
        if (before == ManagerProcess::State::starting && now == ManagerProcess::State::started) {
            Event started = event(Event::Kind::manager);
            started.manager = managers_[i].manager();
            report(started);
        }
        if (now == ManagerProcess::State::lost && serving_) on_lost(managers_[i]);
    }
}

/// A manager has died. Its pool is still there, and with it every pair that was acknowledged: this is the
/// place to start it again on that pool. Until then it stays lost, and nobody must read its pool as if it
/// lived.
void NodeLauncher::on_lost(const ManagerProcess& manager) {
    const std::size_t local = manager.manager() - first_manager();
    if (local < withdrawn_.size() && withdrawn_[local]) shm::Pool::mark_gone(*withdrawn_[local]);
    shm::Pool::mark_gone(pool_names_[local]);
    Event lost = event(Event::Kind::lost);
    lost.manager = manager.manager();
    lost.text = manager.how();
    report(lost);
}

/// Signals are sent to all of a job, to make its programs save, and this process is only one of it: what
/// serves is needed for as long as the lifeline is open. Before that there is nothing to save.
void NodeLauncher::take_signals() {
    const bool job_ended_before = job_end_.has_begun();
    while (const auto signal = signals_.next()) {
        job_end_.on_signal(signal->number, Clock::now());
        if (!signal->asks_to_end()) continue;
        ++end_signals_;
        if (!serving_) cancelled_ = true;
    }
    if (serving_ && job_end_.has_begun() && !job_ended_before) on_job_ends();
}

void NodeLauncher::on_job_ends() {
    withdraw_names();
    if (plan_.pmix) report(event(Event::Kind::ending));
}

/// Whoever is killed at the end of a job cannot clean up; what has no name goes with those who have it
/// mapped. Clients that come now do without: they ask the managers.
void NodeLauncher::withdraw_names() {
    for (const std::string& name : pool_names_) {
        auto pool = shm::Segment::open(name, shm::Access::read_write);
        withdrawn_.push_back(pool ? std::optional(*std::move(pool)) : std::nullopt);
        shm::Segment::remove(name);
    }
    if (directory_) shm::Segment::remove(directory_->name());
}

void NodeLauncher::take_lifeline() {
    char ignored[256];
    const ssize_t got = read(STDIN_FILENO, ignored, sizeof ignored);
    if (got > 0) job_end_.on_sign_of_life(Clock::now());
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) lifeline_open_ = false;
}

bool NodeLauncher::any_running() const {
    return std::any_of(managers_.begin(), managers_.end(),
                       [](const ManagerProcess& m) { return m.running(); });
}

Result<void> NodeLauncher::trouble() const {
    if (told_to_stop()) return Error(Errc::timeout, "told to stop");
    for (const ManagerProcess& manager : managers_) {
        const bool ended =
            manager.state() == ManagerProcess::State::lost || manager.state() == ManagerProcess::State::ended;
        if (ended)
            return Error(Errc::manager_lost,
                         "manager " + std::to_string(manager.manager()) + " did not start: " + manager.how());
    }
    if (Clock::now() > deadline_) return Error(Errc::timeout, "not ready in time");
    return {};
}

std::string NodeLauncher::why(const Error& error) const {
    std::string text = reason(error);
    for (const ManagerProcess& manager : managers_) {
        if (error.code == Errc::manager_lost && manager.state() == ManagerProcess::State::lost)
            text = "manager " + std::to_string(manager.manager()) + " did not start: " + manager.how();
    }
    if (error.code == Errc::manager_lost && node_.size() >= limits::node_name_bytes_max)
        text += "; UCX 1.13 aborts where the host's name is that long";
    if (introduced_ && plan_.nodes > 1)
        text += "; if the nodes do not reach each other, choose a network with UCX_NET_DEVICES (" + node_ +
                " has " + describe_interfaces() + "), and see ddict-launch --check";
    return text;
}

void NodeLauncher::supervise() {
    const auto serves = [](const ManagerProcess& m) { return m.state() == ManagerProcess::State::ready; };
    const auto by_client = [](const ManagerProcess& m) { return m.ended_by_client(); };
    std::optional<Clock::time_point> give_up;
    while (!told_to_stop()) {
        milliseconds wait = plan_.pmix ? send_beat() : std::chrono::hours(1);
        const bool job_ends = plan_.pmix && job_end_.has_begun();
        if (job_ends) wait = std::min(wait, sign_of_life_interval);
        if (std::any_of(managers_.begin(), managers_.end(), by_client)) {
            if (!give_up) give_up = Clock::now() + destroy_grace;
            wait = std::min(wait, std::chrono::ceil<milliseconds>(*give_up - Clock::now()));
            // All have died: nothing is served here, but only the supervisor can say that it is over.
            const bool none_left = !any_running() && std::none_of(managers_.begin(), managers_.end(), serves);
            if (none_left || wait.count() <= 0) return;
        }
        pump(wait);
        if (job_ends && job_end_.is_abandoned(environment_, Clock::now())) lifeline_open_ = false;
    }
}

/// Tells the supervisor in a job now and then that this node is there still, since nobody else does. Returns
/// how long until the next time.
milliseconds NodeLauncher::send_beat() {
    const auto now = Clock::now();
    if (now >= next_beat_) {
        next_beat_ = now + beat_interval;
        report(event(Event::Kind::beat));
    }
    return std::chrono::ceil<milliseconds>(next_beat_ - now);
}

void NodeLauncher::stop_managers() {
    for (ManagerProcess& manager : managers_)
        manager.stop();
    const int signals_before = end_signals_;
    // One that never served has nothing to bring to an end but itself.
    const auto grace_end = Clock::now() + (serving_ ? limits::manager_stop_grace : unready_stop_grace);
    while (any_running() && Clock::now() < grace_end && end_signals_ <= signals_before + 1)
        pump(milliseconds(50));
    for (ManagerProcess& manager : managers_)
        manager.kill();
    const auto kill_end = Clock::now() + limits::manager_stop_grace;
    while (any_running() && Clock::now() < kill_end)
        pump(milliseconds(50));
}

void NodeLauncher::linger() {
    const auto end = Clock::now() + failure_linger;
    while (plan_.pmix && !told_to_stop() && Clock::now() < end)
        pump(milliseconds(50));
}

Event NodeLauncher::event(Event::Kind kind) const {
    Event event;
    event.kind = kind;
    event.node = node_;
    event.index = index_;
    return event;
}

void NodeLauncher::report(const Event& event) {
    // If nobody listens any more, the lifeline says so too.
    events_.add(format_event(event));
}

}  // namespace

int run_node_launcher(const NodePlan& plan, os::Environment environment) {
    auto signals = os::SignalFd::open(os::outside_signals());
    os::ignore_reserved_signals();
    // Theirs alone, and the managers': nobody waits there for a reader.
    os::set_non_blocking(STDOUT_FILENO);
    os::set_non_blocking(STDERR_FILENO);
    if (!signals) {
        Event failed;
        failed.kind = Event::Kind::error;
        failed.text = reason(signals.error());
        os::write_fully(STDOUT_FILENO, format_event(failed));
        return 1;
    }
    environment.erase(secret_variable);
    return NodeLauncher(plan, std::move(environment), *std::move(signals)).run();
}

}  // namespace ddict::launcher
