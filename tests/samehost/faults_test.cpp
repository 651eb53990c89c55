// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Processes that are killed, stopped, forked, of other users and in other namespaces: whoever dies, dies
// alone.
#include <gtest/gtest.h>

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "tests/base/seed.h"
#include "tests/samehost/ends.h"

namespace ddict::samehost {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// DDICT_TEST_KILLS=N for a longer run.
int kills() {
    const char* given = std::getenv("DDICT_TEST_KILLS");
    return given != nullptr ? std::atoi(given) : 60;
}

std::size_t entries_of(const char* folder) {
    std::size_t count = 0;
    DIR* const opened = ::opendir(folder);
    while (opened != nullptr && ::readdir(opened) != nullptr)
        ++count;
    ::closedir(opened);
    return count;
}

/// Lines of /proc/self/maps that belong to connections.
std::size_t mapped_channels() {
    std::FILE* const maps = std::fopen("/proc/self/maps", "r");
    std::size_t count = 0;
    std::array<char, 512> line;
    while (std::fgets(line.data(), line.size(), maps) != nullptr)
        if (std::string_view(line.data()).find("ddict-connection") != std::string_view::npos) ++count;
    std::fclose(maps);
    return count;
}

/// A client, connected and introduced. For processes of their own: ends the process with a status if it
/// cannot.
PeerId connect_or_exit(End& end, const std::string& path) {
    for (int i = 0; i < 1000; ++i) {
        if (const Result<PeerId> peer = end.transport->connect(path)) {
            end.introduce_to(*peer);
            return *peer;
        }
        ::usleep(5000);
    }
    ::_exit(4);
}

/// Sends a payload in three parts to an echo, and receives it in two.
bool check_parts(End& end, PeerId peer, const std::vector<std::byte>& payload) {
    const std::vector<std::byte> header(end.transport->name().begin(), end.transport->name().end());
    const Bytes all(payload);
    const std::size_t middle = payload.size() / 2;
    const Bytes parts[] = {all.first(1), all.subspan(1, middle), all.subspan(1 + middle)};
    end.messages.clear();
    end.sent.clear();
    end.transport->send(peer, header, Parts(parts), 7);
    if (!end.run_until([&] { return !end.messages.empty() && end.messages.back().bytes != 0; })) return false;
    const End::Message& message = end.messages.back();
    std::vector<std::byte> back = message.payload;
    if (message.token != 0) {
        back.resize(message.bytes);
        end.received.clear();
        const MutableBytes into(back);
        end.transport->receive_payload(peer, message.token, into.first(middle), into.subspan(middle), 1);
        if (!end.run_until([&] { return !end.received.empty(); }) || !end.received[0].second) return false;
    }
    return end.run_until([&] { return !end.sent.empty(); }) && end.sent[0].second && back == payload;
}

/// Sends payloads of growing sizes to an echo, and compares what comes back. 0 if all was right.
int check_echo(const std::string& path, std::size_t size_max) {
    End end;
    const PeerId peer = connect_or_exit(end, path);
    std::vector<std::byte> header(end.transport->name().begin(), end.transport->name().end());
    for (std::size_t size = 1; size <= size_max; size = size * 3 + 1) {
        end.messages.clear();
        const auto payload = pattern(size, size);
        end.transport->send(peer, header, payload, size);
        if (!end.run_until([&] { return !end.messages.empty() && end.messages.back().bytes != 0; }))
            return 10;
        const End::Message& message = end.messages.back();
        std::vector<std::byte> back = message.payload;
        if (message.token != 0) {
            back.resize(message.bytes);
            end.received.clear();
            end.transport->receive_payload(peer, message.token, back, 1);
            if (!end.run_until([&] { return !end.received.empty(); }) || !end.received[0].second) return 11;
        }
        if (back != payload) return 12;
        if (size > 3 && !check_parts(end, peer, payload)) return 14;
    }
    return end.lost.empty() ? 0 : 13;
}

/// Many payloads in both directions at once.
int check_many(const std::string& path) {
    constexpr std::size_t count = 12;
    End end;
    const PeerId peer = connect_or_exit(end, path);
    const std::vector<std::byte> header(end.transport->name().begin(), end.transport->name().end());
    std::vector<std::vector<std::byte>> payloads;
    for (std::size_t i = 0; i < count; ++i)
        payloads.push_back(pattern(300'000 + i, i));
    for (std::size_t i = 0; i < count; ++i)
        end.transport->send(peer, header, payloads[i], i);
    std::vector<std::vector<std::byte>> back(count);
    std::size_t asked = 0;
    std::size_t looked = 0;
    const auto ask = [&] {
        for (; looked < end.messages.size(); ++looked) {
            const End::Message& message = end.messages[looked];
            if (message.token == 0) continue;
            back[asked].resize(message.bytes);
            end.transport->receive_payload(peer, message.token, back[asked], asked);
            ++asked;
        }
        return end.received.size() == count && end.sent.size() == count;
    };
    if (!end.run_until(ask)) return 20;
    for (const auto& payload : back) {
        if (std::find(payloads.begin(), payloads.end(), payload) == payloads.end()) return 21;
    }
    return 0;
}

constexpr std::size_t large = std::size_t{8} << 20;

TEST(SamehostProcesses, PayloadsGoThereAndBack) {
    const std::string path = socket_path("echo");
    const Child server([&] { serve_echo(path); });
    EXPECT_EQ(Child([&] { ::_exit(check_echo(path, large)); }).wait(), 0);
    ::unlink(path.c_str());
}

TEST(SamehostProcesses, PayloadsGoInPiecesWhereMemoryOfOthersMayNotBeRead) {
    for (const bool server_may : {false, true}) {
        const std::string path = socket_path("pieces");
        const Child server([&] {
            if (!server_may && !forbid_reading_memory_of_others()) ::_exit(5);
            serve_echo(path);
        });
        EXPECT_EQ(Child([&] {
                      if (!forbid_reading_memory_of_others()) ::_exit(5);
                      ::_exit(check_echo(path, large));
                  }).wait(),
                  0);
        EXPECT_EQ(Child([&] {
                      if (!forbid_reading_memory_of_others()) ::_exit(5);
                      ::_exit(check_many(path));
                  }).wait(),
                  0);
        ::unlink(path.c_str());
    }
}

TEST(SamehostProcesses, AnotherUserIsRefused) {
    const std::string path = socket_path("user");
    End server;
    ASSERT_TRUE(server.transport->listen(path));
    const auto code_for_stranger = [&] {
        return Child([&] {
                   if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(100);
                   End end;
                   const Result<PeerId> peer = end.transport->connect(path);
                   ::_exit(peer ? 0 : static_cast<int>(peer.error().code));
               })
            .wait();
    };
    EXPECT_EQ(code_for_stranger(), static_cast<int>(Errc::not_found))
        << "the file system lets nobody else in";
    // Nor does the kernel's word, if the file system did.
    ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
    EXPECT_EQ(code_for_stranger(), static_cast<int>(Errc::access_denied))
        << "nor is one served by another user";
    const Child liar([&] {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(100);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path.c_str());
        if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ::_exit(101);
        ::pause();
    });
    EXPECT_TRUE(server.run_until([&] { return server.transport->counters().links_refused >= 2; }));
    EXPECT_EQ(server.transport->links(), 0U);
}

TEST(SamehostProcesses, AProcessThatEndsIsMissedAtOnce) {
    const std::string path = socket_path("end");
    End server;
    ASSERT_TRUE(server.transport->listen(path));
    const Child client([&] {
        End end;
        connect_or_exit(end, path);
        ::pause();
    });
    ASSERT_TRUE(server.run_until([&] { return !server.messages.empty(); }));
    LinkName name;
    std::memcpy(name.data(), server.messages[0].header.data(), name.size());
    ASSERT_NE(server.transport->claim(name), no_peer);
    ASSERT_TRUE(server.transport->prepare_to_sleep());
    client.kill(SIGKILL);
    const auto killed_at = Transport::Clock::now();
    while (server.lost.empty() && Transport::Clock::now() - killed_at < test_timeout) {
        server.poller.wait(10s);
        server.transport->poll(server);
    }
    ASSERT_EQ(server.lost.size(), 1U);
    EXPECT_LT(Transport::Clock::now() - killed_at, 5s);
    EXPECT_EQ(server.lost[0].second.code, Errc::manager_lost);
}

/// A client that is killed while its children live: they must not keep its connections up.
TEST(SamehostProcesses, ChildrenOfForkHaveNoPartInAConnection) {
    const std::string path = socket_path("fork");
    End server;
    ASSERT_TRUE(server.transport->listen(path));
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    std::array<int, 2> lives_until_closed{};
    ASSERT_EQ(::pipe(lives_until_closed.data()), 0);
    const Child client([&] {
        const auto end = std::make_unique<End>();
        connect_or_exit(*end, path);
        if (::fork() == 0) {
            // Speaks for itself, while the parent's connection is the parent's alone.
            const int status = mapped_channels() == 0 ? 0 : 1;
            const auto own = std::make_unique<End>();
            connect_or_exit(*own, path);
            const char verdict = static_cast<char>('0' + status);
            if (::write(pipe[1], &verdict, 1) != 1) ::_exit(1);
            ::prctl(PR_SET_PDEATHSIG, 0);
            ::close(lives_until_closed[1]);
            char none = 0;
            ::_exit(::read(lives_until_closed[0], &none, 1) == 0 ? 0 : 1);
        }
        ::pause();
    });
    ASSERT_TRUE(server.run_until([&] { return server.messages.size() == 2; }));
    char verdict = 0;
    ASSERT_EQ(::read(pipe[0], &verdict, 1), 1);
    EXPECT_EQ(verdict, '0') << "the child has the memory of its parent's connection";
    for (const End::Message& message : server.messages) {
        LinkName name;
        std::memcpy(name.data(), message.header.data(), name.size());
        EXPECT_NE(server.transport->claim(name), no_peer);
    }
    client.kill(SIGKILL);
    EXPECT_TRUE(server.run_until([&] { return server.lost.size() == 1; }));
    server.transport->poll(server);
    EXPECT_EQ(server.transport->links(), 1U) << "the child's own connection stands";
    for (const int fd : {pipe[0], pipe[1], lives_until_closed[0], lives_until_closed[1]})
        ::close(fd);
}

/// kill -9 of clients at random moments, while one goes on and checks each answer; then all is as it was.
TEST(SamehostProcesses, WhoeverDiesDiesAlone) {
    const std::string path = socket_path("kills");
    const Child server([&] { serve_echo(path); });
    const Child steady([&] {
        for (;;) {
            if (const int status = check_echo(path, std::size_t{1} << 20); status != 0) ::_exit(status);
        }
    });
    const std::string server_files = "/proc/" + std::to_string(server.pid()) + "/fd";
    std::mt19937_64 random(test_seed());
    std::size_t before = 0;
    for (int i = 0; i < kills(); ++i) {
        const std::size_t size_max = random() % 3 == 0 ? large : random() % 3 == 0 ? 100'000 : 100;
        const Child victim([&] { ::_exit(check_echo(path, size_max)); });
        ::usleep(static_cast<useconds_t>(random() % 6000));
        victim.kill(random() % 4 == 0 ? SIGSEGV : SIGKILL);
        if (i == 10) before = entries_of(server_files.c_str());
    }
    ASSERT_EQ(::kill(steady.pid(), 0), 0);
    EXPECT_EQ(Child([&] { ::_exit(check_echo(path, large)); }).wait(), 0);
    EXPECT_EQ(::kill(server.pid(), 0), 0);
    // Victims leave within moments; the steady one comes and goes.
    std::size_t after = 0;
    for (int i = 0; i < 200 && (after = entries_of(server_files.c_str())) > before + 1; ++i)
        ::usleep(10'000);
    EXPECT_LE(after, before + 1);
    ::unlink(path.c_str());
}

}  // namespace
}  // namespace ddict::samehost
