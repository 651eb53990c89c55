// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/roll_call.h"

#include <gtest/gtest.h>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds patience{20};

class List final : public DirectoryView {
  public:
    explicit List(Cluster& cluster) {
        for (std::uint32_t m = 0; m < cluster.managers(); ++m)
            entries_.push_back(cluster.manager(m).entry());
    }
    std::uint32_t manager_count() const override { return static_cast<std::uint32_t>(entries_.size()); }
    Result<DirectoryEntry> entry(std::uint32_t manager) const override { return entries_[manager]; }

  private:
    std::vector<DirectoryEntry> entries_;
};

/// A manager that comes up: its shard, and itself as a client of its neighbours, share one transport.
class ComingUp final : public TransportEvents {
  public:
    ComingUp(Cluster& cluster, SimManager& manager, const DirectoryView& directory)
        : cluster_(cluster), manager_(manager), neighbours_(manager.process(), cluster.credentials()) {
        manager.process().listen(*this, [this] { after_event(); });
        cluster.network().at(cluster.network().now() + std::chrono::microseconds(cluster.random().below(500)),
                             manager.process(), [this, &directory] {
                                 const Time now = cluster_.network().now();
                                 roll_call_.emplace(neighbours_, directory, manager_.entry().manager, now,
                                                    now + patience);
                             });
    }

    const std::optional<Result<void>>& outcome() const { return outcome_; }

    void on_message(Bytes head, const IncomingBody& body) override {
        const bool reply = head.size() > 1 && (head[1] & std::byte{wire::reply_bit}) != std::byte{0};
        reply ? neighbours_.on_message(head, body) : manager_.shard().on_message(head, body);
    }
    void on_body_received(std::uint64_t tag, bool ok) override { manager_.shard().on_body_received(tag, ok); }
    void on_body_sent(std::uint64_t tag, bool ok) override { manager_.shard().on_body_sent(tag, ok); }
    void on_peer_lost(PeerId peer, const Error& why) override {
        manager_.shard().on_peer_lost(peer, why);
        neighbours_.on_peer_lost(peer, why);
    }

  private:
    void after_event() {
        if (!roll_call_) return;
        Network& network = cluster_.network();
        const Time next = neighbours_.tick(network.now());
        if (const std::optional<Result<void>> outcome = roll_call_->outcome()) {
            outcome_ = *outcome;
            roll_call_.reset();
            neighbours_.leave();
        } else if (next < timer_ || timer_ <= network.now()) {
            timer_ = std::max(next, network.now() + 1us);
            network.at(timer_, manager_.process(), [] {});
        }
    }

    Cluster& cluster_;
    SimManager& manager_;
    Requester neighbours_;
    std::optional<manager::RollCall> roll_call_;
    std::optional<Result<void>> outcome_;
    Time timer_ = Time::max();
};

TEST(RollCall, AllAreThere) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        const auto managers = static_cast<std::uint32_t>(1 + seed % 20);
        Cluster cluster(seed, {.managers = managers, .hosts = 3, .pool_bytes = limits::pool_bytes_min});
        const List directory(cluster);
        std::deque<ComingUp> all;
        for (std::uint32_t m = 0; m < managers; ++m)
            all.emplace_back(cluster, cluster.manager(m), directory);
        ASSERT_TRUE(cluster.network().run());
        for (const ComingUp& one : all) {
            ASSERT_TRUE(one.outcome().has_value());
            EXPECT_TRUE(one.outcome()->has_value());
        }
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += managers;
        tally.events += cluster.network().counters().events;
    });
}

/// The one that should have asked the silent one says so, names it, and does not wait for ever.
void expect_one_missing(const std::function<void(Cluster&, std::uint32_t)>& silence) {
    for_each_seed(20, [&](std::uint64_t seed, Tally& tally) {
        constexpr std::uint32_t managers = 7;
        Cluster cluster(seed,
                        {.managers = managers, .hosts = managers, .pool_bytes = limits::pool_bytes_min});
        const List directory(cluster);
        const auto silent = static_cast<std::uint32_t>(1 + seed % (managers - 1));
        const std::uint32_t parent = (silent - 1) / 2;
        std::deque<ComingUp> all;
        for (std::uint32_t m = 0; m < managers; ++m)
            all.emplace_back(cluster, cluster.manager(m), directory);
        silence(cluster, silent);
        const Time began = cluster.network().now();
        ASSERT_TRUE(cluster.network().run());
        EXPECT_LE(cluster.network().now() - began, patience + 1s);
        ASSERT_TRUE(all[parent].outcome().has_value());
        ASSERT_FALSE(all[parent].outcome()->has_value());
        const Error& error = all[parent].outcome()->error();
        EXPECT_TRUE(error.code == Errc::manager_lost || error.code == Errc::timeout) << error.message();
        EXPECT_EQ(error.manager, silent);
        for (std::uint32_t m = 0; m < managers; ++m) {
            if (m == parent || m == silent) continue;
            ASSERT_TRUE(all[m].outcome().has_value());
            EXPECT_TRUE(all[m].outcome()->has_value()) << all[m].outcome()->error().message();
        }
        tally.operations += managers;
        tally.events += cluster.network().counters().events;
    });
}

TEST(RollCall, OneIsDead) {
    expect_one_missing([](Cluster& cluster, std::uint32_t silent) { cluster.manager(silent).kill(); });
}

TEST(RollCall, OneCannotBeReached) {
    expect_one_missing([](Cluster& cluster, std::uint32_t silent) {
        const std::uint32_t parent = (silent - 1) / 2;
        cluster.network().cut(cluster.manager(silent).process().host(),
                              cluster.manager(parent).process().host());
    });
}

}  // namespace
}  // namespace ddict::sim
