// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/large_cluster.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>

#include "base/assert.h"
#include "cluster/directory.h"
#include "manager/member.h"
#include "rpc/requester.h"
#include "shm/pool.h"
#include "store/store.h"
#include "tests/sim/accounts.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/sim_network.h"

namespace ddict::sim {
namespace {

constexpr std::chrono::seconds test_timeout{60};

struct Sent {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

/// A process on the network whose own memory is on nobody's account, and whose logic's is on one.
class Seat final : public Transport, private TransportEvents {
  public:
    Seat(Network& network, std::uint32_t host, Account account)
        : process_(network.start(host)), account_(account) {}

    void listen(TransportEvents& events, std::function<void()> after_event) {
        events_ = &events;
        process_.listen(*this, std::move(after_event));
    }
    Process& process() { return process_; }
    Account account() const { return account_; }
    const Sent& sent() const { return sent_; }

    Result<PeerId> connect(Bytes address, const ProcessIdentity& process) override {
        const OnAccount none(Account::none);
        return process_.connect(address, process);
    }
    void close(PeerId peer) override {
        const OnAccount none(Account::none);
        process_.close(peer);
    }
    void send(PeerId peer, Bytes header) override {
        const OnAccount none(Account::none);
        sent_ = {.messages = sent_.messages + 1, .bytes = sent_.bytes + header.size()};
        process_.send(peer, header);
    }
    void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) override {
        const OnAccount none(Account::none);
        sent_ = {.messages = sent_.messages + 1, .bytes = sent_.bytes + header.size() + payload.size()};
        process_.send(peer, header, payload, tag);
    }
    void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) override {
        const OnAccount none(Account::none);
        sent_ = {.messages = sent_.messages + 1, .bytes = sent_.bytes + header.size() + bytes_in(payload)};
        process_.send(peer, header, payload, tag);
    }
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                         std::uint64_t tag) override {
        const OnAccount none(Account::none);
        process_.receive_payload(from, token, into, rest, tag);
    }
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) override {
        const OnAccount none(Account::none);
        process_.receive_payload(from, token, into, tag);
    }
    void discard_payload(std::uint64_t token) override {
        const OnAccount none(Account::none);
        process_.discard_payload(token);
    }
    std::string describe(PeerId peer) const override { return process_.describe(peer); }
    bool is_same_host(PeerId peer) const override { return process_.is_same_host(peer); }
    Bytes address_for(PeerId peer) override { return process_.address_for(peer); }
    Bytes address() const { return process_.address(); }
    ProcessIdentity identity() const override { return process_.identity(); }

  private:
    void on_message(Bytes header, const IncomingPayload& payload) override {
        const OnAccount own(account_);
        events_->on_message(header, payload);
    }
    void on_payload_received(std::uint64_t tag, bool ok) override {
        const OnAccount own(account_);
        events_->on_payload_received(tag, ok);
    }
    void on_payload_sent(std::uint64_t tag, bool ok) override {
        const OnAccount own(account_);
        events_->on_payload_sent(tag, ok);
    }
    void on_peer_lost(PeerId peer, const Error& why) override {
        const OnAccount own(account_);
        events_->on_peer_lost(peer, why);
    }

    Process& process_;
    Account account_;
    TransportEvents* events_ = nullptr;
    Sent sent_;
};

/// Gives the pages between the first and the last ones back: nothing is in them, and they read as zeros.
void keep_ends_only(std::byte* memory, std::uint64_t bytes) {
    constexpr std::uint64_t kept = 32 << 10;
    const bool given_back = ::madvise(memory + kept, bytes - 2 * kept, MADV_REMOVE) == 0;
    DDICT_ASSERT(given_back, "shared memory can be given back in parts");
}

Request request_to(std::uint32_t manager, wire::Verb verb) {
    Request request;
    request.verb = verb;
    request.shard = ShardId{manager};
    return request;
}

