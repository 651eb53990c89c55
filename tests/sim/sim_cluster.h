// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary on the simulated network: real shards on real pools, and clients with the real requester.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manager/member.h"
#include "rpc/requester.h"
#include "shm/pool.h"
#include "store/store.h"
#include "tests/sim/sim_network.h"

namespace ddict::sim {

inline constexpr std::uint32_t ucx_version = 1 << 16 | 13;

struct ClusterOptions {
    std::uint32_t managers = 3;
    std::uint32_t hosts = 2;  // manager m lives on host m % hosts
    std::uint64_t pool_bytes = std::uint64_t{4} << 20;
    NetworkOptions network{};
    bool is_restartable = false;  // what the directory says of managers
    WorkingSetSettings working_set{};
};

/// What the directory segment of a host says.
class HostDirectory final : public DirectoryView {
  public:
    std::uint32_t manager_count() const override { return static_cast<std::uint32_t>(entries_.size()); }
    Result<DirectoryEntry> entry(ShardId shard) const override { return entries_[number_of(shard)]; }
    void add(const DirectoryEntry& entry) { entries_.push_back(entry); }
    void update(const DirectoryEntry& entry) {
        DirectoryEntry& known = entries_[number_of(entry.shard)];
        if (is_newer(entry, known)) known = entry;
    }

  private:
    std::vector<DirectoryEntry> entries_;
};

/// What a process knows: what its host's directory says, if there is one, and what it has learned since.
class SimWhereabouts final : public Whereabouts {
  public:
    SimWhereabouts(const HostDirectory* here, const std::vector<DirectoryEntry>& at_first)
        : here_(here), learned_(at_first) {}
    std::optional<DirectoryEntry> look_up(ShardId shard) override;
    void learn(const DirectoryEntry& entry) override;
    std::optional<DirectoryEntry> someone_else(ShardId shard, unsigned turn) override;
    std::optional<bool> has_node_launcher() override { return here_ != nullptr; }

  private:
    const HostDirectory* here_;
    std::vector<DirectoryEntry> learned_;
};

/// One shard: its memory, which outlives the processes that serve it one after the other, and the manager
/// that serves it now.
class SimManager {
  public:
    SimManager(Network& network, std::uint32_t host, const shm::PoolIdentity& identity,
               std::uint64_t pool_bytes, const WorkingSetSettings& working_set, std::uint64_t session_seed);
    ~SimManager();

    Process& process() const { return *process_; }
    manager::Member& member() { return *member_; }
    manager::Shard& shard() { return member_->shard(); }
    /// How its roll call has ended, if it has.
    const std::optional<Result<void>>& roll_call() const { return roll_call_; }
    void begin_roll_call(Time deadline);
    store::Store& store() { return *store_; }
    const shm::Pool& pool() const { return store_->pool(); }
    ManagerStats statistics() const { return member_->shard().statistics(); }
    /// Of requests under way, outside the pool.
    std::size_t private_bytes() const {
        return statistics().private_bytes - store_->replies().status_bytes();
    }
    const DirectoryEntry& entry() const { return entry_; }
    /// The newer entries that it hears of from other managers go there.
    void tell(std::function<void(const DirectoryEntry&)> on_newer) { on_newer_ = std::move(on_newer); }
    void set_restartable() { entry_.is_restartable = true; }
    /// Of what its process is now.
    const DirectoryEntry& next_entry(ServingState state, const std::string& reason = {});
    /// Its node launcher has it tell the others.
    void announce(const DirectoryEntry& entry);
    /// The process dies, at whatever event.
    void kill();
    /// Another one takes over what it has left.
    void begin_again(std::uint64_t session_seed, const DirectoryView& directory);
    bool serves() const { return member_.has_value(); }

  private:
    void serve(std::unique_ptr<store::Store> store, std::uint64_t session_seed);
    void after_event();

    Network& network_;
    const std::uint32_t host_;
    const std::string pool_name_;
    Process* process_ = nullptr;
    std::unique_ptr<store::Store> store_;
    std::optional<manager::Member> member_;
    std::optional<Result<void>> roll_call_;
    DirectoryEntry entry_;
    std::function<void(const DirectoryEntry&)> on_newer_;
    Time timer_ = Time::max();  // the earliest timer that is set
};

/// A key by its name in the simulation, of which it is a part. Names that end in '#' are of keys of another
/// type than text: "a" and "a#" have the same bytes.
KeyBytes key_named(std::string_view name);
std::string name_of(KeyBytes key);

/// What a client asks for.
struct Ask {
    wire::Verb verb = wire::Verb::ping;
    std::uint32_t manager = 0;
    std::string key{};  // its name
    std::vector<std::byte> value{};
    std::uint16_t value_type = 0;
    std::uint64_t argument = 0;
    std::uint16_t flags = 0;
    std::uint32_t checkpoint = 0;
    std::chrono::milliseconds timeout{30'000};
    std::uint64_t ttl = 0;  // microseconds
};

struct Outcome {
    Result<Reply> reply;
    std::vector<std::byte> value{};
    bool ok() const { return reply.has_value(); }
    Errc code() const { return reply ? Errc{} : reply.error().code; }
};

/// One client thread. It treats its memory as a strict user would: values are overwritten and freed the
/// moment their operation is done, and so are sinks.
class SimClient {
  public:
    using Then = std::function<void(const Outcome&)>;

