// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How dictionaries begin and end, who is registered with their managers meanwhile, and what errors say.
#include <signal.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

class LifeCycleTest : public SharedDictionaryTest {
  protected:
    /// Registered client threads, by manager.
    static std::vector<std::uint64_t> sessions() {
        std::vector<std::uint64_t> all;
        for (const ManagerStats& stats : dict_->stats())
            all.push_back(stats.sessions);
        return all;
    }
    static std::uint64_t sum(const std::vector<std::uint64_t>& all) {
        std::uint64_t total = 0;
        for (const std::uint64_t one : all)
            total += one;
        return total;
    }
};

// ---- registration ----

TEST_F(LifeCycleTest, AClientConnectsToAManagerWhenItNeedsIt) {
    const auto before = sessions();
    Dictionary other = Dictionary::attach(dict_->serialize(), {.local_reads = false});
    const std::uint64_t attached = sum(sessions()) - sum(before);
    EXPECT_LE(attached, 1u) << "attaching takes one manager at the most";
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        other.put(key_on(manager), 1);
        EXPECT_EQ(sessions()[manager], before[manager] + 1);
        EXPECT_LE(sum(sessions()) - sum(before), manager + 1 + attached);
    }
    other.detach();
    EXPECT_TRUE(eventually(5s, [&] { return sessions() == before; })) << "which others count from";
}

TEST_F(LifeCycleTest, DetachDeregisters) {
    const auto before = sessions();
    Dictionary other = Dictionary::attach(dict_->serialize());
    other.clear();  // at all managers
    std::thread([&] { other.clear(); }).join();
    EXPECT_TRUE(eventually(5s, [&] { return sum(sessions()) == sum(before) + managers; }));
    other.detach();
    EXPECT_TRUE(eventually(5s, [&] { return sessions() == before; }));
    for (int i = 0; i < 5; ++i)
        Dictionary::attach(dict_->serialize()).clear();  // its destructor detaches
    EXPECT_TRUE(eventually(5s, [&] { return sessions() == before; }));
}

