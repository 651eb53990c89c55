// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_cluster.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "base/hash.h"
#include "cluster/placement.h"
#include "wire/items.h"

namespace ddict::sim {
namespace {

/// Unlike the names of a dictionary's segments: whoever removes stale ones must not take these away.
std::string pool_name_of(const shm::PoolIdentity& identity) {
    return "sim-" + std::to_string(::getpid()) +
           shm::pool_segment_name(identity.dictionary_id, identity.manager);
}

/// Differs between processes and runs, as the names of segments must; the simulation does not depend on it.
std::uint64_t unused_dictionary_id() {
    static std::uint64_t count = 0;
    const std::uint64_t parts[] = {
        static_cast<std::uint64_t>(::getpid()),
        static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()), ++count};
    return hash_of(std::as_bytes(std::span(parts)));
}

}  // namespace

SimManager::SimManager(Network& network, std::uint32_t host, const shm::PoolIdentity& identity,
                       std::uint64_t pool_bytes, const WorkingSetSettings& working_set,
                       std::uint64_t session_seed)
    : network_(network), host_(host), pool_name_(pool_name_of(identity)) {
    shm::Segment segment = shm::Segment::create(pool_name_, pool_bytes).value();
    shm::Pool::format(segment, identity, working_set).value();
    auto replies = store::ReplyMemory::create_segment(shm::reply_segment_name(pool_name_));
    serve(std::make_unique<store::Store>(shm::Pool::attach(std::move(segment)).value(),
                                         store::ReplyMemory::in(std::move(replies).value()).value()),
          session_seed);
    entry_.shard = ShardId{identity.manager};
    entry_.node = identity.node;
    entry_.process = process_->identity();
    entry_.pool_bytes = pool().capacity_bytes();
    entry_.address.assign(process_->address().begin(), process_->address().end());
}

SimManager::~SimManager() {
    shm::Segment::remove(pool_name_);
    shm::Segment::remove(shm::reply_segment_name(pool_name_));
}

void SimManager::serve(std::unique_ptr<store::Store> store, std::uint64_t session_seed) {
    process_ = &network_.start(host_);
    timer_ = Time::max();
    store_ = std::move(store);
    member_.emplace(
        *store_, *process_,
        manager::ShardOptions{
            .ucx_version = ucx_version, .session_seed = session_seed, .pid = process_->identity().pid});
    process_->listen(*member_, [this] { after_event(); });
    after_event();
}

void SimManager::kill() {
    network_.kill(*process_);
    member_.reset();
    store_.reset();
}

void SimManager::begin_again(std::uint64_t session_seed, const DirectoryView& directory) {
    const auto open = [](const std::string& name) {
        return shm::Segment::open(name, shm::Access::read_write).value();
    };
    shm::RecoveryReport report;
    serve(store::Store::recover(open(pool_name_),
                                store::ReplyMemory::in(open(shm::reply_segment_name(pool_name_))).value(),
                                report)
              .value(),
          session_seed);
    DDICT_ASSERT(report.unsound == 0 && report.missing == 0, "nothing was damaged");
    member_->set_directory(directory);
}

void SimManager::begin_roll_call(Time deadline) {
    member_->begin_roll_call(network_.now(), deadline);
}

const DirectoryEntry& SimManager::next_entry(ServingState state, const std::string& reason) {
    entry_.epoch = next(entry_.epoch);
    entry_.state = state;
    entry_.reason = reason;
    entry_.process = process_->identity();
    entry_.address.assign(process_->address().begin(), process_->address().end());
    return entry_;
}

void SimManager::announce(const DirectoryEntry& entry) {
    network_.at(network_.now(), *process_, [this, entry] { member_->announce(entry); });
}

void SimManager::after_event() {
    if (member_->has_newer_entries()) {
        for (const DirectoryEntry& entry : member_->take_newer_entries())
            on_newer_(entry);
    }
    if (!member_->needs_tick()) return;
    const Time next = std::max(member_->tick(network_.now()), network_.now() + std::chrono::microseconds(1));
    if (std::optional<Result<void>> outcome = member_->take_roll_call()) roll_call_ = outcome;
    if (!member_->needs_tick() || next == Time::max()) return;
    // Times to live are longer than any run, and end by a clock of their own; nothing else but a wait takes
    // so long.
    const bool is_far = next >= network_.now() + std::chrono::minutes(30);
    if (is_far && shard().statistics().waiting == 0) return;
    if (timer_ > network_.now() && timer_ <= next) return;
    timer_ = next;
    network_.at(next, *process_, [] {});
}

