// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Views, iterations over all keys, and what is said and done about all managers.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

#include "cluster/handle.h"
#include "tests/client/shared_dictionary.h"
#include "tests/shm/visible_blocks.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

using ViewsTest = SharedDictionaryTest;

// ---- views ----

TEST_F(ViewsTest, AManagerIsAViewOfItsKeysAlone) {
    const std::uint64_t sessions = dict_->stats()[2].sessions;
    std::vector<View> views;
    for (int i = 0; i < 100; ++i)
        views.push_back(dict_->manager(2));
    EXPECT_EQ(dict_->stats()[2].sessions, sessions) << "a view costs no registration";
    const View third = dict_->manager(2);
    const std::string elsewhere = key_on(0);
    third.put(elsewhere, "third");
    dict_->put(elsewhere, "first");
    EXPECT_EQ(third.get(elsewhere), "third");
    EXPECT_EQ(dict_->get(elsewhere), "first");
    EXPECT_EQ(by_message_->manager(2).get(elsewhere), "third");
    EXPECT_EQ(third.which_manager(elsewhere), 2u);
    EXPECT_EQ(third.size(), 1u);
    EXPECT_EQ(dict_->manager(1).size(), 0u);
    EXPECT_EQ(third.try_keys().value(), std::vector<std::string>{elsewhere});
    ASSERT_EQ(third.stats().size(), 1u);
    EXPECT_EQ(third.stats()[0].manager, 2u);
    EXPECT_EQ(third.health().at(0).manager, 2u);
    third.clear();
    EXPECT_EQ(dict_->size(), 1u);
    EXPECT_EQ(dict_->get(elsewhere), "first");
}

TEST_F(ViewsTest, AnUnknownManagerIsRefused) {
    const auto view = dict_->try_manager(managers);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, Errc::invalid_argument);
    EXPECT_NE(view.error().message().find("there are 3"), std::string::npos);
    EXPECT_THROW(static_cast<void>(dict_->manager(UINT32_MAX)), Exception);
    EXPECT_EQ(code_of(dict_->try_stats(managers)), Errc::invalid_argument);
}

TEST_F(ViewsTest, AUsersPlacement) {
    // The first letter decides.
    const View view = dict_->placed_by(
        [](KeyBytes key) { return key.bytes()[0] == std::byte{'a'} ? 0 : ~std::uint64_t{0}; });
    for (int i = 0; i < 50; ++i) {
        view.put("a" + std::to_string(i), i);
        view.put("b" + std::to_string(i), i);
    }
    EXPECT_EQ(dict_->manager(0).size(), 50u);
    EXPECT_EQ(dict_->manager(2).size(), 50u);
    EXPECT_EQ(view.which_manager("b"), 2u);
    EXPECT_EQ(view.within(5s).get<int>("b7"), 7);
    EXPECT_EQ(view.multi_get<int>(std::vector<std::string>{"a1", "b2"})[1], 2);
    EXPECT_EQ(view.manager(0).which_manager("b"), 0u) << "a manager that is named wins";
    EXPECT_EQ(dict_->try_keys().value().size(), 100u);
}

TEST_F(ViewsTest, AKeyThatNamesItsManager) {
    // "2/key" lives on manager 2.
    const View view = dict_->placed_at(
        [](KeyBytes key) { return static_cast<std::uint32_t>(std::to_integer<int>(key.bytes()[0]) - '0'); });
    for (int i = 0; i < 90; ++i)
        view.put(std::to_string(i % 9) + "/" + std::to_string(i), i);
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        EXPECT_EQ(view.which_manager(std::to_string(manager) + "/x"), manager);
        EXPECT_EQ(view.which_manager(std::to_string(manager + managers) + "/x"), manager) << "modulo";
        EXPECT_EQ(dict_->manager(manager).size(), 30u);
    }
    EXPECT_EQ(view.get<int>("1/10"), 10);
    EXPECT_EQ(view.multi_get<int>(std::vector<std::string>{"1/10", "2/11"})[1], 11);
    EXPECT_EQ(code_of(View().placed_at([](KeyBytes) { return 1u; }).try_put("key", 1)), Errc::not_attached);
}