/// With large values on their way, whichever way, and with a first hello that nobody has answered yet.
TEST_F(LifeCycleTest, DetachingInTheMiddleOfOperationsDeregisters) {
    const auto before = sessions();
    const std::string handle = dict_->serialize();
    const std::string medium(100'000, 'm');
    dict_->put("medium", medium);
    std::mt19937 random(1);
    for (int i = 0; i < 60; ++i) {
        Dictionary other = Dictionary::attach(handle, {.local_reads = false});
        std::vector<Pending<void>> puts;
        std::vector<Pending<std::string>> gets;
        const auto begin_much = [&] {
            for (int k = 0; k < 5; ++k) {
                puts.push_back(other.put_async(k, std::string_view(medium)));
                puts.push_back(other.put_async("small", std::string_view("small")));
                gets.push_back(other.get_async("medium"));
            }
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
        };
        if (i % 3 == 0) {
            std::thread(begin_much).join();
        } else {
            begin_much();
        }
        other.detach();
        for (auto& put : puts) {
            if (i % 3 == 0) break;  // they are the other thread's
            const Errc code = code_of(put.try_wait());
            EXPECT_TRUE(code == Errc{} || code == Errc::not_attached) << name(code);
        }
    }
    EXPECT_TRUE(eventually(5s, [&] { return sessions() == before; }));
    EXPECT_TRUE(eventually(5s, [] {
        const auto stats = dict_->stats();
        return std::ranges::all_of(stats, [](const ManagerStats& s) { return s.payloads_in_flight == 0; });
    }));
}

/// It hears the goodbye when it goes on.
TEST_F(LifeCycleTest, DetachingFromAManagerThatDoesNotAnswerDeregisters) {
    const auto before = sessions();
    const std::string handle = dict_->serialize();
    const std::string large(1'000'000, 'l');
    const std::string key = key_on(1);
    const ManagerStats silent = dict_->stats()[1];
    const auto used = [] { return dict_->stats()[1].used_bytes; };
    const std::uint64_t used_before = used();
    for (int i = 0; i < 6; ++i) {
        Dictionary other = Dictionary::attach(handle, {.local_reads = false});
        if (i % 2 == 0) other.put(key, 1);  // else it has not said hello to the manager yet, as a rule
        ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
        const View view =
            other.within(i % 3 == 0 ? 50ms : 30'000ms);  // the deadlines come first, or detach()
        std::vector<Pending<void>> puts;
        for (int k = 0; k < 4; ++k)
            puts.push_back(view.put_async(key, std::string_view(large)));
        for (std::size_t k = 0; i % 3 == 0 && k < puts.size(); ++k)
            EXPECT_EQ(code_of(puts[k].try_wait()), Errc::timeout);
        // Over a new connection nothing can be said to a manager that does not run.
        if (i % 3 == 0) kill(silent.pid, SIGCONT);
        other.detach();
        kill(silent.pid, SIGCONT);
        dict_->erase(key);
    }
    EXPECT_TRUE(eventually(5s, [&] { return sessions() == before; }));
    EXPECT_TRUE(eventually(5s,
                           [&] {
                               dict_->erase(key);
                               return used() == used_before && dict_->stats()[1].payloads_in_flight == 0;
                           }))
        << used() << " bytes used, before " << used_before;
}

// ---- the end ----

TEST_F(LifeCycleTest, AnyClientMayEndIt) {
    const auto segments_before = segments();
    Dictionary owner = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20, .name = "mortal"});
    const std::string handle = owner.serialize();
    const Dictionary third = Dictionary::attach(handle);
    owner.put("key", 1);
    EXPECT_EQ(third.get<int>("key"), 1);
    Dictionary other = Dictionary::attach(handle);
    other.destroy();
    EXPECT_EQ(code_of(other.try_put("key", 2)), Errc::not_attached);
    EXPECT_EQ(code_of(other.try_destroy()), Errc::not_attached) << "it has been done";
    EXPECT_EQ(other.serialize(), "");
    for (const View& left : {View(owner), View(third)}) {
        EXPECT_EQ(code_of(left.try_put("key", 2)), Errc::dictionary_gone);
        EXPECT_EQ(code_of(left.try_fetch_add("key")), Errc::dictionary_gone);
        EXPECT_EQ(code_of(left.try_wait_for<int>("nobody")), Errc::dictionary_gone);
        EXPECT_EQ(code_of(left.try_bput("key", 2)), Errc::dictionary_gone);
        EXPECT_EQ(code_of(left.try_size()), Errc::dictionary_gone);
        EXPECT_EQ(code_of(left.try_keys()), Errc::dictionary_gone);
        EXPECT_EQ(left.try_multi_put(std::vector{std::pair("key", 2)})[0].code, Errc::dictionary_gone);
        EXPECT_EQ(code_of(left.put_async("key", 2).try_wait()), Errc::dictionary_gone);
        EXPECT_TRUE(eventually(5s, [&] {
            return code_of(left.try_get<int>("key")) == Errc::dictionary_gone;
        })) << "what lies in this node's memory may be read a moment longer";
        for (const ManagerHealth& manager : left.health())
            EXPECT_FALSE(manager.alive());
        const Error error = left.try_put("key", 2).error();
        EXPECT_FALSE(error.in_doubt) << error.message();
        EXPECT_EQ(error.manager_state, ManagerState::ended) << error.message();
        EXPECT_NE(error.message().find("destroyed"), std::string::npos) << error.message();
        EXPECT_EQ(error.message().find("other managers"), std::string::npos) << error.message();
    }
    std::thread([&] {  // with no connection of its own yet
        EXPECT_EQ(code_of(third.try_put("key", 2)), Errc::dictionary_gone);
    })
        .join();
    const auto late = Dictionary::try_attach(handle);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Errc::dictionary_gone);
    static_cast<void>(owner.try_destroy());
    EXPECT_TRUE(eventually(5s, [&] { return segments() == segments_before; }));
}

