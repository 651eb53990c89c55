// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/workers.h"

#include <ddict/dictionary.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "tests/faults/checked_value.h"
#include "tests/faults/footprint.h"

namespace ddict::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr double buckets_per_octave = 16;

/// Ends the process; the text is for who reads the soak's output.
[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "soak: process %d: %s\n", ::getpid(), what.c_str());
    ::_exit(1);
}

}  // namespace

std::string key_of_victim(std::uint64_t victim, std::size_t key) {
    return "victim " + std::to_string(victim) + " " + std::to_string(key);
}

void Times::add(std::uint64_t ns) {
    const double at = std::log2(static_cast<double>(ns + 1)) * buckets_per_octave;
    counts[std::min(static_cast<std::size_t>(at), buckets - 1)].fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t Times::count() const {
    std::uint64_t sum = 0;
    for (const auto& one : counts)
        sum += one.load();
    return sum;
}

double Times::quantile(double q) const {
    const double wanted = q * static_cast<double>(count());
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
        seen += counts[i].load();
        if (seen != 0 && static_cast<double>(seen) >= wanted)
            return std::exp2(static_cast<double>(i + 1) / buckets_per_octave) / 1000;
    }
    return 0;
}

namespace {

/// One victim. Writes down what it begins before it does, and what was acknowledged afterwards.
class Victim {
  public:
    Victim(Dictionary& dict, VictimRecord& record, std::uint64_t number, std::uint64_t seed)
        : dict_(dict), record_(record), number_(number), random_(seed) {}

