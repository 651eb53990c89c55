// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Two ends in one process: what arrives, and what each is told. tests/samehost/faults_test.cpp has processes
// that die and lie.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/limits.h"
#include "tests/samehost/ends.h"

namespace ddict::samehost {
namespace {

using namespace testing;
using namespace std::chrono_literals;

class SamehostTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(server.transport->listen(path));
        const Result<PeerId> connected = client.transport->connect(path);
        ASSERT_TRUE(connected) << connected.error().message();
        to_server = *connected;
        client.introduce_to(to_server);
        ASSERT_TRUE(both_until([&] { return !server.messages.empty(); }));
        to_client = server.transport->claim(client.transport->name());
        ASSERT_NE(to_client, no_peer);
        server.messages.clear();
    }
    bool both_until(const std::function<bool()>& done) { return client.run_until(done, {&server}); }
    /// Sends from the client, and fetches at the server; what arrived.
    std::vector<std::byte> through(const std::vector<std::byte>& payload, std::uint64_t tag) {
        server.messages.clear();
        client.sent.clear();
        const auto header = pattern(64 + limits::key_bytes_max, tag);
        client.transport->send(to_server, header, payload, tag);
        EXPECT_TRUE(both_until([&] { return !server.messages.empty(); }));
        if (server.messages.empty()) return {};
        const End::Message& message = server.messages[0];
        EXPECT_EQ(message.header, header);
        EXPECT_EQ(message.bytes, payload.size());
        std::vector<std::byte> arrived = message.payload;
        if (message.token != 0) {
            arrived.resize(payload.size());
            server.received.clear();
            server.transport->receive_payload(to_client, message.token, arrived, 7);
            EXPECT_TRUE(both_until([&] { return !server.received.empty(); }));
            EXPECT_EQ(server.received[0], std::make_pair(std::uint64_t{7}, true));
        }
        EXPECT_TRUE(both_until([&] { return !client.sent.empty(); }));
        EXPECT_EQ(client.sent[0], std::make_pair(tag, true));
        return arrived;
    }

    const std::string path = socket_path("transport");
    End server;
    End client;
    PeerId to_server = no_peer;
    PeerId to_client = no_peer;
};

TEST_F(SamehostTest, HeadersOfAllSizesGoBothWays) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{55}, std::size_t{56}, std::size_t{57},
          std::size_t{1000}, std::size_t{4096}, limits::header_bytes_max}) {
        const auto header = pattern(size, size);
        server.messages.clear();
        client.messages.clear();
        client.transport->send(to_server, header);
        server.transport->send(to_client, header);
        ASSERT_TRUE(both_until([&] { return !server.messages.empty() && !client.messages.empty(); })) << size;
        EXPECT_EQ(server.messages[0].header, header);
        EXPECT_EQ(client.messages[0].header, header);
        EXPECT_EQ(server.messages[0].bytes, 0U);
    }
}

TEST_F(SamehostTest, PayloadsOfAllSizesArrive) {
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{4097}, std::size_t{12 * 1024}, std::size_t{12 * 1024 + 1},
          std::size_t{65536}, std::size_t{1} << 20, (std::size_t{8} << 20) + 3}) {
        const auto payload = pattern(size, size);
        EXPECT_EQ(through(payload, size), payload) << size;
    }
    EXPECT_EQ(server.transport->counters().malformed, 0U);
}

TEST_F(SamehostTest, MoreThanTheRingHoldsWaitsAndArrivesInOrder) {
    constexpr std::size_t count = 3000;
    const auto payload = pattern(9000, 1);
    for (std::uint64_t i = 0; i < count; ++i) {
        if (i % 100 == 0) client.transport->send(to_server, bytes_of("x"), payload, i);
        client.transport->send(to_server, std::as_bytes(std::span(&i, 1)));
    }
    EXPECT_LT(client.sent.size(), count / 100) << "not all of it fits into the ring";
    ASSERT_TRUE(both_until([&] { return server.messages.size() == count + count / 100; }));
    std::uint64_t expected = 0;
    for (const End::Message& message : server.messages) {
        if (message.bytes != 0) {
            EXPECT_EQ(message.payload, payload);
            continue;
        }
        std::uint64_t number = 0;
        std::memcpy(&number, message.header.data(), sizeof number);
        ASSERT_EQ(number, expected++);
    }
    ASSERT_TRUE(both_until([&] { return client.sent.size() == count / 100; }));
    for (const auto& [tag, ok] : client.sent)
        EXPECT_TRUE(ok) << tag;
}