TEST_F(LifeCycleTest, NamesThatBeginAlikeHaveNothingInCommon) {
    Dictionary a = Dictionary::create({.total_mem = 8 << 20, .name = "a"});
    Dictionary a_b = Dictionary::create({.total_mem = 8 << 20, .name = "a_b"});
    Dictionary another = Dictionary::create({.total_mem = 8 << 20, .name = "a"});
    EXPECT_EQ(a.name(), "a");
    EXPECT_EQ(Dictionary::attach(a_b.serialize()).name(), "a_b");
    a.put("key", "a");
    a_b.put("key", "a_b");
    another.put("key", "another");
    a.clear();
    a.destroy();
    EXPECT_EQ(a_b.get("key"), "a_b");
    EXPECT_EQ(another.get("key"), "another");
    another.destroy();
    EXPECT_EQ(a_b.get("key"), "a_b");
    a_b.destroy();
}

TEST_F(LifeCycleTest, TimeOutsAreCutToWhatAClockCanHoldAndRefusedIfTheyAreNone) {
    constexpr milliseconds longest = milliseconds::max();
    const Dictionary waiting =
        Dictionary::attach(dict_->serialize(), {.timeout = longest, .attach_timeout = longest});
    waiting.put("key", 1);
    EXPECT_EQ(waiting.wait_for<int>("key"), 1);
    for (const AttachOptions& options : {AttachOptions{.timeout = 0ms}, AttachOptions{.timeout = -1ms},
                                         AttachOptions{.attach_timeout = milliseconds::min()}}) {
        EXPECT_EQ(code_of(Dictionary::try_attach(dict_->serialize(), options)), Errc::invalid_argument);
        EXPECT_EQ(code_of(Dictionary::try_create({.attach = options})), Errc::invalid_argument);
    }
    EXPECT_EQ(code_of(Dictionary::try_create({.launch_timeout = 0ms})), Errc::invalid_argument);
    const std::chrono::duration<double> no_number(std::nan(""));
    EXPECT_EQ(code_of(dict_->within(no_number).try_put("key", 1)), Errc::timeout);
}