    /// `lost` is what the client's process remembers; clients that share it are threads of one process.
    SimClient(Network& network, std::uint32_t host, const Credentials& credentials,
              LostManagers* lost = nullptr, Whereabouts* whereabouts = nullptr);

    Process& process() const { return process_; }
    Requester& requester() { return *requester_; }
    std::size_t in_flight() const { return calls_.size(); }

    /// Starts an operation; `then` is called when it is done, and may start others.
    OperationId start(Ask ask, Then then);
    /// The same, and runs the network until it is done.
    Outcome call(Ask ask);
    void kill();

  private:
    struct Call;
    class Sink;

    void after_event();
    bool finish_one();

    Network& network_;
    Process& process_;
    std::unique_ptr<Requester> requester_;
    std::vector<std::unique_ptr<Call>> calls_;
    Time timer_ = Time::max();  // the earliest timer that is set
    bool collecting_ = false;
};

/// How the place of a manager is taken.
struct Restart {
    Duration noticed{};  // until its node launcher says that it restarts it; none: it does not say so
    Duration down{};     // until the new process serves
};

class Cluster final {
  public:
    Cluster(std::uint64_t seed, const ClusterOptions& options = {});
    ~Cluster();

    Network& network() { return network_; }
    Random& random() { return random_; }
    const Credentials& credentials() const { return credentials_; }
    std::uint32_t managers() const { return static_cast<std::uint32_t>(managers_.size()); }
    SimManager& manager(std::uint32_t id) { return *managers_[id]; }
    std::uint32_t manager_of_key(std::string_view key) const;

    /// A client that knows all managers.
    SimClient& add_client(std::uint32_t host);
    SimClient& add_client(std::uint32_t host, const Credentials& credentials);
    SimClient& add_client(std::uint32_t host, LostManagers& lost);
    /// One that asks where its managers are, as a process of libclient does. It knows what was so at first,
    /// and what its host's directory says.
    SimClient& add_asking_client(std::uint32_t host);

    /// What the directory said of a manager when the cluster was made.
    const DirectoryEntry& at_first(std::uint32_t manager) const { return at_first_[manager]; }

    /// A manager is killed, and another one takes over what it has left. Nothing happens if it is dead.
    void restart(std::uint32_t manager, const Restart& how);
    /// Each manager but the last one is killed once, at some time of the next 15 ms, and comes back within
    /// 20 ms.
    void restart_each_at_some_time();
    /// A manager dies, and its node launcher says why a while later.
    void lose(std::uint32_t manager, Duration noticed, const std::string& reason);

    /// Lets everything come to rest, has the living clients say goodbye, and says what is wrong then:
    /// breaches of the contract of the transport, what is owed, what leaked in managers. Empty if nothing.
    /// After faults, a manager may have one session for a client that gave up on it, until that client's
    /// process ends.
    std::string problems_at_rest(bool after_faults = false);

  private:
    SimClient& know_all(SimClient& client);
    void publish(SimManager& of, const DirectoryEntry& entry);
    std::string leaks(std::size_t sessions_max);

    Random random_;
    Network network_;
    Credentials credentials_;
    std::vector<std::unique_ptr<SimManager>> managers_;
    std::map<std::uint32_t, HostDirectory> directories_;  // by host
    std::vector<DirectoryEntry> at_first_;
    std::deque<SimWhereabouts> whereabouts_;
    std::deque<LostManagers> lost_;
    // After faults of managers each may have a session at any other for one that gave up on it, as a client.
    std::size_t sessions_of_managers_ = 0;
    std::deque<SimClient> clients_;
};

/// The bytes of value number `id`; sizes from nothing to some that travel as payloads.
std::vector<std::byte> value_number(std::uint64_t id);
inline std::uint16_t type_of_value(std::uint64_t id) {
    return static_cast<std::uint16_t>(id * 7);
}
/// A name for content and type together, never 0.
std::uint64_t content_of(Bytes value, std::uint16_t type);

/// The names of the keys in a page of the reply to a scan.
std::vector<std::string> keys_of_page(Bytes page);

}  // namespace ddict::sim