class SimClient::Sink final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t) override {
        buffer = std::make_unique<std::byte[]>(bytes + 1);
        size = bytes;
        return std::span(buffer.get(), size);
    }

    std::unique_ptr<std::byte[]> buffer;
    std::size_t size = 0;
};

struct SimClient::Call {
    Requester::OperationId id = 0;
    Ask ask;
    Sink sink;
    Then then;
};

SimClient::SimClient(Network& network, std::uint32_t host, const Credentials& credentials, LostManagers* lost,
                     Whereabouts* whereabouts)
    : network_(network), process_(network.start(host)) {
    requester_ = std::make_unique<Requester>(process_, credentials, lost, whereabouts);
    process_.listen(*requester_, [this] { after_event(); });
}

constexpr std::uint16_t other_key_type = user_type(1);

KeyBytes key_named(std::string_view name) {
    if (!name.ends_with('#')) return bytes_of(name);
    name.remove_suffix(1);
    return {bytes_of(name), other_key_type};
}

std::string name_of(KeyBytes key) {
    std::string name(text_of(key));
    return key.type() == other_key_type ? name + '#' : name;
}

OperationId SimClient::start(Ask ask, Then then) {
    auto call = std::make_unique<Call>();
    call->ask = std::move(ask);
    call->then = std::move(then);
    Request request;
    request.verb = call->ask.verb;
    request.shard = ShardId{call->ask.manager};
    request.key = key_named(call->ask.key);
    request.value = call->ask.value;
    request.value_type = call->ask.value_type;
    request.argument = call->ask.argument;
    request.flags = call->ask.flags;
    request.checkpoint = call->ask.checkpoint;
    request.stored_as.ttl = call->ask.ttl;
    request.sink = &call->sink;
    call->id = requester_->begin(request, network_.now(), network_.now() + call->ask.timeout);
    const OperationId id = call->id;
    calls_.push_back(std::move(call));
    network_.at(network_.now(), process_, [] {});  // asks for the next tick; it may also be done already
    return id;
}

Outcome SimClient::call(Ask ask) {
    std::optional<Outcome> result;
    start(std::move(ask), [&](const Outcome& outcome) { result = outcome; });
    const bool ended = network_.run_until([&] { return result.has_value(); }, 10'000'000);
    DDICT_ASSERT(ended, "an operation neither ends nor passes its deadline");
    return *result;
}

void SimClient::kill() {
    network_.kill(process_);
    requester_.reset();
    calls_.clear();
}

/// Takes the outcome of one operation that is done.
bool SimClient::finish_one() {
    const auto found = std::find_if(calls_.begin(), calls_.end(),
                                    [&](const auto& call) { return requester_->done(call->id); });
    if (found == calls_.end()) return false;
    std::unique_ptr<Call> call = std::move(*found);
    calls_.erase(found);
    Outcome outcome{.reply = requester_->take(call->id)};
    const Sink& sink = call->sink;
    if (sink.buffer != nullptr) outcome.value.assign(sink.buffer.get(), sink.buffer.get() + sink.size);
    std::fill(call->ask.value.begin(), call->ask.value.end(), std::byte{0xdd});
    std::fill(call->ask.key.begin(), call->ask.key.end(), '!');
    const Then then = std::move(call->then);
    call.reset();
    then(outcome);
    return true;
}

void SimClient::after_event() {
    if (collecting_) return;
    collecting_ = true;
    Time next{};
    do {
        while (process_.alive() && finish_one()) {
        }
        if (!process_.alive()) return;
        next = requester_->tick(network_.now());
    } while (std::any_of(calls_.begin(), calls_.end(),
                         [&](const auto& call) { return requester_->done(call->id); }));
    collecting_ = false;
    if (next == Time::max()) return;
    next = std::max(next, network_.now() + std::chrono::microseconds(1));
    if (timer_ > network_.now() && timer_ <= next) return;
    timer_ = next;
    network_.at(next, process_, [] {});
}

