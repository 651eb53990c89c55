// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What is missing (memory, kernel buffers), too much (clients), or a lie (positions, sizes).
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <thread>

#include "base/limits.h"
#include "tests/rpc/failing_memory.h"
#include "tests/samehost/ends.h"
#include "tests/samehost/lying_peer.h"

namespace ddict::samehost {
namespace {

using namespace testing;
using namespace std::chrono_literals;

// ---- memory ----

/// A logic that needs no memory of its own: each allocation that fails is one of the transport.
class Frugal : public TransportEvents {
  public:
    Frugal() : poller(os::Poller::create().value()), transport(Transport::create(poller, waiting).value()) {}

    void on_message(Bytes header, const IncomingPayload& incoming) override {
        LinkName name;
        if (header.size() < name.size()) return;
        std::memcpy(name.data(), header.data(), name.size());
        if (const PeerId claimed = transport->claim(name); claimed != no_peer) peer = claimed;
        if (incoming.token == 0) return;
        if (received_begun % 3 == 2 || received_begun == tags_max)
            return transport->discard_payload(incoming.token);
        try {
            transport->receive_payload(peer, incoming.token, std::span(buffer).first(incoming.bytes),
                                       received_begun);
            ++received_begun;
        } catch (const std::bad_alloc&) {
            transport->discard_payload(incoming.token);
        }
    }
    void on_payload_received(std::uint64_t tag, bool) override { ++received.at(tag); }
    void on_payload_sent(std::uint64_t tag, bool) override { ++sent.at(tag); }
    void on_peer_lost(PeerId, const Error&) override { ++lost; }

    void send(PeerId to, std::size_t payload_bytes) {
        try {
            if (payload_bytes == 0) return transport->send(to, Bytes(payload).first(1000));
            transport->send(to, Bytes(payload).first(100), Bytes(payload).first(payload_bytes), sent_begun);
            ++sent_begun;
        } catch (const std::bad_alloc&) {  // nothing was sent, and no event comes
        }
    }
    void turn() {
        poller.wait(0ns);
        transport->poll(*this);
    }
    bool all_reported() const {
        const auto once = [](const auto& counts, std::uint64_t begun) {
            return std::all_of(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(begun),
                               [](int count) { return count == 1; });
        };
        return once(sent, sent_begun) && once(received, received_begun);
    }