    void do_something() {
        switch (random_() % 8) {
            case 0:
            case 1:
                return put(random_() % plain_keys, random_() % 6000);
            case 2:
            case 3:
                return get(random_() % plain_keys, Doing::getting);
            case 4:
                return wait();
            case 5:
                return batch();
            case 6:
                return put(large_key, (random_() % 16 + 1) * 64'000);
            default:
                return get(large_key, Doing::getting_large);
        }
    }

  private:
    std::string key(std::size_t index) const { return key_of_victim(number_, index); }

    void put(std::size_t index, std::size_t bytes) {
        record_.doing = index == large_key ? Doing::putting_large : Doing::putting;
        const std::uint64_t version = ++record_.begun[index];
        const auto done = dict_.try_put(key(index), checked_value(key(index), version, bytes));
        if (!done) fail("put: " + done.error().message());
        record_.acknowledged[index] = version;
    }

    void get(std::size_t index, Doing doing) {
        record_.doing = doing;
        const auto got = dict_.try_find<Value>(key(index));
        if (!got.has_value()) fail("get: " + got.error().message());
        const std::uint64_t expected = record_.acknowledged[index];
        const bool is_right = *got ? version_of(key(index), **got) == expected : expected == 0;
        if (!is_right) fail("get: wrong value of " + key(index));
    }

    void wait() {
        record_.doing = Doing::waiting;
        const auto got = dict_.within(std::chrono::microseconds(random_() % 3000 + 1))
                             .try_wait_for<Value>("nobody puts this " + std::to_string(number_));
        if (got || got.error().code != Errc::timeout) fail("wait: no timeout");
    }

    void batch() {
        record_.doing = Doing::batching;
        std::vector<std::pair<std::string, Value>> pairs;
        for (std::size_t i = plain_keys + 1; i < keys_of_victim; ++i)
            pairs.emplace_back(key(i), checked_value(key(i), ++record_.begun[i], random_() % 500));
        const auto statuses = dict_.try_multi_put(pairs);
        for (std::size_t i = 0; i < statuses.size(); ++i) {
            if (!statuses[i].ok()) fail("multi_put: " + std::string(name(statuses[i].code)));
            const std::size_t index = plain_keys + 1 + i;
            record_.acknowledged[index] = record_.begun[index].load();
        }
        std::vector<std::string> keys;
        for (const auto& pair : pairs)
            keys.push_back(pair.first);
        const auto got = dict_.try_multi_get<Value>(keys);
        for (std::size_t i = 0; i < got.size(); ++i) {
            if (!got[i].status.ok() || *got[i].value != pairs[i].second) fail("multi_get: a wrong value");
        }
    }

    Dictionary& dict_;
    VictimRecord& record_;
    std::uint64_t number_;
    std::mt19937_64 random_;
};

}  // namespace

void run_victim(const std::string& handle, SharedState& shared, std::size_t slot, std::uint64_t number,
                std::uint64_t seed) {
    VictimRecord& record = shared.victims[slot];
    record.doing = Doing::attaching;
    {
        auto attached = Dictionary::try_attach(handle, {.local_reads = seed % 2 == 0});
        if (!attached) fail("attach: " + attached.error().message());
        Victim victim(*attached, record, number, seed);
        while (!record.is_to_leave)
            victim.do_something();
        record.doing = Doing::detaching;
    }
    record.doing = Doing::ended;
    ::_exit(0);
}

void run_steady(const std::string& handle, SharedState& shared, unsigned number) {
    auto attached = Dictionary::try_attach(handle, {.local_reads = false});
    if (!attached) fail("attach: " + attached.error().message());
    const std::string name = "steady " + std::to_string(number) + " ";
    constexpr std::uint64_t keys = 64;
    std::uint64_t i = 0;
    for (; !shared.stop || i < keys; ++i) {
        const std::string key = name + std::to_string(i % keys);
        const Value value = checked_value(key, i, i % 97 == 0 ? 100'000 : 8);
        const auto start = steady_clock::now();
        const auto put = attached->try_put(key, value);
        if (!put) fail("steady put: " + put.error().message());
        const auto got = attached->try_get<Value>(key);
        if (!got.has_value()) fail("steady get: " + got.error().message());
        const auto took = steady_clock::now() - start;
        if (*got != value) fail("steady get: a wrong value");
        shared.checked_operations.fetch_add(2, std::memory_order_relaxed);
        const Phase phase = shared.phase;
        if (phase != Phase::none && value.size() < 1000)
            shared.times[static_cast<std::size_t>(phase)].add(static_cast<std::uint64_t>(took.count()));
    }
    if (attached->erase_prefix(name) != keys) fail("keys of a steady client are lost");
    attached->detach();
    ::_exit(0);
}

namespace {

void put_and_get(Dictionary& dict, const std::string& key, std::uint64_t number) {
    if (const auto put = dict.try_put(key, number); !put) fail("put: " + put.error().message());
    const auto got = dict.try_get<std::uint64_t>(key);
    if (!got.has_value()) fail("get: " + got.error().message());
    if (*got != number) fail("get: a wrong value of " + key);
}

}  // namespace

void run_short_client(const std::string& handle, std::uint64_t number) {
    ::alarm(60);
    {
        auto attached = Dictionary::try_attach(handle, {.local_reads = number % 2 == 0});
        if (!attached) fail("attach: " + attached.error().message());
        put_and_get(*attached, "short " + std::to_string(number % 16), number % 16);
    }
    ::_exit(0);
}

void run_members(const std::string& handle, SharedState& shared, std::uint64_t count,
                 std::chrono::milliseconds timeout) {
    constexpr auto overrun_max = 20s;                         // on a busy machine
    std::vector<std::pair<Dictionary, std::string>> members;  // with a key whose manager each speaks to
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::string key = "member " + std::to_string(i % 16);
        const auto start = steady_clock::now();
        auto attached = Dictionary::try_attach(handle, {.attach_timeout = timeout, .local_reads = false});
        const auto put =
            attached ? attached->within(timeout).try_put(key, i) : Result<void>(attached.error());
        if (put) {
            members.emplace_back(*std::move(attached), key);
            ++shared.members;
            continue;
        }
        const Error& why = put.error();
        if (why.code != Errc::busy || why.in_doubt || why.message().find("ulimit -n") == std::string::npos)
            fail("refused: " + why.message());
        if (steady_clock::now() - start > 2 * timeout + overrun_max)
            fail("refused too late: " + why.message());
        ++shared.refused;
    }
    while (!shared.crowd_leaves)
        std::this_thread::sleep_for(10ms);
    for (const auto& [member, key] : members) {
        if (const auto put = member.try_put(key, count); !put) fail("put: " + put.error().message());
    }
    members.clear();
    ::_exit(0);
}

void run_threads(const std::string& handle, std::uint64_t count) {
    auto attached = Dictionary::try_attach(handle, {.local_reads = false});
    if (!attached) fail("attach: " + attached.error().message());
    for (std::uint64_t i = 0; i < count; ++i)
        std::thread([&] { put_and_get(*attached, "thread " + std::to_string(i % 16), i); }).join();
    attached->detach();
    ::_exit(0);
}

namespace {

[[noreturn]] void run_child(const std::string& handle, std::uint64_t number) {
    ::alarm(60);
    // (None calls exit(): in one of some thousand children of a parent with busy threads UCX's own end
    // crashes then. See docs/decisions/0017.)
    switch (number % 8) {
        case 0:
            ::execl("/bin/true", "true", nullptr);
            ::_exit(2);
        case 1:
            ::_exit(0);
        default:
            run_short_client(handle, number);
    }
}

}  // namespace

void run_forking_parent(const std::string& handle, std::uint64_t count) {
    auto attached = Dictionary::try_attach(handle, {.local_reads = false});
    if (!attached) fail("attach: " + attached.error().message());
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    // One works on, one makes sessions and ends them: forks hit it in the middle of either.
    threads.emplace_back([&] {
        for (std::uint64_t i = 0; !stop; ++i) {
            put_and_get(*attached, "parent", i);
            std::this_thread::sleep_for(200us);
        }
    });
    threads.emplace_back([&] {
        for (std::uint64_t i = 0; !stop; ++i) {
            std::thread([&] { put_and_get(*attached, "parent's thread", i); }).join();
            std::this_thread::sleep_for(500us);
        }
    });
    std::uint64_t first_descriptors = 0;
    std::uint64_t first_kib = 0;
    constexpr std::uint64_t at_once = 2;
    std::uint64_t running = 0;
    const auto await_one = [&] {
        int status = 0;
        if (::waitpid(-1, &status, 0) <= 0 || status != 0)
            fail("a child's status is " + std::to_string(status));
        --running;
    };
    for (std::uint64_t i = 0; i < count; ++i) {
        const pid_t child = ::fork();
        if (child == 0) run_child(handle, i);
        if (child < 0) fail("fork");
        ++running;
        if (running == at_once) await_one();
        if (i == count / 10) {
            first_descriptors = descriptors_of(::getpid());
            first_kib = anonymous_kib_of(::getpid());
        }
    }
    while (running != 0)
        await_one();
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    const std::uint64_t descriptors = descriptors_of(::getpid());
    const std::uint64_t kib = anonymous_kib_of(::getpid());
    // A thread that is coming or going has some; what leaks has one for each fork.
    if (descriptors > first_descriptors + 16) fail(std::to_string(descriptors) + " descriptors");
    if (kib > first_kib + 4096) fail(std::to_string(kib) + " KiB, at first " + std::to_string(first_kib));
    put_and_get(*attached, "parent", 1);
    attached->detach();
    ::_exit(0);
}

}  // namespace ddict::faults