Cluster::Cluster(std::uint64_t seed, const ClusterOptions& options)
    : random_(seed ^ 0x9e3779b97f4a7c15), network_(seed, options.network) {
    credentials_.dictionary_id = unused_dictionary_id();
    const std::vector<std::byte> secret = random_.bytes(credentials_.secret.size());
    std::copy(secret.begin(), secret.end(), credentials_.secret.begin());
    credentials_.ucx_version = ucx_version;
    for (std::uint32_t m = 0; m < options.managers; ++m) {
        const std::uint32_t host = m % options.hosts;
        managers_.push_back(
            std::make_unique<SimManager>(network_, host,
                                         shm::PoolIdentity{.dictionary_id = credentials_.dictionary_id,
                                                           .secret = credentials_.secret,
                                                           .manager = m,
                                                           .node = "n" + std::to_string(host)},
                                         options.pool_bytes, options.working_set, random_.number()));
    }
    for (const auto& manager : managers_) {
        if (options.is_restartable) manager->set_restartable();
        at_first_.push_back(manager->entry());
    }
    for (const auto& manager : managers_) {
        HostDirectory& here = directories_[manager->process().host()];
        if (here.manager_count() == 0) {
            for (const DirectoryEntry& entry : at_first_)
                here.add(entry);
        }
        manager->member().set_directory(here);
        manager->tell([&here](const DirectoryEntry& entry) { here.update(entry); });
    }
}

Cluster::~Cluster() = default;

std::uint32_t Cluster::manager_of_key(std::string_view key) const {
    return number_of(shard_of(hash_of(key_named(key)), managers()));
}

SimClient& Cluster::add_client(std::uint32_t host) {
    return add_client(host, credentials_);
}

SimClient& Cluster::add_client(std::uint32_t host, const Credentials& credentials) {
    return know_all(clients_.emplace_back(network_, host, credentials));
}

SimClient& Cluster::add_client(std::uint32_t host, LostManagers& lost) {
    return know_all(clients_.emplace_back(network_, host, credentials_, &lost));
}

SimClient& Cluster::add_asking_client(std::uint32_t host) {
    const auto here = directories_.find(host);
    SimWhereabouts& knows =
        whereabouts_.emplace_back(here == directories_.end() ? nullptr : &here->second, at_first_);
    SimClient& client = clients_.emplace_back(network_, host, credentials_, &lost_.emplace_back(), &knows);
    for (std::uint32_t m = 0; m < managers(); ++m)
        client.requester().add_manager(*knows.look_up(ShardId{m}));
    return client;
}

void Cluster::publish(SimManager& of, const DirectoryEntry& entry) {
    const std::uint32_t host = of.process().host();
    directories_[host].update(entry);
    // One that is ready tells the others.
    const auto teller = std::find_if(managers_.begin(), managers_.end(), [&](const auto& manager) {
        const bool serves = manager.get() != &of || entry.state == ServingState::serving;
        return serves && manager->process().alive() && manager->process().host() == host;
    });
    if (teller != managers_.end()) (*teller)->announce(entry);
}

void Cluster::restart(std::uint32_t id, const Restart& how) {
    SimManager& manager = *managers_[id];
    if (!manager.serves()) return;
    sessions_of_managers_ = managers_.size() - 1;
    manager.kill();
    const Time now = network_.now();
    if (how.noticed != Duration{})
        network_.at(now + how.noticed,
                    [this, &manager] { publish(manager, manager.next_entry(ServingState::restarting)); });
    network_.at(now + how.down, [this, &manager] {
        manager.begin_again(random_.number(), directories_[manager.process().host()]);
        publish(manager, manager.next_entry(ServingState::serving));
    });
}

void Cluster::restart_each_at_some_time() {
    for (std::uint32_t manager = 0; manager + 1 < managers(); ++manager) {
        const Time when = network_.now() + Duration(random_.below(15'000'000));
        const Duration down(1 + random_.below(20'000'000));
        network_.at(when, [this, manager, down] { restart(manager, {.noticed = down / 2, .down = down}); });
    }
}

void Cluster::lose(std::uint32_t id, Duration noticed, const std::string& reason) {
    SimManager& manager = *managers_[id];
    sessions_of_managers_ = managers_.size() - 1;
    manager.kill();
    network_.at(network_.now() + noticed, [this, &manager, reason] {
        publish(manager, manager.next_entry(ServingState::lost, reason));
    });
}

std::optional<DirectoryEntry> SimWhereabouts::look_up(ShardId shard) {
    const DirectoryEntry& learned = learned_[number_of(shard)];
    if (here_ == nullptr) return learned;
    const DirectoryEntry here = here_->entry(shard).value();
    return is_newer(here, learned) ? here : learned;
}

void SimWhereabouts::learn(const DirectoryEntry& entry) {
    DirectoryEntry& known = learned_[number_of(entry.shard)];
    if (is_newer(entry, known)) known = entry;
}