    static constexpr std::uint64_t tags_max = 32;
    os::Poller poller;
    os::WaitPolicy waiting{std::chrono::microseconds(50)};
    std::unique_ptr<Transport> transport;
    PeerId peer = no_peer;
    std::vector<std::byte> payload = pattern(200'000, 1);
    std::vector<std::byte> buffer = std::vector<std::byte>(200'000);
    std::uint64_t sent_begun = 0;
    std::uint64_t received_begun = 0;
    std::array<int, tags_max> sent{};
    std::array<int, tags_max> received{};
    int lost = 0;
};

/// A conversation of two, of which the n-th allocation fails. What went wrong; empty if nothing.
std::string talk_with_a_failing_allocation(const std::string& path, long n, bool& has_failed) {
    Frugal server;
    Frugal client;
    if (!server.transport->listen(path)) return "listen";
    allocations_left = n;
    const Result<PeerId> connected = client.transport->connect(path);
    if (connected) {
        std::memcpy(client.payload.data(), client.transport->name().data(), sizeof(LinkName));
        for (int i = 0; i < 60; ++i) {
            client.send(*connected, i % 10 == 5 ? 9'000 : i % 10 == 7 ? 150'000 : 0);
            if (i % 8 == 7) server.turn();
        }
        for (int i = 0; i < 60 && server.peer != no_peer; ++i) {
            server.send(server.peer, i % 10 == 5 ? 9'000 : i % 10 == 7 ? 150'000 : 0);
            if (i % 8 == 7) client.turn();
        }
        for (int i = 0; i < 400; ++i) {
            client.turn();
            server.turn();
            server.transport->tick(Transport::Clock::now());
        }
        client.transport->close(*connected);
    }
    for (int i = 0; i < 2000 && (i < 10 || client.transport->links() != 0 || server.transport->links() != 0);
         ++i) {
        client.turn();
        server.turn();
        client.transport->tick(Transport::Clock::now() + 10s);
        server.transport->tick(Transport::Clock::now() + std::chrono::seconds(10 + i));
    }
    client.turn();
    server.turn();
    has_failed = allocations_left < 0;
    allocations_left = -1;
    if (client.transport->links() != 0 || server.transport->links() != 0) return "a connection stays";
    if (!client.all_reported() || !server.all_reported()) return "a payload is not reported, or twice";
    return {};
}

int fail_each_allocation(const std::string& path) {
    for (long n = 0;; ++n) {
        bool has_failed = false;
        std::string wrong;
        try {
            wrong = talk_with_a_failing_allocation(path, n, has_failed);
        } catch (const std::bad_alloc&) {
            wrong = "nobody has caught it";
        }
        if (!wrong.empty()) {
            std::fprintf(stderr, "allocation %ld fails: %s\n", n, wrong.c_str());
            return 1;
        }
        if (!has_failed) return n > 20 ? 0 : 2;
    }
}

TEST(SamehostLimits, AnAllocationThatFailsLosesNoEventAndNoConnectionOfOthers) {
    EXPECT_EQ(Child([] { ::_exit(fail_each_allocation(socket_path("memory"))); }).wait(), 0);
    EXPECT_EQ(Child([] {
                  if (!forbid_reading_memory_of_others()) ::_exit(5);
                  ::_exit(fail_each_allocation(socket_path("memory")));
              }).wait(),
              0);
}

// ---- what the kernel does not have ----

TEST(SamehostLimits, ADoorbellThatCannotBeSentEndsTheConnectionAtBothEnds) {
    const auto status =
        Child([] {
            End server;
            End client;
            const std::string path = socket_path("doorbell");
            if (!server.transport->listen(path)) ::_exit(2);
            const PeerId peer = client.transport->connect(path).value();
            client.introduce_to(peer);
            const auto claimed = [&] { return server.transport->claim(client.transport->name()) != no_peer; };
            if (!client.run_until(claimed, {&server})) ::_exit(3);
            while (!server.transport->prepare_to_sleep())
                server.turn();
            if (!refuse_system_call(SYS_sendto, ENOBUFS)) ::_exit(5);
            client.transport->send(peer, bytes_of("wake up"));
            const auto both_know = [&] { return !client.lost.empty() && !server.lost.empty(); };
            ::_exit(client.run_until(both_know, {&server}) ? 0 : 4);
        }).wait();
    EXPECT_EQ(status, 0);
}

TEST(SamehostLimits, WhereMemoryToShareMayNotBeMadeTheNextWayIsTaken) {
    EXPECT_EQ(Child([] {
                  if (!refuse_system_call(SYS_memfd_create, EPERM)) ::_exit(5);
                  const auto made = Channel::make();
                  ::_exit(!made && made.error().code == Errc::not_found ? 0 : 1);
              }).wait(),
              0);
    EXPECT_EQ(Child([] {
                  if (!refuse_system_call(SYS_fallocate, ENOMEM)) ::_exit(5);
                  ::_exit(Channel::make() ? 1 : 0);
              }).wait(),
              0)
        << "memory that is not there is a SIGBUS later";
}

// ---- lies ----

struct Claimer : TransportEvents {
    explicit Claimer(Transport& owner) : transport(owner) {}
    void on_message(Bytes header, const IncomingPayload& payload) override {
        const LinkName name = name_in(header);
        if (const PeerId peer = transport.claim(name); peer != no_peer) claimed.push_back(peer);
        if (payload.token != 0) transport.discard_payload(payload.token);
        ++messages;
    }
    void on_payload_received(std::uint64_t, bool) override {}
    void on_payload_sent(std::uint64_t, bool) override {}
    void on_peer_lost(PeerId peer, const Error&) override { lost.push_back(peer); }

    Transport& transport;
    std::vector<PeerId> claimed;
    std::vector<PeerId> lost;
    std::uint64_t messages = 0;
};

class LyingPeerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(server.transport->listen(path));
        auto connected = LyingPeer::connect(path, LinkName{std::byte{1}});
        ASSERT_TRUE(connected);
        peer.emplace(*std::move(connected));
        say_who_i_am();
        ASSERT_TRUE(turn_until([&] { return !claimer.claimed.empty(); }));
    }
    void say_who_i_am() {
        const std::uint64_t word = 16 | std::uint64_t{2} << 32 | std::uint64_t{16} << 40;
        peer->ring()[8] = std::byte{1};
        std::memcpy(peer->ring().data(), &word, sizeof word);
    }
    bool turn_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (!done()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            server.poller.wait(0ns);
            server.transport->poll(claimer);
        }
        return true;
    }
    /// What another client gets of it all.
    void expect_service() {
        End other;
        const auto to_server = other.transport->connect(path);
        ASSERT_TRUE(to_server);
        other.introduce_to(*to_server);
        const std::size_t before = claimer.claimed.size();
        EXPECT_TRUE(turn_until([&] { return claimer.claimed.size() == before + 1; }));
    }

