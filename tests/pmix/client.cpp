// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What one node launcher does, in the ways that the tests need. The first argument says which; exit status 0
// if all went as expected, else 1 and a line on standard error.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include "base/limits.h"
#include "pmix/session.h"

using ddict::Errc;
using ddict::pmix::Session;
using Clock = std::chrono::steady_clock;

namespace {

bool never() {
    return false;
}

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "client %s: %s\n", std::getenv("PMIX_RANK"), what.c_str());
    std::exit(1);
}

void expect(bool condition, const std::string& what) {
    if (!condition) fail(what);
}

std::unique_ptr<Session> joined() {
    auto session = Session::open();
    if (!session) fail(session.error().message());
    return std::move(*session);
}

void leave(Session& session) {
    if (const auto left = session.leave(); !left) fail(left.error().message());
}

// Different of each rank, in length and in content, with zero bytes in it.
std::string blob(std::uint32_t rank, std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<char>(i * 31 + rank * 7);
    return bytes;
}

void exchange_and_check(Session& session, const std::string& key, std::size_t size_of_rank_0,
                        std::size_t more) {
    const auto size_of = [&](std::uint32_t rank) { return size_of_rank_0 + more * rank; };
    const auto all = session.exchange(key, blob(session.index(), size_of(session.index())), never);
    if (!all) fail(all.error().message());
    expect(all->size() == session.count(), "not everyone's contribution");
    for (std::uint32_t rank = 0; rank < all->size(); ++rank)
        expect((*all)[rank] == blob(rank, size_of(rank)), "wrong contribution of " + std::to_string(rank));
}

// Blocks until the test closes standard input.
void wait_for_the_test() {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

int exchange(std::uint32_t clients) {
    const auto session = joined();
    expect(session->count() == clients, "wrong count");
    expect(std::to_string(session->index()) == std::getenv("PMIX_RANK"), "wrong index");
    exchange_and_check(*session, "empty", 0, 0);
    exchange_and_check(*session, "byte", 1, 0);
    exchange_and_check(*session, "address", 215, 1);
    exchange_and_check(*session, "megabyte", 1'000'000, 1000);
    const auto again = session->exchange("byte", "x", never);
    expect(!again && again.error().code == Errc::invalid_argument, "a key was taken twice");
    const auto nameless = session->exchange("", "x", never);
    expect(!nameless && nameless.error().code == Errc::invalid_argument, "an empty key was taken");
    leave(*session);
    const auto after = session->exchange("after", "x", never);
    expect(!after, "an exchange after leave()");
    return 0;
}

int oversize() {
    const auto session = joined();
    const auto refused =
        session->exchange("big", std::string(ddict::limits::pmix_contribution_bytes_max + 1, 'x'), never);
    expect(!refused && refused.error().code == Errc::too_large, "a contribution above the limit was taken");
    expect(refused.error().have_bytes == ddict::limits::pmix_contribution_bytes_max,
           "the limit is not named");
    exchange_and_check(*session, "fits", 100, 1);  // nothing has happened
    leave(*session);
    return 0;
}

// The last rank never joins; the others time out.
int cancel(std::uint32_t clients) {
    const auto session = joined();
    if (session->index() == clients - 1) {
        wait_for_the_test();
        leave(*session);
        return 0;
    }
    Clock::time_point since;
    int asked = 0;
    const auto all = session->exchange("cancelled", "x", [&] {
        if (++asked < 5) return false;
        since = Clock::now();
        return true;
    });
    const auto waited = Clock::now() - since;
    expect(!all && all.error().code == Errc::timeout, "an exchange without a peer succeeded");
    expect(asked == 5, "asked again after it was cancelled");
    expect(waited < std::chrono::milliseconds(100), "did not return at once");
    leave(*session);
    return 0;
}

// Rank 1 is killed: before it has joined the exchange that all others are in, or while it waits in it for
// rank 0.
int killed(bool in_the_exchange) {
    const auto session = joined();
    if (session->index() == 1) {
        if (!in_the_exchange) {
            wait_for_the_test();
            raise(SIGKILL);
        }
        int asked = 0;
        static_cast<void>(
            session->exchange("killed", "x", [&] { return ++asked == 5 && raise(SIGKILL) == 0; }));
        fail("survived");
    }
    if (session->index() == 0 && in_the_exchange) wait_for_the_test();  // until rank 1 is gone
    const auto deadline = Clock::now() + std::chrono::seconds(10);
    const auto all = session->exchange("killed", "x", [&] { return Clock::now() > deadline; });
    expect(!all, "an exchange with a dead peer succeeded");
    expect(all.error().code == Errc::system, "its death was not noticed: " + all.error().message());
    leave(*session);
    return 0;
}

// The test stops the server between open() and the exchange.
int stuck() {
    {
        const auto session = joined();
        std::puts("opened");
        std::fflush(stdout);
        wait_for_the_test();
        int asked = 0;
        const auto all = session->exchange("stuck", "x", [&] { return ++asked == 5; });
        expect(!all && all.error().code == Errc::timeout, "an exchange without a server succeeded");
        const auto since = Clock::now();
        expect(!session->leave(), "left without a server");
        expect(Clock::now() - since < std::chrono::milliseconds(100), "leave() waited for the server again");
    }
    std::puts("given up");
    std::fflush(stdout);
    return 0;
}

// Says what open() says.
int report_open(std::chrono::milliseconds timeout) {
    const auto session = Session::open(timeout);
    std::printf("%s\n", session ? "opened" : session.error().message().c_str());
    return session ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    const auto number = static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0);
    if (what == "exchange") return exchange(number);
    if (what == "oversize") return oversize();
    if (what == "cancel") return cancel(number);
    if (what == "killed-before") return killed(false);
    if (what == "killed-inside") return killed(true);
    if (what == "stuck") return stuck();
    if (what == "open") return report_open(std::chrono::milliseconds(number));
    std::fprintf(stderr, "unknown: '%s'\n", what.c_str());
    return 2;
}