class LargeManager {
  public:
    LargeManager(Network& network, std::uint32_t host, const shm::PoolIdentity& identity, std::uint64_t seed)
        : network_(network), seat_(network, host, Account::managers) {
        // Named unlike a dictionary's: whoever removes stale segments must not take it away.
        const std::string name = "sim-" + std::to_string(::getpid()) + "-" + std::to_string(identity.manager);
        shm::Segment::create(name, limits::pool_bytes_min).value();
        // Opened once more, as a manager does: its creator keeps more descriptors.
        shm::Segment segment = shm::Segment::open(name, shm::Access::read_write).value();
        shm::Segment::remove(name);
        shm::Pool::format(segment, identity).value();
        std::byte* memory = segment.data();
        store_.emplace(shm::Pool::attach(std::move(segment)).value());
        keep_ends_only(memory, limits::pool_bytes_min);
        entry_ = {.shard = ShardId{identity.manager},
                  .node = identity.node,
                  .process = seat_.identity(),
                  .pool_bytes = store_->pool().capacity_bytes(),
                  .address = {seat_.address().begin(), seat_.address().end()}};
        const OnAccount own(Account::managers);
        member_ = std::make_unique<manager::Member>(
            *store_, seat_,
            manager::ShardOptions{
                .ucx_version = ucx_version, .session_seed = seed, .pid = seat_.identity().pid});
        seat_.listen(*member_, [this] { after_event(); });
    }
    const DirectoryEntry& entry() const { return entry_; }
    const Sent& sent() const { return seat_.sent(); }
    void begin_roll_call(const DirectoryView& directory) {
        network_.at(network_.now(), seat_.process(), [this, &directory] {
            const OnAccount own(Account::managers);
            member_->set_directory(directory);
            member_->begin_roll_call(network_.now(), network_.now() + test_timeout);
        });
    }
    bool came_up() const { return came_up_; }

  private:
    void after_event() {
        const OnAccount own(Account::managers);
        if (!member_->needs_tick()) return;
        const Time next =
            std::max(member_->tick(network_.now()), network_.now() + std::chrono::microseconds(1));
        if (const std::optional<Result<void>> outcome = member_->take_roll_call())
            came_up_ = static_cast<bool>(*outcome);
        if (!member_->needs_tick() || next == Time::max()) return;
        if (timer_ > network_.now() && timer_ <= next) return;
        timer_ = next;
        const OnAccount none(Account::none);
        network_.at(next, seat_.process(), [] {});
    }

    Network& network_;
    Seat seat_;
    std::optional<store::Store> store_;
    std::unique_ptr<manager::Member> member_;
    DirectoryEntry entry_;
    bool came_up_ = false;
    Time timer_ = Time::max();
};

/// One operation after the other.
class LargeClient {
  public:
    LargeClient(Network& network, std::uint32_t host, const Credentials& credentials,
                const DirectoryView& directory, bool has_directory)
        : network_(network),
          seat_(network, host, Account::clients),
          directory_(directory),
          has_directory_(has_directory) {
        const OnAccount own(Account::clients);
        requester_ = std::make_unique<Requester>(seat_, credentials);
        seat_.listen(*requester_, [this] { after_event(); });
    }
    const Sent& sent() const { return seat_.sent(); }
    /// Says hello to one manager, as every client does that attaches.
    void attach(std::uint32_t main_manager) {
        main_ = main_manager;
        know(main_);
        operations_ = 1;
        start([this] { begin(request_to(main_, wire::Verb::ping)); });
    }
    void work(std::vector<std::uint32_t> partners, std::uint32_t operations) {
        partners_ = std::move(partners);
        operations_ = operations;
        start([this] { next(); });
    }
    void leave() {
        start([this] { requester_->leave(); });
    }
    bool at_rest() const { return operations_ == 0; }
    std::uint64_t failed() const { return failed_; }