TEST_F(LifeCycleTest, AbsurdSizesAreRefusedBeforeAnythingIsStarted) {
    const auto segments_before = segments();
    for (const CreateOptions& options :
         {CreateOptions{.total_mem = UINT64_MAX}, CreateOptions{.total_mem = std::uint64_t{1} << 55},
          CreateOptions{.total_mem = 1}, CreateOptions{.managers_per_node = 100'000},
          CreateOptions{.nodes = 10'000'000}, CreateOptions{.name = std::string(5000, 'n')}}) {
        const auto refused = Dictionary::try_create(options);
        ASSERT_FALSE(refused);
        EXPECT_TRUE(refused.error().code == Errc::invalid_argument || refused.error().code == Errc::no_space)
            << refused.error().message();
        EXPECT_EQ(refused.error().operation, Operation::create) << refused.error().message();
    }
    EXPECT_EQ(segments(), segments_before);
}

/// Nothing that a caller says of sizes may reach a manager as another size.
TEST_F(LifeCycleTest, AbsurdSizesAreTooLarge) {
    const std::array<std::byte, 256> begin{};  // errors show how a key begins
    const auto key = std::as_bytes(std::span("key", 3));
    for (const std::size_t size : {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2, std::size_t{1} << 50}) {
        const std::span<const std::byte> huge(begin.data(), size);
        for (const View& view : {View(*dict_), View(*by_message_), dict_->manager(1)}) {
            EXPECT_EQ(code_of(view.try_contains(huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.put_bytes(key, huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.put_bytes_if(PutCondition::absent, key, huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.swap_bytes(key, huge, key)), Errc::too_large);
            EXPECT_EQ(code_of(view.swap_bytes(key, key, huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.swap_bytes(key, std::nullopt, huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.append_bytes(key, huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.wait_for_value_bytes(key, huge)), Errc::too_large);
            EXPECT_EQ(code_of(view.broadcast_put_bytes(key, huge)), Errc::too_large);
            EXPECT_EQ(code_of(Pending<void>(view.start_put(key, huge, type_bytes)).try_wait()),
                      Errc::too_large);
            const PutItem pair{key, huge};
            EXPECT_EQ(code_of(view.multi_put_bytes(std::span(&pair, 1), {})), Errc::too_large);
            View collecting = view;
            collecting.start_batch_put();
            EXPECT_TRUE(collecting.put_bytes(key, huge));
            const auto report = collecting.try_end_batch_put();
            ASSERT_TRUE(report);
            ASSERT_EQ(report->failures.size(), 1u);
            EXPECT_EQ(report->failures[0].error.code, Errc::too_large);
        }
    }
    EXPECT_EQ(dict_->size(), 0u);
}

// ---- deadlines ----

TEST_F(LifeCycleTest, ADictionaryHasATimeoutOfItsOwn) {
    const auto waits = [](const View& view) {
        const auto start = steady_clock::now();
        EXPECT_EQ(code_of(view.try_wait_for("nobody")), Errc::timeout);
        return steady_clock::now() - start;
    };
    const Dictionary quick = Dictionary::attach(dict_->serialize(), {.timeout = 60ms});
    EXPECT_GE(waits(quick), 55ms);
    EXPECT_LT(waits(quick), 2s);
    EXPECT_GE(waits(quick.within(200ms)), 195ms) << "a view's wins";
    ASSERT_EQ(setenv("DDICT_OPERATION_TIMEOUT", "0.08", 1), 0);
    const Dictionary by_environment = Dictionary::attach(dict_->serialize());
    const Dictionary by_option = Dictionary::attach(dict_->serialize(), {.timeout = 300ms});
    ASSERT_EQ(setenv("DDICT_OPERATION_TIMEOUT", "1e-300", 1), 0);
    const auto shortest = Dictionary::try_attach(dict_->serialize());
    ASSERT_EQ(setenv("DDICT_OPERATION_TIMEOUT", "1e300", 1), 0);
    const auto longest = Dictionary::try_attach(dict_->serialize());
    ASSERT_EQ(setenv("DDICT_OPERATION_TIMEOUT", "soon", 1), 0);
    const auto no_number = Dictionary::try_attach(dict_->serialize());
    unsetenv("DDICT_OPERATION_TIMEOUT");
    EXPECT_GE(waits(by_environment), 75ms);
    EXPECT_LT(waits(by_environment), 2s);
    EXPECT_GE(waits(by_option), 295ms);
    EXPECT_EQ(code_of(no_number), Errc::invalid_argument);
    ASSERT_TRUE(shortest);
    EXPECT_LT(waits(*shortest), 2s);
    ASSERT_TRUE(longest);
    EXPECT_TRUE(longest->try_put("a", 1)) << "longer than any clock counts is for ever";
}

TEST_F(LifeCycleTest, TheEnvironmentSaysHowManyManagersIfTheProgramDoesNot) {
    ASSERT_EQ(setenv("DDICT_MANAGERS_PER_NODE", "3", 1), 0);
    Dictionary three = Dictionary::create({.total_mem = 24 << 20});
    Dictionary two = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20});
    unsetenv("DDICT_MANAGERS_PER_NODE");
    Dictionary one = Dictionary::create({.total_mem = 8 << 20});
    EXPECT_EQ(three.manager_count(), 3u);
    EXPECT_EQ(two.manager_count(), 2u);
    EXPECT_EQ(one.manager_count(), 1u);
    for (Dictionary* created : {&three, &two, &one})
        created->destroy();
}

TEST_F(LifeCycleTest, LocalReadsAreWantedOrNot) {
    for (const auto& [value, code] :
         {std::pair("0", Errc{}), {"1", Errc{}}, {"", Errc{}}, {"maybe", Errc::invalid_argument}}) {
        ASSERT_EQ(setenv("DDICT_LOCAL_READS", value, 1), 0);
        const auto attached = Dictionary::try_attach(dict_->serialize());
        unsetenv("DDICT_LOCAL_READS");
        EXPECT_EQ(code_of(attached), code) << value;
    }
}

// ---- errors ----

/// Of every kind of operation, on a manager that does not answer.
TEST_F(LifeCycleTest, AnErrorSaysWhatWasWaitedForOfWhomAndWhere) {
    const std::string key = key_on(1);
    const ManagerStats silent = dict_->stats()[1];
    const View view = by_message_->within(100ms);
    ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
    const std::map<std::string, Error> errors{
        {"put", view.try_put(key, 1).error()},
        {"get", view.try_get<int>(key).error()},
        {"contains", view.try_contains(key).error()},
        {"type_and_size", view.try_type_and_size(key).error()},
        {"erase", view.try_erase(key).error()},
        {"pop", view.try_pop<int>(key).error()},
        {"compare_and_swap", view.try_compare_and_swap(key, 1, 2).error()},
        {"fetch_add", view.try_fetch_add(key).error()},
        {"append", view.try_append(key, "x").error()},
        {"wait_for", view.try_wait_for<int>(key).error()},
        {"broadcast_put", view.try_bput(key, 1).error()},
        {"broadcast_erase", view.try_berase(key).error()},
    };
    const std::map<std::string, Error> without_key{
        {"size", view.try_size().error()},
        {"clear", view.manager(1).try_clear().error()},
        {"stats", view.try_stats().error()},
        {"scan", view.manager(1).try_keys().error()},
        {"count_prefix", view.try_count_prefix("").error()},
        {"freeze", view.manager(1).try_is_frozen().error()},
    };
    const auto health = view.try_health();
    kill(silent.pid, SIGCONT);
    for (const auto* all : {&errors, &without_key}) {
        for (const auto& [operation, error] : *all) {
            EXPECT_EQ(error.code, Errc::timeout) << operation << ": " << error.message();
            EXPECT_EQ(name(error.operation), operation) << error.message();
            EXPECT_EQ(error.manager, 1u) << error.message();
            EXPECT_EQ(error.node.data(), silent.node) << error.message();
            EXPECT_NE(error.detail[0], '\0') << error.message();
            if (all == &errors) {
                EXPECT_EQ(std::string(error.key.data(), error.key_bytes_shown), key) << error.message();
                EXPECT_EQ(error.message().find(operation + " of key '" + key + "' on manager 1 ("), 0u)
                    << error.message();
            }
        }
    }
    ASSERT_TRUE(health);
    ASSERT_TRUE(health->at(1).error);
    EXPECT_EQ(health->at(1).error->operation, Operation::ping);
    EXPECT_EQ(health->at(1).error->node.data(), silent.node);
}

TEST_F(LifeCycleTest, ARefusalNamesKeyManagerAndNode) {
    const std::string key = key_on(2);
    dict_->put(key, "text");
    dict_->freeze();
    const std::vector<Error> errors{
        dict_->try_put(key, 1).error(),       dict_->try_erase(key).error(),
        dict_->try_pop(key).error(),          dict_->try_append(key, "x").error(),
        dict_->try_fetch_add(key).error(),    dict_->try_put_if_absent(key, 1).error(),
        dict_->try_bput(key, 1).error(),      dict_->try_berase(key).error(),
        dict_->try_get<double>(key).error(),  by_message_->try_get<double>(key).error(),
        dict_->try_wait_for<int>(key).error()};
    dict_->unfreeze();
    const std::string node = dict_->manager_nodes()[2];
    for (const Error& error : errors) {
        EXPECT_TRUE(error.code == Errc::frozen || error.code == Errc::wrong_type) << error.message();
        EXPECT_EQ(error.manager, 2u) << error.message();
        EXPECT_EQ(error.node.data(), node) << error.message();
        EXPECT_EQ(std::string(error.key.data(), error.key_bytes_shown), key) << error.message();
        EXPECT_NE(error.operation, Operation::none) << error.message();
    }
}

// ---- what others got wrong ----

TEST_F(LifeCycleTest, AnErasedValueIsNotSent) {
    dict_->put("key", std::vector<std::uint8_t>(1'000'000));
    dict_->profile_reset();
    EXPECT_TRUE(dict_->erase("key"));
    for (const OperationProfile& operation : dict_->profile().operations)
        EXPECT_EQ(operation.bytes_received, 0u) << name(operation.operation);
}

/// Not in shared memory either, which readers look at without asking the manager.
TEST_F(LifeCycleTest, WhatIsGoneIsGoneForItsRemover) {
    for (int i = 0; i < 3000; ++i) {
        dict_->put("key", i);
        ASSERT_EQ(dict_->pop<int>("key"), i);
        ASSERT_FALSE(dict_->contains("key")) << i;
        dict_->put("key", i);
        ASSERT_TRUE(dict_->erase("key"));
        ASSERT_FALSE(dict_->find<int>("key")) << i;
    }
    dict_->put("key", 1);
    dict_->clear();
    EXPECT_FALSE(dict_->contains("key"));
}

TEST_F(LifeCycleTest, ItemsAndValuesAfterPops) {
    for (int i = 0; i < 3000; ++i)
        dict_->put(i, i);
    for (int i = 0; i < 3000; i += 2)
        EXPECT_EQ(dict_->pop<int>(i), i);
    std::size_t seen = 0;
    for (const auto& [key, value] : dict_->items<int, int>()) {
        EXPECT_EQ(key, value);
        EXPECT_EQ(key % 2, 1);
        ++seen;
    }
    EXPECT_EQ(seen, 1500u);
    EXPECT_EQ(std::ranges::distance(dict_->values<int>()), 1500);
}

TEST_F(LifeCycleTest, IterationsBeginAtTheMainManager) {
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        dict_->put(key_on(manager), 1);
    Cursor cursor = dict_->cursor();
    std::vector<std::uint32_t> visited;
    while (cursor.next().value())
        visited.push_back(cursor.manager());
    ASSERT_EQ(visited.size(), std::size_t{managers});
    for (std::uint32_t i = 0; i < managers; ++i)
        EXPECT_EQ(visited[i], (dict_->main_manager() + i) % managers);
}

TEST_F(LifeCycleTest, TextIsCountedInBytesAndKeysMayBeAnything) {
    const std::string text = "Größe 大きさ";
    dict_->put(text, text);
    EXPECT_EQ(dict_->get(text), text);
    EXPECT_EQ(dict_->get<std::vector<std::byte>>(text).size(), text.size());
    EXPECT_EQ(dict_->append(text, "ß"), text.size() + 2);
    const auto missing = dict_->try_get(std::vector<double>{1, 2});
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().message().find("\\x00"), std::string::npos) << missing.error().message();
    EXPECT_EQ(dict_->try_get(-7).error().code, Errc::not_found);
}

TEST_F(LifeCycleTest, AFullDictionaryStillTakesSmallerValues) {
    Dictionary small = Dictionary::create({.total_mem = 8 << 20});
    int stored = 0;
    while (small.try_put(stored, std::vector<std::byte>(100'000)))
        ++stored;
    EXPECT_EQ(code_of(small.try_put(stored, std::vector<std::byte>(100'000))), Errc::no_space);
    for (int i = 0; i < stored; ++i)
        EXPECT_EQ(code_of(small.try_put(i, std::vector<std::byte>(50'000))), Errc{}) << i;
    EXPECT_EQ(small.get<std::vector<std::byte>>(0).size(), 50'000u);
    small.destroy();
}

}  // namespace
}  // namespace ddict