std::optional<DirectoryEntry> SimWhereabouts::someone_else(ShardId shard, unsigned turn) {
    const std::size_t count = learned_.size();
    if (count < 2) return std::nullopt;
    const std::size_t number = (number_of(shard) + 1 + turn % (count - 1)) % count;
    return look_up(ShardId{static_cast<std::uint32_t>(number)});
}

SimClient& Cluster::know_all(SimClient& client) {
    for (const auto& manager : managers_)
        client.requester().add_manager(manager->entry());
    return client;
}

std::string Cluster::problems_at_rest(bool after_faults) {
    std::string out;
    if (!network_.run()) out += "the simulation does not come to rest\n";
    std::size_t living = 0;
    for (SimClient& client : clients_) {
        if (!client.process().alive()) continue;
        ++living;
        if (client.in_flight() > 0) {
            out += "a client still waits for " + std::to_string(client.in_flight()) + " operations\n";
        } else {
            client.requester().leave();
        }
    }
    for (const auto& manager : managers_) {
        if (manager->process().alive() && manager->statistics().broadcasts == 0) manager->member().leave();
    }
    if (!network_.run()) out += "the simulation does not come to rest after the goodbyes\n";
    for (const std::string& breach : network_.breaches())
        out += breach + "\n";
    out += network_.unsettled() + leaks(after_faults ? living + sessions_of_managers_ : 0);
    for (SimClient& client : clients_)
        client.kill();
    if (!network_.run()) out += "the simulation does not come to rest after the clients' ends\n";
    return out + network_.unsettled() + leaks(sessions_of_managers_);
}

/// What managers keep beyond the sessions they may have.
std::string Cluster::leaks(std::size_t sessions_max) {
    std::string out;
    for (const auto& manager : managers_) {
        if (!manager->process().alive()) continue;
        const std::string name = "manager " + std::to_string(number_of(manager->entry().shard)) + ": ";
        const ManagerStats stats = manager->statistics();
        const store::ReplyCache& replies = manager->store().replies();
        const auto expect_none = [&](std::uint64_t count, const std::string& what) {
            if (count > 0) out += name + std::to_string(count) + " " + what + " left\n";
        };
        if (stats.sessions > sessions_max) expect_none(stats.sessions, "sessions");
        if (const std::size_t count = manager->shard().sessions().size(); count > sessions_max)
            expect_none(count, "remembered sessions");
        if (sessions_max == 0)
            expect_none(replies.values() + replies.status_bytes(), "values of cached replies");
        expect_none(stats.payloads_in_flight, "transfers");
        expect_none(stats.broadcasts, "broadcasts");
        expect_none(stats.waiting, "waits");
        expect_none(manager->private_bytes(), "private bytes");
        if (const std::size_t count = manager->process().connections(); count != stats.sessions)
            out += name + std::to_string(count) + " connections for " + std::to_string(stats.sessions) +
                   " sessions\n";
        if (const std::string wrong = manager->shard().inconsistency(); !wrong.empty())
            out += name + wrong + "\n";
        const shm::PoolUsage usage = manager->pool().usage();
        if (usage.used_bytes + usage.free_bytes != usage.pool_bytes)
            out += name + "used and free bytes do not add up\n";
    }
    return out;
}

std::vector<std::byte> value_number(std::uint64_t id) {
    Random random(id);
    std::size_t size = 0;
    switch (random.below(10)) {
        case 0:
            break;
        case 1:
            size = limits::inline_value_bytes_max;
            break;
        case 2:
            size = limits::inline_value_bytes_max + 1 + random.below(3);
            break;
        case 3:
        case 4:
        case 5:
            size = limits::inline_value_bytes_max + random.below(30'000);
            break;
        case 6:
            size = 30'000 + random.below(50'000);
            break;
        default:
            size = 1 + random.below(200);
    }
    return random.bytes(size);
}

std::uint64_t content_of(Bytes value, std::uint16_t type) {
    const std::uint64_t parts[] = {hash_of(value), value.size(), type};
    const std::uint64_t name = hash_of(std::as_bytes(std::span(parts)));
    return name != 0 ? name : 1;
}

std::vector<std::string> keys_of_page(Bytes page) {
    std::vector<std::string> keys;
    wire::ItemReader in(page);
    for (KeyBytes key; in.key(key);)
        keys.push_back(name_of(key));
    DDICT_ASSERT(in.at_end(), "a page of keys is damaged");
    return keys;
}

}  // namespace ddict::sim