  private:
    class Page final : public ValueSink {
      public:
        Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t) override {
            memory.resize(bytes);
            return std::span(memory);
        }
        std::vector<std::byte> memory;
    };

    template <class F>
    void start(F action) {
        network_.at(network_.now(), seat_.process(), [action] {
            const OnAccount own(Account::clients);
            action();
        });
    }
    void know(std::uint32_t manager) {
        const OnAccount own(Account::clients);
        requester_->add_manager(directory_.entry(ShardId{manager}).value());
    }
    void begin(const Request& request) {
        under_way_ = requester_->begin(request, network_.now(), network_.now() + test_timeout);
    }
    /// Where the manager is has to be asked for, if this host has no directory.
    void next() {
        const std::uint32_t manager = partners_[operations_ % partners_.size()];
        if (requester_->known_manager(ShardId{manager}) == nullptr) {
            if (!has_directory_) {
                wanted_ = manager;
                Request request = request_to(main_, wire::Verb::directory);
                request.argument = manager;
                request.sink = &page_;
                return begin(request);
            }
            know(manager);
        }
        const bool puts = operations_ % 2 == 0;
        Request request = request_to(manager, puts ? wire::Verb::put : wire::Verb::get);
        request.key = bytes_of(key);
        request.value = puts ? bytes_of(value) : Bytes();
        request.sink = &page_;
        begin(request);
    }
    void after_event() {
        const OnAccount own(Account::clients);
        while (under_way_ != 0 && requester_->done(under_way_)) {
            const Result<Reply> reply = requester_->take(std::exchange(under_way_, 0));
            if (!reply && reply.error().code != Errc::not_found) ++failed_;
            if (wanted_ != no_manager) {
                know(std::exchange(wanted_, no_manager));
                page_.memory = {};
            } else {
                --operations_;
            }
            if (operations_ > 0) next();
        }
        Time when = requester_->tick(network_.now());
        if (when == Time::max() || under_way_ == 0) return;
        when = std::max(when, network_.now() + std::chrono::microseconds(1));
        if (timer_ > network_.now() && timer_ <= when) return;
        timer_ = when;
        const OnAccount none(Account::none);
        network_.at(when, seat_.process(), [] {});
    }

    static constexpr std::uint32_t no_manager = ~std::uint32_t{0};
    static constexpr std::string_view key = "a key that has thirty letters.";
    static constexpr std::string_view value = "8 bytes.";

    Network& network_;
    Seat seat_;
    const DirectoryView& directory_;
    bool has_directory_;
    std::unique_ptr<Requester> requester_;
    std::vector<std::uint32_t> partners_;
    std::uint32_t main_ = 0;
    std::uint32_t operations_ = 0;  // that are left
    std::uint64_t failed_ = 0;
    Requester::OperationId under_way_ = 0;
    std::uint32_t wanted_ = no_manager;  // by the request for the directory under way
    Page page_;
    Time timer_ = Time::max();
};

class LargeCluster final : public DirectoryView {
  public:
    explicit LargeCluster(const LargeClusterOptions& options)
        : options_(options), random_(options.seed), network_(options.seed) {
        credentials_ = {.dictionary_id = (static_cast<std::uint64_t>(::getpid()) << 32) | options.seed,
                        .secret = {},
                        .ucx_version = ucx_version};
    }

    LargeClusterCosts run() {
        phase("made", [&] { make(); });
        phase("bring_up", [&] { bring_up(); });
        phase("attach", [&] {
            for (LargeClient& client : clients_)
                client.attach(random_manager());
            settle();
        });
        phase("steady", [&] {
            for (LargeClient& client : clients_) {
                std::vector<std::uint32_t> partners;
                for (std::uint32_t i = 0; i < options_.partners; ++i)
                    partners.push_back(random_manager());
                client.work(std::move(partners), options_.operations);
            }
            settle();
        });
        phase("leave", [&] {
            for (LargeClient& client : clients_)
                client.leave();
            settle();
        });
        for (const LargeClient& client : clients_)
            costs_.operations_failed += client.failed() + (client.at_rest() ? 0 : 1);
        for (const std::string& breach : network_.breaches())
            costs_.problems += breach + "\n";
        return std::move(costs_);
    }

