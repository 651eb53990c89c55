// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Real connections of a client are shut down under it, over the loopback network (DDICT_SAME_HOST=0): the
// program sees nothing of it, and what it asked for has happened once.
#include <ddict/dictionary.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace ddict {
namespace {

using namespace std::chrono_literals;

/// The connected TCP sockets of this process.
std::vector<int> tcp_connections() {
    std::vector<int> out;
    DIR* directory = ::opendir("/proc/self/fd");
    while (const dirent* entry = ::readdir(directory)) {
        const int fd = std::atoi(entry->d_name);
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        if (fd > 2 && ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
            peer.sin_family == AF_INET)
            out.push_back(fd);
    }
    ::closedir(directory);
    return out;
}

std::uint64_t seed_of_test() {
    const char* given = std::getenv("DDICT_TEST_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::cout << "    DDICT_TEST_SEED=" << seed << '\n';
    return seed;
}

/// Shuts connections of this process down at random moments, as long as it lives: the next one up to `pause`
/// after the test has got anywhere since the last, however busy the machine is.
class Breaker {
  public:
    Breaker(std::uint64_t seed, std::chrono::microseconds pause)
        : thread_([this, seed, pause] {
              std::mt19937_64 random(seed);
              while (!stop_) {
                  std::this_thread::sleep_for(pause * (random() % 100) / 100);
                  if (!has_got_on_.load()) continue;
                  const std::vector<int> sockets = tcp_connections();
                  if (sockets.empty()) continue;
                  if (::shutdown(sockets[random() % sockets.size()], SHUT_RDWR) != 0) continue;
                  has_got_on_ = false;
                  ++broken_;
              }
          }) {}
    ~Breaker() {
        stop_ = true;
        thread_.join();
    }
    /// The test has got somewhere.
    void gets_on() { has_got_on_ = true; }
    unsigned broken() const { return broken_; }

  private:
    std::atomic<bool> stop_{false};
    std::atomic<bool> has_got_on_{true};
    std::atomic<unsigned> broken_{0};
    std::thread thread_;
};

TEST(BrokenConnections, AreNotNoticed) {
    ASSERT_NE(std::getenv("DDICT_SAME_HOST"), nullptr) << "this test is about DDICT_SAME_HOST=0";
    Dictionary owner = Dictionary::create({.managers_per_node = 2, .total_mem = 64 << 20});
    Dictionary dict = Dictionary::attach(owner.serialize(), {.local_reads = false});
    dict.stats();  // a manager that has never answered is given up sooner
    std::mt19937_64 random(seed_of_test());
    const std::vector<std::byte> large(200'000, std::byte{7});
    std::int64_t added = 0;
    std::uint64_t appended = 0, popped = 0, swapped = 0;
    unsigned broken = 0;
    {
        Breaker breaker(random(), 60ms);
        const auto until = std::chrono::steady_clock::now() + 60s;
        while (breaker.broken() < 60 && std::chrono::steady_clock::now() < until) {
            const std::string key = "k" + std::to_string(random() % 8);
            breaker.gets_on();
            switch (random() % 5) {
                case 0:
                case 1: {
                    const auto before = dict.try_fetch_add<std::int64_t>("total", 1);
                    ASSERT_TRUE(before) << before.error().message();
                    ASSERT_EQ(*before, added);
                    ++added;
                    break;
                }
                case 2: {
                    const auto bytes = dict.try_append("list", std::string("x"));
                    ASSERT_TRUE(bytes) << bytes.error().message();
                    ++appended;
                    break;
                }
                case 3: {
                    const Result<void> stored = dict.try_put(key, large);
                    ASSERT_TRUE(stored) << stored.error().message();
                    const auto value = dict.try_pop<std::vector<std::byte>>(key);
                    ASSERT_TRUE(value.has_value()) << value.error().message();
                    ASSERT_TRUE(*value == large);
                    ++popped;
                    break;
                }
                default: {
                    const std::string small = "s" + std::to_string(random() % 8);
                    const Result<void> stored = dict.try_put(small, swapped);
                    ASSERT_TRUE(stored) << stored.error().message();
                    const auto done = dict.try_compare_and_swap(small, swapped, swapped + 1);
                    ASSERT_TRUE(done.has_value()) << done.error().message();
                    ASSERT_TRUE(*done);
                    ASSERT_EQ(dict.get<std::uint64_t>(small), ++swapped);
                }
            }
        }
        broken = breaker.broken();
    }
    EXPECT_EQ(dict.get<std::int64_t>("total"), added);
    EXPECT_EQ(dict.get<std::string>("list").size(), appended);
    std::uint64_t repeated = 0;
    for (const ManagerStats& stats : dict.stats())
        repeated += stats.repeated_requests;
    std::cout << "    " << broken << " connections shut down, " << added << " added, " << appended
              << " appended, " << popped << " popped, " << swapped << " swapped; " << repeated
              << " requests answered from memory\n";
    EXPECT_GT(broken, 20u);
    owner.destroy();
}

/// The connection breaks mostly while a value is on its way: neither side takes that for a value that cannot
/// be read or taken.
TEST(BrokenConnections, AreNotTakenForValuesThatCannotBeCopied) {
    Dictionary owner = Dictionary::create({.managers_per_node = 1, .total_mem = 64 << 20});
    Dictionary dict = Dictionary::attach(owner.serialize(), {.local_reads = false});
    dict.stats();
    std::mt19937_64 random(seed_of_test());
    const std::vector<std::byte> bytes(1'000'000, std::byte{7});
    unsigned broken = 0, rounds = 0;
    {
        Breaker breaker(random(), 10ms);
        const auto until = std::chrono::steady_clock::now() + 60s;
        for (; breaker.broken() < 30 && std::chrono::steady_clock::now() < until; ++rounds) {
            breaker.gets_on();
            const auto value_put = std::span(bytes).first(50'000 + random() % 950'001);
            const Result<void> stored = dict.try_put("key", value_put);
            ASSERT_TRUE(stored) << "round " << rounds << ": " << stored.error().message();
            const auto value = dict.try_get<std::vector<std::byte>>("key");
            ASSERT_TRUE(value.has_value()) << "round " << rounds << ": " << value.error().message();
            ASSERT_EQ(value->size(), value_put.size()) << "round " << rounds;
        }
        broken = breaker.broken();
    }
    std::cout << "    " << broken << " connections shut down, " << rounds << " rounds\n";
    EXPECT_GT(broken, 20u);
    owner.destroy();
}

}  // namespace
}  // namespace ddict