/// What the pairs of all managers were placed by, by key.
std::map<std::string, KeyPlacement> placements(const Dictionary& dict) {
    std::map<std::string, KeyPlacement> found;
    const Handle handle = Handle::parse(dict.serialize()).value();
    for (std::uint32_t manager = 0; manager < dict.manager_count(); ++manager) {
        shm::for_each_visible_block(
            shm::pool_segment_name(handle.dictionary_id, manager),
            [&](const shm::Block& block) { found.emplace(text_of(block.key()), block.placement()); });
    }
    return found;
}

/// So that it can be found again on another number of managers.
TEST_F(ViewsTest, APairKnowsWhatItsKeyWasPlacedBy) {
    const std::string large(10'000, 'x');
    const auto write = [&](const View& view, const std::string& name) {
        view.put(name + "/put", 1);
        view.put(name + "/large", large);
        view.put_if_absent(name + "/absent", 1);
        view.fetch_add(name + "/add");
        view.append(name + "/append", "x");
        view.compare_and_swap(name + "/swap", std::nullopt, 1);
        view.put_async(name + "/async", 1).wait();
        view.multi_put(
            std::map<std::string, std::string>{{name + "/many", "1"}, {name + "/many large", large}});
        view.update(std::map<std::string, int>{{name + "/update", 1}});
        view.put(name + "/popped", "text");
        EXPECT_EQ(code_of(view.try_pop<int>(name + "/popped")), Errc::wrong_type) << "it is put back";
    };
    write(*dict_, "own");
    write(dict_->placed_by([](KeyBytes key) { return key.size() << 58; }), "hash");
    write(dict_->placed_at([](KeyBytes key) { return 100 + static_cast<std::uint32_t>(key.size()); }),
          "number");
    write(dict_->manager(1), "manager");
    dict_->manager(1).bput("all", 1);
    const std::map<std::string, KeyPlacement> found = placements(*dict_);
    EXPECT_EQ(found.size(), 4 * 11u + 1);
    for (const auto& [key, placement] : found) {
        KeyPlacement expected;
        if (key.starts_with("hash")) expected = {.by = PlacedBy::hash, .value = key.size() << 58};
        if (key.starts_with("number")) expected = {.by = PlacedBy::number, .value = 100 + key.size()};
        if (key.starts_with("manager")) expected = {.by = PlacedBy::number, .value = 1};
        EXPECT_EQ(placement.by, expected.by) << key;
        EXPECT_EQ(placement.value, expected.value) << key;
    }
}

TEST_F(ViewsTest, AViewOutlivesItsDictionarySafely) {
    View view, third;
    EXPECT_EQ(code_of(view.try_put("key", 1)), Errc::not_attached);
    EXPECT_EQ(code_of(view.try_manager(0)), Errc::not_attached);
    {
        const Dictionary other = Dictionary::attach(dict_->serialize());
        view = other;
        third = other.manager(2).within(1s);
        view.put("key", 1);
    }
    EXPECT_EQ(code_of(view.try_put("key", 2)), Errc::not_attached);
    EXPECT_EQ(code_of(view.try_get<int>("key")), Errc::not_attached);
    EXPECT_EQ(code_of(third.try_contains("key")), Errc::not_attached);
    EXPECT_EQ(code_of(third.try_size()), Errc::not_attached);
    EXPECT_EQ(code_of(third.try_keys()), Errc::not_attached);
    EXPECT_EQ(code_of(view.try_stats()), Errc::not_attached);
    EXPECT_EQ(code_of(view.try_health()), Errc::not_attached);
    EXPECT_EQ(code_of(view.try_freeze()), Errc::not_attached);
    EXPECT_EQ(code_of(view.put_async("key", 1).try_wait()), Errc::not_attached);
    EXPECT_EQ(view.try_multi_get<int>(std::vector<std::string>{"key"})[0].code(), Errc::not_attached);
    EXPECT_EQ(view.try_multi_put(std::vector{std::pair("key", 1)})[0].code, Errc::not_attached);
    EXPECT_EQ(code_of(view.try_start_batch_put()), Errc::not_attached);
    EXPECT_EQ(dict_->get<int>("key"), 1);
}

TEST_F(ViewsTest, AfterForkViewsAndHandlesSaySo) {
    const View view = dict_->manager(1);
    view.put("key", 1);
    const pid_t child = fork();
    if (child == 0) {
        const auto refused = [](const Error& error) {
            return error.code == Errc::not_attached && error.message().find("fork") != std::string::npos;
        };
        const bool good = refused(view.try_get<int>("key").error()) &&
                          refused(view.try_put("key", 2).error()) && refused(view.try_size().error()) &&
                          refused(view.put_async("key", 2).try_wait().error()) &&
                          refused(view.try_keys().error()) &&
                          view.try_multi_put(std::vector{std::pair("key", 2)})[0].code == Errc::not_attached;
        _exit(good ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(view.get<int>("key"), 1);
}

TEST_F(ViewsTest, WhoLivesWhere) {
    EXPECT_EQ(dict_->manager_count(), managers);
    EXPECT_EQ(dict_->local_managers(), (std::vector<std::uint32_t>{0, 1, 2}));
    ASSERT_TRUE(dict_->local_manager());
    EXPECT_EQ(*dict_->local_manager(), dict_->main_manager());
    EXPECT_LT(dict_->main_manager(), managers);
    const auto stats = dict_->stats();
    const auto nodes = dict_->manager_nodes();
    ASSERT_EQ(nodes.size(), managers);
    for (std::size_t i = 0; i < managers; ++i)
        EXPECT_EQ(nodes[i], stats[i].node);
    EXPECT_EQ(dict_->name(), "shared");
}

// ---- iterations ----

TEST_F(ViewsTest, ItemsComeOnceWhateverTheirSize) {
    std::map<std::string, std::string> expected;
    for (const std::size_t bytes : {0ul, 10ul, 5000ul, 60'000ul, 70'000ul, 2'000'000ul}) {
        for (int i = 0; i < 10; ++i)
            expected.emplace(std::to_string(bytes) + "/" + std::to_string(i), std::string(bytes, 'v'));
    }
    for (int i = 0; i < 10'000; ++i)
        expected.emplace("small " + std::to_string(i), std::to_string(i));
    dict_->multi_put(expected);
    std::map<std::string, std::string> seen;
    for (auto& [key, value] : dict_->items()) {
        EXPECT_TRUE(seen.emplace(key, std::move(value)).second) << key;
    }
    EXPECT_EQ(seen, expected);
    std::size_t count = 0, bytes = 0;
    for (const std::string& value : dict_->values())
        ++count, bytes += value.size();
    EXPECT_EQ(count, expected.size());
    EXPECT_GT(bytes, 20'000'000u);
    EXPECT_EQ(dict_->local_size(), expected.size());
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::distance(dict_->local_keys())), expected.size());
}

TEST_F(ViewsTest, OnlyKeysWithAPrefix) {
    for (int i = 0; i < 3000; ++i) {
        dict_->put("user/" + std::to_string(i), i);
        dict_->put("host/" + std::to_string(i), i);
    }
    std::set<std::string> keys;
    for (const std::string& key : dict_->keys("user/1")) {
        EXPECT_TRUE(key.starts_with("user/1"));
        EXPECT_TRUE(keys.insert(key).second);
    }
    EXPECT_EQ(keys.size(), 1111u);
    std::int64_t sum = 0;
    for (const int value : dict_->values<int>("host/"))
        sum += value;
    EXPECT_EQ(sum, 2999 * 3000 / 2);
    EXPECT_TRUE(dict_->try_keys("nobody").value().empty());
    EXPECT_TRUE(dict_->try_keys(std::string(2000, 'x')).value().empty());
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& [key, value] : dict_->local_items<std::string, int>("host/2"))
        ++count;
    EXPECT_EQ(count, 1111u);
}

TEST_F(ViewsTest, LoopsMayStopEarlyAndRangesCompose) {
    for (int i = 0; i < 20'000; ++i)
        dict_->put(i, i);
    int seen = 0;
    for (const int key : dict_->keys<int>()) {
        static_cast<void>(key);
        if (++seen == 10) break;
    }
    EXPECT_EQ(seen, 10);
    std::vector<int> some;
    for (const int key :
         dict_->keys<int>() | std::views::filter([](int k) { return k % 2 == 0; }) | std::views::take(100))
        some.push_back(key);
    EXPECT_EQ(some.size(), 100u);
    for (const int key : some)
        EXPECT_EQ(key % 2, 0);
    static_assert(std::ranges::input_range<KeyRange<int>>);
}

TEST_F(ViewsTest, AValueOfAnotherTypeIsAnErrorOfTheLoop) {
    dict_->put("text", "x");
    dict_->put("number", 1.0);
    const auto read_all = [](auto range) {
        for (auto& item : range)
            static_cast<void>(item);
    };
    try {
        read_all(dict_->items());
        FAIL() << "a number is no text";
    } catch (const Exception& error) {
        EXPECT_EQ(error.code(), Errc::wrong_type);
        EXPECT_NE(std::string(error.what()).find("'number'"), std::string::npos) << error.what();
    }
    read_all(dict_->items<std::string, std::vector<std::byte>>());
    EXPECT_THROW(read_all(dict_->keys<double>()), Exception);
}

TEST_F(ViewsTest, TheCursorDoesNotThrow) {
    dict_->put("key", 3.5);
    Cursor cursor = dict_->cursor({.values = true});
    ASSERT_TRUE(*cursor.next());
    EXPECT_EQ(*cursor.key_as(), "key");
    EXPECT_EQ(*cursor.value_as<double>(), 3.5);
    EXPECT_EQ(cursor.manager(), dict_->which_manager("key"));
    EXPECT_EQ(code_of(cursor.value_as<int>()), Errc::wrong_type);
    EXPECT_FALSE(*cursor.next());
    EXPECT_FALSE(*cursor.next());
    EXPECT_EQ(code_of(dict_->within(0ms).cursor().next()), Errc::timeout);
    EXPECT_EQ(code_of(View().cursor().next()), Errc::not_attached);
}

/// The guarantee: what is there all the time is seen once, while others put and erase.
TEST_F(ViewsTest, KeysThatStayAreSeenOnceWhileOthersComeAndGo) {
    constexpr int staying = 5000;
    for (int i = 0; i < staying; ++i)
        dict_->put("stays " + std::to_string(i), i);
    std::atomic<bool> stop = false;
    std::vector<std::thread> writers;
    for (int t = 0; t < 2; ++t) {
        writers.emplace_back([&, t] {
            for (int i = 0; !stop; ++i) {
                const std::string key = "goes " + std::to_string(t) + "/" + std::to_string(i % 20'000);
                dict_->put(key, std::string(static_cast<std::size_t>(i % 300), 'x'));
                if (i % 3 != 0) dict_->erase(key);
                dict_->put("stays " + std::to_string(i % staying), i);
            }
        });
    }
    for (int round = 0; round < 10; ++round) {
        std::map<std::string, int> seen;
        for (const std::string& key : dict_->keys())
            ++seen[key];
        std::map<std::string, int> items;
        for (auto& [key, value] : dict_->items<std::string, std::vector<std::byte>>())
            ++items[key];
        for (int i = 0; i < staying; ++i) {
            const std::string key = "stays " + std::to_string(i);
            ASSERT_EQ(seen[key], 1) << key;
            ASSERT_EQ(items[key], 1) << key;
        }
        for (const auto& [key, times] : seen)
            ASSERT_EQ(times, 1) << key;
    }
    stop = true;
    for (std::thread& writer : writers)
        writer.join();
}

// ---- all managers ----

TEST_F(ViewsTest, AFrozenDictionaryRefusesEveryWrite) {
    dict_->put("key", 1);
    dict_->put("counter", std::int64_t{1});
    EXPECT_FALSE(dict_->is_frozen());
    dict_->freeze();
    EXPECT_TRUE(dict_->is_frozen());
    const auto put = by_message_->try_put("key", 2);
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::frozen);
    EXPECT_NE(put.error().message().find("put of key 'key' on manager"), std::string::npos);
    EXPECT_EQ(code_of(dict_->try_put("large", std::vector<int>(100'000))), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_put_if_absent("new", 2)), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_erase("key")), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_pop<int>("key")), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_compare_and_swap("key", 1, 2)), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_fetch_add("counter")), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_append("text", "x")), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_clear()), Errc::frozen);
    EXPECT_EQ(dict_->try_multi_put(std::vector{std::pair("key", 2)})[0].code, Errc::frozen);
    EXPECT_EQ(dict_->try_multi_erase(std::vector<std::string>{"key"})[0].code, Errc::frozen);
    EXPECT_EQ(code_of(dict_->put_async("key", 2).try_wait()), Errc::frozen);
    EXPECT_EQ(dict_->get<int>("key"), 1);
    EXPECT_EQ(by_message_->get<int>("key"), 1);
    EXPECT_EQ(by_message_->wait_for<int>("key"), 1);
    EXPECT_EQ(dict_->size(), 2u);
    dict_->unfreeze();
    EXPECT_FALSE(dict_->is_frozen());
    EXPECT_FALSE(dict_->manager(1).is_frozen());
    dict_->put("key", 2);
    EXPECT_EQ(dict_->get<int>("key"), 2);
}

TEST_F(ViewsTest, FrozenValuesAreReadWhereTheyLie) {
    const std::vector<double> values(100'000, 2.5);
    dict_->put("values", values);
    dict_->put("text", "some text");
    const auto thawed = dict_->try_view_frozen("values");
    ASSERT_FALSE(thawed);
    EXPECT_EQ(thawed.error().code, Errc::invalid_argument);
    EXPECT_EQ(thawed.error().operation, Operation::view);
    dict_->freeze();
    const FrozenValue view = dict_->view_frozen("values");
    EXPECT_EQ(view.size(), values.size() * sizeof(double));
    EXPECT_TRUE(std::ranges::equal(view.elements<double>(), values));
    EXPECT_EQ(code_of(view.try_elements<float>()), Errc::wrong_type);
    EXPECT_EQ(view.elements<double>().data(), dict_->view_frozen("values").elements<double>().data())
        << "nothing is copied";
    EXPECT_EQ(dict_->view_frozen("text").text(), "some text");
    EXPECT_EQ(code_of(dict_->try_view_frozen("nobody")), Errc::not_found);
    EXPECT_EQ(code_of(dict_->try_view_frozen("")), Errc::invalid_argument);
    EXPECT_EQ(code_of(View().try_view_frozen("values")), Errc::not_attached);
    EXPECT_TRUE(view.valid());
    dict_->unfreeze();
    EXPECT_FALSE(view.valid());
    EXPECT_EQ(code_of(view.try_bytes()), Errc::invalid_argument);
    dict_->freeze();
    EXPECT_FALSE(view.valid()) << "another freeze is another freeze";
    dict_->unfreeze();
}

TEST_F(ViewsTest, HealthTellsWhoLives) {
    const auto health = dict_->health();
    ASSERT_EQ(health.size(), managers);
    for (std::uint32_t i = 0; i < managers; ++i) {
        EXPECT_EQ(health[i].manager, i);
        EXPECT_TRUE(health[i].alive());
        EXPECT_GT(health[i].round_trip.count(), 0);
        EXPECT_LT(health[i].round_trip, 5s);
        EXPECT_EQ(health[i].node, dict_->manager_nodes()[i]);
    }
    const ManagerStats victim = dict_->stats()[1];
    ASSERT_EQ(kill(victim.pid, SIGSTOP), 0);
    const auto sick = dict_->within(200ms).try_health();
    kill(victim.pid, SIGCONT);
    ASSERT_TRUE(sick);
    EXPECT_TRUE(sick->at(0).alive());
    ASSERT_FALSE(sick->at(1).alive());
    EXPECT_EQ(sick->at(1).error->code, Errc::timeout);
    EXPECT_EQ(sick->at(1).error->manager, 1u);
    EXPECT_TRUE(sick->at(2).alive());
}

TEST_F(ViewsTest, ManyThatHangDoNotHideTheOthers) {
    constexpr std::uint32_t at_once = 64;  // that are asked together
    Dictionary crowd = Dictionary::create({.managers_per_node = at_once + 2, .total_mem = 66 << 20});
    std::vector<pid_t> hung;
    for (std::uint32_t manager = 0; manager < at_once; ++manager)
        hung.push_back(crowd.stats(manager).pid);
    for (const pid_t pid : hung)
        kill(pid, SIGSTOP);
    const auto health = crowd.within(500ms).try_health();
    for (const pid_t pid : hung)
        kill(pid, SIGCONT);
    ASSERT_TRUE(health);
    EXPECT_FALSE(health->front().alive());
    EXPECT_TRUE(health->at(at_once).alive());
    EXPECT_TRUE(health->back().alive()) << health->back().error->message();
    crowd.destroy();
}

TEST_F(ViewsTest, TheProfileCountsWhatThisProcessDid) {
    const auto of = [](const ClientProfile& profile, Operation operation) {
        for (const OperationProfile& kind : profile.operations) {
            if (kind.operation == operation) return kind;
        }
        return OperationProfile();
    };
    dict_->put("key", std::string(100, 'x'));
    dict_->profile_reset();
    EXPECT_TRUE(dict_->profile().operations.empty());
    for (int i = 0; i < 100; ++i) {
        dict_->put("key", std::string(100, 'x'));
        dict_->get("key");
    }
    std::thread([&] { dict_->put("of a thread that has ended", std::string(100, 'x')); }).join();
    static_cast<void>(dict_->try_append("key", std::vector<int>{1}));
    static_cast<void>(dict_->try_pop("nobody"));
    const ClientProfile profile = dict_->profile();
    EXPECT_EQ(profile.threads, 1u);
    EXPECT_EQ(profile.local_reads, 100u);
    const OperationProfile puts = of(profile, Operation::put);
    EXPECT_EQ(puts.count, 101u);
    EXPECT_EQ(puts.errors, 0u);
    EXPECT_EQ(puts.bytes_sent, 10'100u);
    EXPECT_GE(puts.samples, 4u);
    EXPECT_GT(puts.p50.count(), 0);
    EXPECT_LE(puts.p50, puts.p99);
    EXPECT_LE(puts.p99, puts.longest);
    EXPECT_EQ(of(profile, Operation::append).errors, 1u);
    EXPECT_EQ(of(profile, Operation::pop).errors, 0u) << "a missing key is an answer";
}

TEST_F(ViewsTest, SeveralDictionariesAtOnce) {
    Dictionary other = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20, .name = "other"});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 200; ++i) {
                const std::string key = std::to_string(t) + "/" + std::to_string(i);
                dict_->put(key, "shared");
                other.put(key, "other");
                Pending<std::string> first = by_message_->get_async(key);
                Pending<std::string> second = other.get_async(key);
                EXPECT_EQ(second.wait(), "other");
                EXPECT_EQ(first.wait(), "shared");
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(other.size(), 800u);
    dict_->clear();
    EXPECT_EQ(other.size(), 800u);
    EXPECT_EQ(other.name(), "other");
    Dictionary moved = std::move(other);
    EXPECT_EQ(moved.get("0/0"), "other");
    moved.destroy();
    EXPECT_EQ(code_of(moved.try_put("key", 1)), Errc::not_attached);
}

}  // namespace
}  // namespace ddict