  private:
    std::uint32_t manager_count() const override { return options_.managers; }
    Result<DirectoryEntry> entry(ShardId shard) const override { return managers_[number_of(shard)].entry(); }
    std::uint32_t random_manager() { return static_cast<std::uint32_t>(random_.below(options_.managers)); }

    void make() {
        const std::uint32_t hosts =
            (options_.managers + options_.managers_per_host - 1) / options_.managers_per_host;
        for (std::uint32_t manager = 0; manager < options_.managers; ++manager) {
            const std::uint32_t host = manager / options_.managers_per_host;
            managers_.emplace_back(network_, host,
                                   shm::PoolIdentity{.dictionary_id = credentials_.dictionary_id,
                                                     .secret = credentials_.secret,
                                                     .manager = manager,
                                                     .node = "node" + std::to_string(host)},
                                   random_.number());
            std::vector<std::byte> packed;
            pack(managers_.back().entry(), packed);
            costs_.directory_bytes += packed.size();
        }
        for (std::uint32_t client = 0; client < options_.clients; ++client) {
            const bool without =
                options_.clients_without_directory != 0 && client % options_.clients_without_directory == 0;
            clients_.emplace_back(network_, without ? hosts : client % hosts, credentials_, *this, !without);
        }
    }
    void bring_up() {
        for (LargeManager& manager : managers_)
            manager.begin_roll_call(*this);
        settle();
        for (const LargeManager& manager : managers_)
            if (!manager.came_up()) costs_.problems += "a manager did not come up\n";
    }
    void settle() {
        const bool at_rest = network_.run(events_max);
        DDICT_ASSERT(at_rest, "the cluster comes to rest");
    }

    template <class F>
    void phase(std::string name, F action) {
        const auto started = std::chrono::steady_clock::now();
        const Time virtual_start = network_.now();
        std::vector<Sent> before;
        for_all([&](const auto& one, bool) { before.push_back(one.sent()); });
        action();
        PhaseCosts costs;
        costs.name = std::move(name);
        std::size_t i = 0;
        for_all([&](const auto& one, bool is_client) {
            const Sent old = i < before.size() ? before[i] : Sent{};
            ++i;
            const std::uint64_t messages = one.sent().messages - old.messages;
            const std::uint64_t bytes = one.sent().bytes - old.bytes;
            (is_client ? costs.client_messages : costs.manager_messages) += messages;
            (is_client ? costs.client_bytes : costs.manager_bytes) += bytes;
            std::uint64_t& most = is_client ? costs.client_messages_max : costs.manager_messages_max;
            most = std::max(most, messages);
        });
        costs.manager_memory = balance_of(Account::managers).bytes;
        costs.client_memory = balance_of(Account::clients).bytes;
        costs.virtual_ms = std::chrono::duration<double, std::milli>(network_.now() - virtual_start).count();
        costs.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        costs_.phases.push_back(std::move(costs));
    }
    template <class F>
    void for_all(F visit) {
        for (const LargeManager& one : managers_)
            visit(one, false);
        for (const LargeClient& one : clients_)
            visit(one, true);
    }

    static constexpr std::uint64_t events_max = 1'000'000'000;

    LargeClusterOptions options_;
    Random random_;
    Network network_;
    Credentials credentials_;
    std::deque<LargeManager> managers_;
    std::deque<LargeClient> clients_;
    LargeClusterCosts costs_;
};

}  // namespace

LargeClusterCosts run_large_cluster(const LargeClusterOptions& options) {
    return LargeCluster(options).run();
}

}  // namespace ddict::sim