TEST_F(SamehostTest, APayloadThatIsNotWantedCompletesAtItsSender) {
    const auto payload = pattern(100'000, 1);
    client.transport->send(to_server, bytes_of("x"), payload, 5);
    ASSERT_TRUE(both_until([&] { return !server.messages.empty(); }));
    EXPECT_TRUE(client.sent.empty());
    server.transport->discard_payload(server.messages[0].token);
    ASSERT_TRUE(both_until([&] { return !client.sent.empty(); }));
    EXPECT_EQ(client.sent[0].first, 5U);
}

TEST_F(SamehostTest, ATokenIsGoodForOnce) {
    const auto payload = pattern(100'000, 1);
    client.transport->send(to_server, bytes_of("x"), payload, 5);
    ASSERT_TRUE(both_until([&] { return !server.messages.empty(); }));
    std::vector<std::byte> buffer(payload.size());
    const std::uint64_t token = server.messages[0].token;
    server.transport->receive_payload(to_client, token, buffer, 1);
    server.transport->receive_payload(to_client, token, buffer, 2);
    server.transport->discard_payload(token);
    ASSERT_TRUE(both_until([&] { return server.received.size() == 2; }));
    EXPECT_EQ(server.received[0], std::make_pair(std::uint64_t{2}, false));
    EXPECT_EQ(server.received[1], std::make_pair(std::uint64_t{1}, true));
    EXPECT_EQ(buffer, payload);
}

TEST_F(SamehostTest, APayloadOfALostPeerIsNotReceived) {
    const auto payload = pattern(100'000, 1);
    client.transport->send(to_server, bytes_of("x"), payload, 5);
    ASSERT_TRUE(both_until([&] { return !server.messages.empty(); }));
    std::vector<std::byte> buffer(payload.size());
    server.transport->receive_payload(to_client + 1, server.messages[0].token, buffer, 1);
    ASSERT_TRUE(both_until([&] { return !server.received.empty() && !client.sent.empty(); }));
    EXPECT_EQ(server.received[0], std::make_pair(std::uint64_t{1}, false));
}

/// Sends once more when it is told that a payload was not sent, as a relay does.
struct Insistent : End {
    void on_payload_sent(std::uint64_t tag, bool ok) override {
        EXPECT_TRUE(lost.empty()) << tag;
        End::on_payload_sent(tag, ok);
        if (tag == 5) transport->send(to, bytes_of("x"), pattern(10, 1), 6);
    }
    PeerId to = no_peer;
};

TEST(SamehostEvents, NothingOfAPeerComesAfterItsLoss) {
    const std::string path = socket_path("order");
    Insistent insistent;
    {
        End other;
        ASSERT_TRUE(other.transport->listen(path));
        insistent.to = insistent.transport->connect(path).value();
        const auto payload = pattern(100'000, 1);
        insistent.transport->send(insistent.to, bytes_of("x"), payload, 5);
        ASSERT_TRUE(insistent.run_until([&] { return other.transport->links() == 1; }, {&other}));
    }
    ASSERT_TRUE(insistent.run_until([&] { return !insistent.lost.empty(); }));
    EXPECT_EQ(insistent.sent.size(), 2U);
}

TEST_F(SamehostTest, WhatWasSentBeforeClosingArrives) {
    for (int i = 0; i < 2000; ++i)
        client.transport->send(to_server, bytes_of("goodbye"));
    client.transport->close(to_server);
    client.transport->send(to_server, bytes_of("too late"));
    ASSERT_TRUE(both_until([&] { return !server.lost.empty(); }));
    EXPECT_EQ(server.messages.size(), 2000U);
    EXPECT_EQ(server.lost[0].first, to_client);
    EXPECT_TRUE(client.lost.empty()) << "who closes is not told";
    EXPECT_EQ(client.transport->links(), 0U);
    EXPECT_TRUE(both_until([&] { return server.transport->links() == 0; }));
}

TEST_F(SamehostTest, PayloadsEndWithTheirConnection) {
    const auto payload = pattern(100'000, 1);
    client.transport->send(to_server, bytes_of("x"), payload, 5);
    server.transport->send(to_client, bytes_of("x"), payload, 6);
    ASSERT_TRUE(both_until([&] { return !server.messages.empty() && !client.messages.empty(); }));
    client.transport->close(to_server);
    std::vector<std::byte> buffer(payload.size());
    server.transport->receive_payload(to_client, server.messages[0].token, buffer, 1);
    client.transport->receive_payload(to_server, client.messages[0].token, buffer, 2);
    ASSERT_TRUE(both_until([&] {
        return client.sent.size() == 1 && client.received.size() == 1 && server.sent.size() == 1 &&
               server.received.size() == 1 && !server.lost.empty();
    }));
    EXPECT_EQ(client.sent[0], std::make_pair(std::uint64_t{5}, false));
    EXPECT_EQ(client.received[0], std::make_pair(std::uint64_t{2}, false));
    EXPECT_EQ(server.sent[0], std::make_pair(std::uint64_t{6}, false));
    EXPECT_EQ(server.received[0], std::make_pair(std::uint64_t{1}, false)) << "its sender had taken it back";
}

TEST_F(SamehostTest, AConnectionIsClaimedOnce) {
    EXPECT_EQ(server.transport->claim(client.transport->name()), no_peer);
    EXPECT_EQ(server.transport->claim(LinkName{}), no_peer);
}

TEST_F(SamehostTest, AnEndThatSleepsIsWokenUp) {
    ASSERT_TRUE(both_until([&] { return server.transport->prepare_to_sleep(); }));
    client.transport->send(to_server, bytes_of("wake up"));
    EXPECT_EQ(server.poller.wait(10s), 1U);
    EXPECT_EQ(server.transport->poll(server), 1U);
    server.transport->send(to_client, bytes_of("x"));
    EXPECT_FALSE(client.transport->prepare_to_sleep()) << "something is there";
}

TEST_F(SamehostTest, AnEndThatWaitsForSpaceIsWokenUp) {
    for (int i = 0; i < 40; ++i)
        client.transport->send(to_server, pattern(1000, 0));
    client.turn();
    ASSERT_TRUE(client.transport->prepare_to_sleep());
    while (server.turn() != 0) {
    }
    EXPECT_GE(client.poller.wait(10s), 1U);
    client.turn();
    ASSERT_TRUE(both_until([&] { return server.messages.size() == 40; }));
}

TEST_F(SamehostTest, ManyConnectionsOfWhichFewSpeak) {
    std::vector<std::unique_ptr<End>> others;
    for (int i = 0; i < 200; ++i) {
        others.push_back(std::make_unique<End>());
        const Result<PeerId> peer = others.back()->transport->connect(path);
        ASSERT_TRUE(peer) << peer.error().message();
        others.back()->introduce_to(*peer);
        server.turn();
    }
    ASSERT_TRUE(server.run_until([&] { return server.messages.size() == 200; }));
    for (const auto& other : others)
        EXPECT_NE(server.transport->claim(other->transport->name()), no_peer);
    others.clear();
    ASSERT_TRUE(
        server.run_until([&] { return server.lost.size() == 200 && server.transport->links() == 1; }));
}

TEST_F(SamehostTest, WhoNeverReadsIsDropped) {
    for (int i = 0; i < 100'000 && server.lost.empty(); ++i) {
        server.transport->send(to_client, pattern(1000, 0));
        if (i % 1000 == 0) server.turn();
    }
    ASSERT_TRUE(server.run_until([&] { return !server.lost.empty(); }));
    EXPECT_NE(server.lost[0].second.message().find("does not read"), std::string::npos)
        << server.lost[0].second.message();
}

// ---- who may come in ----

TEST_F(SamehostTest, TheSocketIsForThisUserAlone) {
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    server.transport.reset();
    EXPECT_NE(::stat(path.c_str(), &status), 0) << "it goes with its transport";
}

TEST_F(SamehostTest, ConnectingSaysWhyItFails) {
    End other;
    EXPECT_EQ(other.transport->connect(path + "-none").error().code, Errc::not_found);
    EXPECT_EQ(other.transport->connect("/dev/shm/" + std::string(200, 'x')).error().code,
              Errc::invalid_argument);
    // A socket whose process was killed.
    const std::string stale = socket_path("stale");
    Child(([&] { ::_exit(listen_at(stale) ? 0 : 1); })).wait();
    EXPECT_EQ(other.transport->connect(stale).error().code, Errc::manager_lost);
    // Another can begin there.
    End next;
    EXPECT_TRUE(next.transport->listen(stale));
    EXPECT_TRUE(other.transport->connect(stale));
    EXPECT_EQ(other.transport->links(), 1U) << "what could not be reached leaves nothing";
}

os::FileDescriptor raw_connection(const std::string& path) {
    os::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    EXPECT_EQ(::connect(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
}

TEST_F(SamehostTest, AForeignProgramIsRefused) {
    const os::FileDescriptor socket = raw_connection(path);
    const std::string hello = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    ASSERT_GT(::send(socket.fd(), hello.data(), hello.size(), 0), 0);
    ASSERT_TRUE(server.run_until([&] { return server.transport->counters().links_refused == 1; }));
    char byte = 0;
    EXPECT_LE(::recv(socket.fd(), &byte, 1, 0), 0) << "the connection is closed";
}

TEST_F(SamehostTest, HalfAHandshakeIsRefused) {
    const os::FileDescriptor socket = raw_connection(path);
    ASSERT_EQ(::send(socket.fd(), Handshake::magic_of_this_version.data(), 8, 0), 8);
    EXPECT_TRUE(server.run_until([&] { return server.transport->counters().links_refused == 1; }));
}

TEST_F(SamehostTest, AHandshakeWithoutMemoryIsRefused) {
    const os::FileDescriptor socket = raw_connection(path);
    const Handshake handshake;
    ASSERT_GT(::send(socket.fd(), &handshake, sizeof handshake, 0), 0);
    EXPECT_TRUE(server.run_until([&] { return server.transport->counters().links_refused == 1; }));
}

TEST_F(SamehostTest, AHandshakeWithTwoDescriptorsIsRefusedAndLeavesNone) {
    const auto open_files = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator());
    };
    const auto before = open_files();
    {
        const os::FileDescriptor socket = raw_connection(path);
        Handshake handshake;
        std::array<int, 2> two{socket.fd(), socket.fd()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof two)> control{};
        iovec data{&handshake, sizeof handshake};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof two);
        std::memcpy(CMSG_DATA(header), two.data(), sizeof two);
        ASSERT_GT(::sendmsg(socket.fd(), &message, 0), 0);
        ASSERT_TRUE(server.run_until([&] { return server.transport->counters().links_refused == 1; }));
    }
    EXPECT_EQ(open_files(), before);
}

/// Claims whoever introduces itself, while it does.
struct Claimer : TransportEvents {
    explicit Claimer(Transport& owner) : transport(owner) {}
    void on_message(Bytes header, const IncomingPayload&) override {
        const LinkName name = name_in(header);
        claimed.push_back(transport.claim(name));
    }
    void on_payload_received(std::uint64_t, bool) override {}
    void on_payload_sent(std::uint64_t, bool) override {}
    void on_peer_lost(PeerId peer, const Error&) override { lost.push_back(peer); }

    Transport& transport;
    std::vector<PeerId> claimed;
    std::vector<PeerId> lost;
};

/// As a client does whose first hello was not answered in time.
TEST_F(SamehostTest, OfTwoConnectionsOfOneProcessTheOneThatSpeaksIsClaimed) {
    End other;
    const PeerId first = other.transport->connect(path).value();
    const PeerId second = other.transport->connect(path).value();
    Claimer claimer(*server.transport);
    const auto turn_until = [&](const std::function<bool()>& done) {
        for (int i = 0; i < 100'000 && !done(); ++i) {
            other.turn();
            server.poller.wait(0ns);
            server.transport->poll(claimer);
        }
        return done();
    };
    other.introduce_to(first);
    ASSERT_TRUE(turn_until([&] { return claimer.claimed.size() == 1; }));
    other.introduce_to(second);
    ASSERT_TRUE(turn_until([&] { return claimer.claimed.size() == 2; }));
    EXPECT_NE(claimer.claimed[0], no_peer);
    EXPECT_NE(claimer.claimed[1], no_peer);
    other.transport->close(first);
    ASSERT_TRUE(turn_until([&] { return !claimer.lost.empty(); }));
    EXPECT_EQ(claimer.lost[0], claimer.claimed[0]);
    EXPECT_NE(claimer.claimed[0], claimer.claimed[1]);
}

/// Hangs up for reading, and goes on writing.
TEST_F(SamehostTest, WhoWritesOnAfterHangingUpKeepsNobodyBusy) {
    const Channel::Made made = Channel::make().value();
    const auto socket = meet(path, LinkName{}, made.memory);
    ASSERT_TRUE(socket);
    RingWriter writer = const_cast<Channel&>(made.channel).writer(Side::connecting);
    std::atomic<bool> stop{false};
    std::thread floods([&] {
        while (!stop)
            writer.write(RecordKind::message, 1, bytes_of("x"));
    });
    ASSERT_TRUE(server.run_until([&] { return server.transport->links() == 2; }));
    ::shutdown(socket->fd(), SHUT_WR);
    EXPECT_TRUE(server.run_until([&] { return server.transport->links() == 1; }));
    stop = true;
    floods.join();
}

TEST_F(SamehostTest, WhoSaysNothingIsNotWaitedForLong) {
    const os::FileDescriptor socket = raw_connection(path);
    server.turn();
    server.transport->tick(Transport::Clock::now() + 1s);
    EXPECT_EQ(server.transport->counters().links_refused, 0U);
    server.transport->tick(Transport::Clock::now() + 3s);
    EXPECT_EQ(server.transport->counters().links_refused, 1U);
}

TEST_F(SamehostTest, WhomNobodyClaimsIsNotKept) {
    End other;
    const Result<PeerId> peer = other.transport->connect(path);
    ASSERT_TRUE(peer);
    ASSERT_TRUE(server.run_until([&] { return server.transport->links() == 2; }));
    server.transport->tick(Transport::Clock::now() + 10s);
    ASSERT_TRUE(other.run_until([&] { return !other.lost.empty(); }, {&server}));
    EXPECT_EQ(server.transport->links(), 1U);
    EXPECT_TRUE(server.lost.empty()) << "nobody knows it";
}

TEST_F(SamehostTest, MemoryThatCanBeTakenAwayIsRefused) {
    const auto refused = [&](int fd) {
        const std::uint64_t before = server.transport->counters().links_refused;
        const auto socket = meet(path, LinkName{}, os::FileDescriptor(fd));
        EXPECT_TRUE(socket) << socket.error().message();
        EXPECT_TRUE(
            server.run_until([&] { return server.transport->counters().links_refused == before + 1; }));
    };
    const auto memory = [](off_t bytes, int seals) {
        const int fd = ::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        EXPECT_EQ(::ftruncate(fd, bytes), 0);
        EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
    };
    constexpr int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    refused(memory(Channel::bytes, F_SEAL_GROW | F_SEAL_SEAL));
    refused(memory(Channel::bytes, 0));
    refused(memory(Channel::bytes - 1, all));
    refused(memory(Channel::bytes + 1, all));
    refused(memory(0, all));
    refused(memory(Channel::bytes, all | F_SEAL_WRITE));
    refused(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(server.transport->links(), 1U);
}

}  // namespace
}  // namespace ddict::samehost
