// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Producers and consumers of a queue that are killed at any moment. DDICT_TEST_KILLS says how many.
#include <ddict/queue.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds lease = 1500ms;
constexpr int producers = 3;
constexpr int consumers = 3;

int number_in_environment(const char* name, int otherwise) {
    const char* const given = std::getenv(name);
    return given == nullptr || *given == '\0' ? otherwise : std::atoi(given);
}

/// Small values and such as are no part of a message.
std::vector<std::uint64_t> value_of(std::uint64_t id) {
    return std::vector<std::uint64_t>(id % 3 == 0 ? 20'000 : 4, id);
}

void produce(const Dictionary& dict) {
    const Queue queue = dict.queue("work").within(60s);
    while (!dict.contains("stop")) {
        const auto id = static_cast<std::uint64_t>(dict.fetch_add("ids"));
        queue.push(value_of(id));
        dict.fetch_add("pushed/" + std::to_string(id));
    }
}

void consume(const Dictionary& dict) {
    const Queue queue = dict.queue("work").within(60s);
    while (std::optional<QueueItem> item = queue.take()) {
        const auto value = item->get<std::vector<std::uint64_t>>();
        const std::uint64_t id = value.at(0);
        if (value != value_of(id)) dict.fetch_add("damaged");
        dict.fetch_add("taken/" + std::to_string(id));
        item->finish();
        dict.fetch_add("finished/" + std::to_string(id));
    }
}

pid_t start(const std::string& handle, bool produces) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    int status = EXIT_SUCCESS;
    try {
        const Dictionary dict = Dictionary::attach(handle);
        produces ? produce(dict) : consume(dict);
    } catch (const std::exception& error) {
        std::cerr << (produces ? "producer: " : "consumer: ") << error.what() << '\n';
        status = EXIT_FAILURE;
    }
    ::_exit(status);
}

/// Its exit status; -1 if it had to be killed.
int await_end(pid_t child) {
    int status = 0;
    if (!eventually(60s, [&] {
            std::this_thread::sleep_for(1ms);
            return ::waitpid(child, &status, WNOHANG) == child;
        })) {
        ::kill(child, SIGKILL);
        ::waitpid(child, &status, 0);
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::uint64_t sum_of(const Dictionary& dict, const std::string& prefix, std::int64_t& most) {
    std::uint64_t sum = 0;
    for (const auto& [key, count] : dict.items<std::string, std::int64_t>(prefix)) {
        most = std::max(most, count);
        sum += static_cast<std::uint64_t>(count);
    }
    return sum;
}

class QueueKillsTest : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(QueueKillsTest, EveryItemIsDoneOnce) {
    const int kills = number_in_environment("DDICT_TEST_KILLS", 30);
    const auto seed = static_cast<unsigned>(
        number_in_environment("DDICT_TEST_SEED", static_cast<int>(std::random_device()() >> 1)));
    SCOPED_TRACE("DDICT_TEST_SEED=" + std::to_string(seed));
    std::cout << "DDICT_TEST_SEED=" << seed << '\n';
    std::mt19937 random(seed);
    Dictionary dict =
        Dictionary::create({.managers_per_node = GetParam(), .total_mem = 64 << 20, .name = "kills"});
    const Queue queue =
        dict.queue("work", {.bytes = 8 << 20, .items = 24, .producers = producers, .lease = lease});
    std::array<pid_t, producers + consumers> all{};
    for (std::size_t i = 0; i < all.size(); ++i)
        all[i] = start(dict.serialize(), i < producers);
    int killed_consumers = 0;
    for (int i = 0; i < kills; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 130));
        const std::size_t victim = random() % all.size();
        ASSERT_EQ(::kill(all[victim], SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(::waitpid(all[victim], &status, 0), all[victim]);
        EXPECT_TRUE(WIFSIGNALED(status)) << "it had ended by itself, with status " << status;
        killed_consumers += victim >= producers;
        all[victim] = start(dict.serialize(), victim < producers);
    }
    dict.put("stop", 1);
    for (std::size_t i = 0; i < producers; ++i)
        EXPECT_EQ(await_end(all[i]), EXIT_SUCCESS);
    queue.close();
    for (std::size_t i = producers; i < all.size(); ++i)
        EXPECT_EQ(await_end(all[i]), EXIT_SUCCESS);
    // What they have left half done is removed by whoever is there for as long as a lease.
    const Queue looker = dict.queue("work");
    EXPECT_TRUE(eventually(30s, [&] {
        std::this_thread::sleep_for(10ms);
        return !looker.within(10s).try_take().value() && looker.stats().items == 0;
    }));

    std::int64_t most_pushed = 0;
    std::int64_t most_taken = 0;
    std::int64_t most_finished = 0;
    const std::uint64_t pushed = sum_of(dict, "pushed/", most_pushed);
    const std::uint64_t taken = sum_of(dict, "taken/", most_taken);
    const std::uint64_t finished = sum_of(dict, "finished/", most_finished);
    const QueueStats stats = queue.stats();
    std::cout << kills << " kills, " << pushed << " pushed, " << taken << " taken, " << stats.finished
              << " finished\n";
    EXPECT_GT(pushed, 0u);
    EXPECT_EQ(most_finished, 1) << "an item was finished twice";
    EXPECT_FALSE(dict.contains("damaged"));
    for (const auto& [key, count] : dict.items<std::string, std::int64_t>("pushed/"))
        EXPECT_TRUE(dict.contains("taken/" + key.substr(7))) << key << " is lost";
    // One who is killed has one item at the most: that is handed out again, or was finished and not counted.
    EXPECT_GE(finished + static_cast<std::uint64_t>(killed_consumers), stats.finished);
    EXPECT_LE(taken, stats.finished + static_cast<std::uint64_t>(killed_consumers));
    EXPECT_GE(stats.finished, pushed);
    for (const std::string& key : dict.keys("ddict.queue/"))
        EXPECT_EQ(key.find("/item/"), std::string::npos) << key << " is left";
    dict.destroy();
}

INSTANTIATE_TEST_SUITE_P(Managers, QueueKillsTest, ::testing::Values(1u, 3u));

}  // namespace
}  // namespace ddict