    const std::string path = socket_path("lies");
    End server;
    Claimer claimer{*server.transport};
    std::optional<LyingPeer> peer;
};

/// Takes what it is given.
class AnyTunnel final : public TunnelPort {
  public:
    bool on_request(PeerId, const LinkName&, Bytes request) override {
        longest = std::max(longest, request.size());
        return true;
    }
    bool on_record(PeerId, const Record&, bool) override { return true; }
    void on_records_end(PeerId) override {}
    void on_written(PeerId) override {}
    void on_link_lost(PeerId) override {}

    std::size_t longest = 0;
};

TEST(SamehostLimits, ARequestForATunnelThatIsLongerThanAnyIsRefused) {
    const std::string path = socket_path("tunnel");
    for (const std::size_t bytes :
         {limits::header_bytes_max, limits::header_bytes_max + 1, record_content_max}) {
        SCOPED_TRACE(bytes);
        End server;
        AnyTunnel tunnels;
        server.transport->set_tunnels(tunnels);
        ASSERT_TRUE(server.transport->listen(path));
        auto peer = LyingPeer::connect(path, LinkName{std::byte{1}});
        ASSERT_TRUE(peer);
        const std::uint64_t word =
            bytes | static_cast<std::uint64_t>(static_cast<std::uint8_t>(RecordKind::tunnel)) << 32;
        std::memcpy(peer->ring().data(), &word, sizeof word);
        Claimer claimer{*server.transport};
        const bool fits = bytes <= limits::header_bytes_max;
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (tunnels.longest == 0 && server.transport->counters().malformed == 0) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            server.poller.wait(0ns);
            server.transport->poll(claimer);
        }
        EXPECT_EQ(tunnels.longest, fits ? bytes : 0);
        EXPECT_EQ(server.transport->counters().malformed, fits ? 0u : 1u);
    }
}

TEST_F(LyingPeerTest, PositionsThatRunBackwardsOrAwayAreNotBelieved) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20'000 && claimer.lost.empty(); ++i) {
        // The first word of each line: positions, and whether to ring.
        for (std::size_t at = 0; at < 256; at += 64) {
            const std::uint64_t lie = random() % 3 == 0 ? random() : random() % (4 * ring_bytes);
            std::memcpy(peer->front().data() + at, &lie, sizeof lie);
        }
        server.transport->send(claimer.claimed[0], pattern(1000, 0));
        server.poller.wait(0ns);
        server.transport->poll(claimer);
    }
    expect_service();
}

