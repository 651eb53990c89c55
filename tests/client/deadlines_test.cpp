// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A call ends by its deadline, however many messages it is made of, while a manager hangs.
#include <signal.h>

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

using DeadlinesTest = SharedDictionaryTest;

/// A manager that hangs until the end of this.
class Hung {
  public:
    explicit Hung(const ManagerStats& manager) : pid_(manager.pid) { EXPECT_EQ(kill(pid_, SIGSTOP), 0); }
    Hung(const Hung&) = delete;
    Hung& operator=(const Hung&) = delete;
    ~Hung() { kill(pid_, SIGCONT); }

  private:
    pid_t pid_;
};

template <class F>
std::chrono::milliseconds time_of(F&& f) {
    const auto start = steady_clock::now();
    f();
    return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - start);
}

/// Many more messages than may be under way at once.
TEST_F(DeadlinesTest, ACallOnManyKeysHasOneDeadline) {
    std::map<std::string, std::string> pairs;
    for (int i = 0; i < 1000; ++i)
        pairs.emplace(std::string(1000, 'k') + std::to_string(i), std::string(3000, 'v'));
    const View hopeless = by_message_->manager(1).within(300ms);
    const auto keys = pairs | std::views::keys;
    const auto all_late = [](const auto& results) {
        return std::ranges::all_of(results, [](const auto& item) {
            if constexpr (requires { item.status; }) {
                return item.status.code == Errc::timeout;
            } else {
                return item.code == Errc::timeout;
            }
        });
    };
    const Hung hung(dict_->stats()[1]);
    const auto put = time_of([&] { EXPECT_TRUE(all_late(hopeless.try_multi_put(pairs))); });
    const auto got = time_of([&] { EXPECT_TRUE(all_late(hopeless.try_multi_get(keys))); });
    const auto erased = time_of([&] { EXPECT_TRUE(all_late(hopeless.try_multi_erase(keys))); });
    for (const auto took : {put, got, erased}) {
        EXPECT_GE(took, 290ms);
        EXPECT_LT(took, 1000ms);
    }
}

TEST_F(DeadlinesTest, EachPutThatIsCollectedKeepsItsDeadline) {
    View view = by_message_->manager(1).within(1s);
    const Hung hung(dict_->stats()[1]);
    view.start_batch_put();
    const auto small = time_of([&] {
        for (int i = 0; i < 65; ++i)  // a message each: as many as may be under way, and one to be sent
            view.put(i, std::string(4000, 'v'));
    });
    EXPECT_LT(small, 500ms);
    EXPECT_LT(time_of([&] { view.put("large", std::string(100'000, 'v')); }), 1600ms);
    EXPECT_LT(time_of([&] { EXPECT_EQ(view.try_end_batch_put().value().failed, 66u); }), 1600ms);
}

TEST_F(DeadlinesTest, ACallThatFindsNoSpaceKeepsItsDeadline) {
    const std::string here = key_on(0);
    by_message_->put(here, 1);
    std::vector<Pending<void>> puts;
    {
        const Hung hung(dict_->stats()[1]);
        for (int i = 0; i < 1024; ++i)
            puts.push_back(by_message_->manager(1).put_async(i, i));
        const View quick = by_message_->within(50ms);
        Result<int> got = 0;
        Result<void> put;
        EXPECT_LT(time_of([&] { got = quick.try_get<int>(here); }), 1s);
        EXPECT_LT(time_of([&] { put = quick.put_async(here, 2).try_wait(); }), 1s);
        EXPECT_EQ(code_of(got), Errc::timeout);
        EXPECT_EQ(code_of(put), Errc::timeout);
        EXPECT_NE(put.error().message().find("put of key '" + here + "' on manager 0 ("), std::string::npos)
            << put.error().message();
        EXPECT_NE(put.error().message().find("before anything was sent"), std::string::npos);
    }
    for (Pending<void>& put : puts)
        put.wait();
    EXPECT_EQ(by_message_->get<int>(here), 1);
}

TEST_F(DeadlinesTest, TheListOfAllKeysHasOneDeadline) {
    for (int i = 0; i < 300; ++i) {
        std::vector<std::pair<std::string, int>> pairs;
        for (int k = 0; k < 500; ++k)
            pairs.emplace_back(std::string(100, 'k') + std::to_string(500 * i + k), k);
        dict_->multi_put(pairs);
    }
    // Some megabytes take longer, though not any page of them.
    EXPECT_EQ(code_of(dict_->within(3ms).try_keys()), Errc::timeout);
    EXPECT_EQ(dict_->try_keys().value().size(), 150'000u);
}

TEST_F(DeadlinesTest, AReadOfACopyHasOneDeadlineWhoeverIsAsked) {
    const std::string key = key_on(1);
    const auto stats = dict_->stats();
    std::optional<Hung> first(std::in_place, stats[0]);
    const Hung second(stats[1]);
    // Manager 0 is slow to say that it has no copy, and the key's own says nothing.
    std::thread later([&] {
        std::this_thread::sleep_for(700ms);
        first.reset();
    });
    Result<std::string> got = std::string();
    const auto took = time_of([&] { got = by_message_->manager(0).within(1s).try_bget(key); });
    later.join();
    EXPECT_EQ(code_of(got), Errc::timeout);
    EXPECT_EQ(got.error().manager, 1u);
    EXPECT_GE(took, 990ms);
    EXPECT_LT(took, 1500ms);
}

}  // namespace
}  // namespace ddict