TEST_F(LyingPeerTest, WordsThatChangeAllTheTimeHarmNobodyElse) {
    std::atomic<bool> stop{false};
    std::thread liar([&] {
        std::mt19937_64 random(2);
        while (!stop) {
            const std::uint64_t kind = random() % 8;
            const std::uint64_t word =
                random() % 3 == 0 ? random() : random() % 400 | kind << 32 | random() % 70 << 40;
            std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(
                                               peer->ring().data() + random() % 64 * 8 + random() % 500 * 64))
                .store(word);
        }
    });
    EXPECT_TRUE(turn_until([&] { return !claimer.lost.empty() || claimer.messages > 100'000; }));
    stop = true;
    liar.join();
    expect_service();
}

TEST_F(LyingPeerTest, MemoryCannotBeTakenAwayWhileItIsMapped) {
    EXPECT_NE(::ftruncate(peer->memory(), 0), 0);
    EXPECT_NE(::ftruncate(peer->memory(), 2 * Channel::bytes), 0);
    // Its content may vanish: then there is nothing to read.
    EXPECT_EQ(::fallocate(peer->memory(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, Channel::bytes), 0);
    for (int i = 0; i < 100; ++i) {
        server.transport->send(claimer.claimed[0], pattern(1000, 0));
        server.poller.wait(0ns);
        server.transport->poll(claimer);
    }
    expect_service();
}

// ---- many ----

/// DDICT_TEST_CLIENTS=N for more; with ulimit -n above twice as many.
std::size_t clients_wanted() {
    const char* given = std::getenv("DDICT_TEST_CLIENTS");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : 2000;
}

double ns_per_message(End& server, Claimer& claimer, const std::string& path) {
    constexpr int rounds = 20'000;
    End speaker;
    const PeerId to_server = speaker.transport->connect(path).value();
    speaker.introduce_to(to_server);
    unsigned turns = 0;
    const auto turn = [&] {  // as a worker does
        server.transport->poll(claimer);
        if (++turns % 32 == 0) server.poller.wait(0ns);
    };
    const std::size_t claimed = claimer.claimed.size();
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    while (claimer.claimed.size() == claimed && std::chrono::steady_clock::now() < deadline)
        turn();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) {
        const std::uint64_t before = claimer.messages;
        speaker.transport->send(to_server, Bytes(speaker.transport->name()));
        while (claimer.messages == before && turns < 1'000'000'000)
            turn();
    }
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() /
           rounds;
}

TEST(SamehostLimits, ManyIdleClientsCostTheOthersNothing) {
    const std::size_t wanted = clients_wanted();
    const rlim_t needed = 2 * wanted + 100;
    rlimit files{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
    rlimit more{std::max(files.rlim_cur, needed), std::max(files.rlim_max, needed)};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0)
        << wanted << " clients take " << needed
        << " descriptors (ulimit -n): set DDICT_TEST_CLIENTS to fewer";
    const std::string path = socket_path("many");
    End server;
    ASSERT_TRUE(server.transport->listen(path));
    Claimer claimer(*server.transport);
    const auto turn = [&] {
        server.poller.wait(0ns);
        server.transport->poll(claimer);
    };
    std::vector<os::UnsharedDescriptor> clients;
    double alone = 0;
    for (const std::size_t count : {std::size_t{1}, wanted / 10, wanted}) {
        while (clients.size() < count) {
            Channel::Made made = Channel::make().value();
            LinkName name{};
            const std::size_t number = clients.size() + 1;
            std::memcpy(name.data(), &number, sizeof number);
            Result<os::UnsharedDescriptor> socket = meet(path, name, made.memory);
            for (int i = 0; !socket && socket.error().code == Errc::busy && i < 1000; ++i) {
                turn();
                socket = meet(path, name, made.memory);
            }
            ASSERT_TRUE(socket) << socket.error().message();
            made.channel.writer(Side::connecting).write(RecordKind::message, name.size(), Bytes(name));
            clients.push_back(*std::move(socket));
        }
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (claimer.claimed.size() < clients.size() && std::chrono::steady_clock::now() < deadline)
            turn();
        ASSERT_GE(claimer.claimed.size(), clients.size());
        for (int i = 0; i < 2 * 4096; ++i)
            turn();
        const double ns = ns_per_message(server, claimer, path);
        std::printf("%zu idle clients: %.0f ns per message\n", count, ns);
        if (count == 1) alone = ns;
        EXPECT_LT(ns, 10 * alone + 2000);
        claimer.claimed.resize(clients.size());
    }
    const auto start = std::chrono::steady_clock::now();
    clients.clear();
    const auto deadline = start + test_timeout;
    while (server.transport->links() != 0 && std::chrono::steady_clock::now() < deadline)
        turn();
    EXPECT_EQ(server.transport->links(), 0U);
    std::printf("all have gone after %.0f ms\n",
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace
}  // namespace ddict::samehost
