// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The operations on one key, and what they refuse.
#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

#include <ddict/array.h>
#include <ddict/ddict.h>
#include <ddict/record.h>

#include "tests/client/shared_dictionary.h"
#include "tests/transport/allocations.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using transport::testing::allocations;

using OperationsTest = SharedDictionaryTest;

TEST_F(OperationsTest, ConditionalPutsStoreOrNot) {
    EXPECT_FALSE(dict_->put_if_present("key", 1));
    EXPECT_FALSE(dict_->contains("key"));
    EXPECT_TRUE(dict_->put_if_absent("key", 1));
    EXPECT_FALSE(dict_->put_if_absent("key", 2));
    EXPECT_EQ(dict_->get<int>("key"), 1);
    EXPECT_TRUE(dict_->put_if_present("key", 3));
    EXPECT_EQ(dict_->get<int>("key"), 3);
    const std::vector<double> large(100'000, 1.5);
    EXPECT_FALSE(dict_->put_if_absent("key", large));
    EXPECT_FALSE(dict_->put_if_present("nobody", large));
    EXPECT_TRUE(dict_->put_if_present("key", large));
    EXPECT_EQ(dict_->get<std::vector<double>>("key"), large);
}

TEST_F(OperationsTest, TypeAndSizeComeWithoutTheValue) {
    const std::vector<double> large(100'000, 1.5);
    for (const std::uint32_t manager : {0u, 1u, 2u}) {
        const std::string key = key_on(manager);
        for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
            EXPECT_FALSE(dict->type_and_size(key));
            dict->put(key, large);
            dict->profile_reset();
            const auto info = dict->type_and_size(key);
            ASSERT_TRUE(info);
            EXPECT_EQ(info->type, Codec<std::vector<double>>::type);
            EXPECT_EQ(info->bytes, 800'000u);
            const ClientProfile profile = dict->profile();
            EXPECT_EQ(profile.local_reads, dict == dict_.get() ? 1u : 0u);
            for (const OperationProfile& operation : profile.operations)
                EXPECT_EQ(operation.bytes_received, 0u) << name(operation.operation);
            dict->put(key, "");
            EXPECT_EQ(dict->type_and_size(key)->type, type_text);
            EXPECT_EQ(dict->type_and_size(key)->bytes, 0u);
            dict->erase(key);
        }
    }
    const auto refused = dict_->try_type_and_size("");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    EXPECT_EQ(refused.error().operation, Operation::type_and_size);
    EXPECT_EQ(code_of(View().try_type_and_size("key")), Errc::not_attached);
}

TEST_F(OperationsTest, PopReturnsWhatItRemoves) {
    EXPECT_FALSE(dict_->pop("key"));
    dict_->put("key", "value");
    EXPECT_EQ(dict_->pop("key"), "value");
    EXPECT_FALSE(dict_->contains("key"));
    const std::vector<int> large(1'000'000, 7);
    dict_->put("large", large);
    EXPECT_EQ(dict_->pop<std::vector<int>>("large"), large);
    dict_->put("empty", "");
    EXPECT_EQ(dict_->pop("empty"), "");
    EXPECT_EQ(dict_->size(), 0u);
}

TEST_F(OperationsTest, PopAsAnotherTypeLosesNothing) {
    dict_->put("key", std::vector<float>{1, 2, 3});
    const auto popped = dict_->try_pop<std::vector<int>>("key");
    ASSERT_FALSE(popped.has_value());
    EXPECT_EQ(popped.error().code, Errc::wrong_type);
    EXPECT_EQ(popped.error().operation, Operation::pop);
    EXPECT_EQ(dict_->get<std::vector<float>>("key").size(), 3u);
    dict_->put("empty", std::vector<float>{});
    EXPECT_EQ(code_of(dict_->try_pop<std::vector<int>>("empty")), Errc::wrong_type);
    EXPECT_TRUE(dict_->contains("empty"));
}

/// Types whose codecs judge a value only when all of it is there.
TEST_F(OperationsTest, PopOfWhatCannotBeDecodedLosesNothing) {
    using Names = std::vector<std::string>;
    const Names names{"ann", "bob"};
    dict_->put("key", names);
    EXPECT_EQ(code_of(dict_->try_pop<std::vector<Names>>("key")), Errc::wrong_type);
    EXPECT_EQ(code_of(dict_->try_pop<std::vector<int>>("key")), Errc::wrong_type);
    EXPECT_EQ(dict_->get<Names>("key"), names);
    dict_->put("map", std::map<std::string, int>{{"ann", 1}});
    const auto other_map = dict_->try_pop<std::map<int, int>>("map");
    ASSERT_FALSE(other_map.has_value());
    EXPECT_EQ(other_map.error().code, Errc::wrong_type);
    EXPECT_EQ(other_map.error().operation, Operation::pop);
    EXPECT_NE(other_map.error().message().find("map"), std::string::npos);
    EXPECT_EQ((dict_->get<std::map<std::string, int>>("map").at("ann")), 1);
    const std::string_view no_array = "neither shape nor elements, but long enough";
    ASSERT_TRUE(dict_->put_bytes(Codec<std::string>::view("array"), std::as_bytes(std::span(no_array)),
                                 Codec<Array<double>>::type));
    EXPECT_EQ(code_of(dict_->try_pop<Array<double>>("array")), Errc::wrong_type);
    EXPECT_TRUE(dict_->contains("array"));
    // And those that can be decoded come whole.
    EXPECT_EQ(dict_->pop<Names>("key"), names);
    EXPECT_FALSE(dict_->pop<Names>("key"));
    dict_->put("table", Array<double>({2, 3}));
    EXPECT_EQ(dict_->pop<Array<double>>("table")->shape().size(), 6u);
}

struct Unreadable {
    int number = 0;
};

}  // namespace

template <>
struct Codec<Unreadable> {
    static constexpr std::uint16_t type = user_type(99);
    static std::vector<std::byte> encode(const Unreadable&) { return std::vector<std::byte>(3); }
    static Result<Unreadable> decode(std::span<const std::byte>) { throw std::runtime_error("unreadable"); }
};

namespace {

TEST_F(OperationsTest, PopWhoseCodecThrowsLosesNothing) {
    dict_->put("key", Unreadable());
    EXPECT_THROW(static_cast<void>(dict_->try_pop<Unreadable>("key")), std::runtime_error);
    EXPECT_TRUE(dict_->contains("key"));
}

TEST_F(OperationsTest, CompareAndSwap) {
    EXPECT_FALSE(dict_->compare_and_swap("key", "old", "new"));
    EXPECT_FALSE(dict_->contains("key"));
    EXPECT_TRUE(dict_->compare_and_swap("key", std::nullopt, "old"));
    EXPECT_FALSE(dict_->compare_and_swap("key", std::nullopt, "other"));
    EXPECT_FALSE(dict_->compare_and_swap("key", "ol", "new"));
    EXPECT_TRUE(dict_->compare_and_swap("key", "old", "new"));
    EXPECT_EQ(dict_->get("key"), "new");
    EXPECT_FALSE(dict_->compare_and_swap("key", "old", std::nullopt));
    EXPECT_TRUE(dict_->compare_and_swap("key", "new", std::nullopt));
    EXPECT_FALSE(dict_->contains("key"));
    EXPECT_TRUE(dict_->compare_and_swap("key", std::nullopt, std::nullopt));
    EXPECT_TRUE(dict_->compare_and_swap("key", std::optional<int>(), std::optional<int>(4)));
    EXPECT_TRUE(dict_->compare_and_swap("key", 4, 5));
    EXPECT_FALSE(dict_->compare_and_swap("key", std::nullopt, std::nullopt));
    EXPECT_FALSE(dict_->compare_and_swap("key", 5u, 6u)) << "a value of another type is another value";
}

TEST_F(OperationsTest, CompareAndSwapOfLargeValues) {
    const std::vector<std::uint8_t> one(500'000, 1), two(500'000, 2), too_large(1 << 20, 3);
    dict_->put("key", one);
    EXPECT_TRUE(dict_->compare_and_swap("key", one, two));
    EXPECT_FALSE(dict_->compare_and_swap("key", one, two));
    EXPECT_EQ(dict_->get<std::vector<std::uint8_t>>("key"), two);
    const auto refused = dict_->try_compare_and_swap("key", two, too_large);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::too_large);
    EXPECT_EQ(refused.error().need_bytes, two.size() + too_large.size());
}

TEST_F(OperationsTest, GetIntoDoesNotAllocate) {
    const ddict_key key = ddict_text_key("key");
    for (const std::size_t count : {10ul, 100'000ul}) {
        std::vector<double> buffer(count, 1.5);
        const std::span<double> span(buffer);
        dict_->put("key", buffer);
        for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
            for (int i = 0; i < 20; ++i)  // memory that is kept from one call to the next
                dict->get_into("key", span);
            const std::uint64_t before = allocations();
            for (int i = 0; i < 20; ++i)
                dict->get_into("key", span);
            EXPECT_EQ(allocations(), before);
            static_cast<void>(dict->get<std::vector<double>>("key"));
            EXPECT_GT(allocations(), before) << "they are not counted";
        }
        for (const bool by_messages_only : {false, true}) {
            ddict_attach_options options{};
            options.by_messages_only = by_messages_only;
            ddict_dictionary* dict = nullptr;
            ASSERT_EQ(ddict_attach(dict_->serialize().c_str(), &options, &dict, nullptr), DDICT_OK);
            ddict_value value;
            const auto get = [&] {
                EXPECT_EQ(ddict_get_into(dict, key, DDICT_VECTOR(DDICT_FLOAT64), buffer.data(),
                                         count * sizeof(double), &value, nullptr),
                          DDICT_OK);
            };
            for (int i = 0; i < 20; ++i)
                get();
            const std::uint64_t before = allocations();
            for (int i = 0; i < 20; ++i)
                get();
            EXPECT_EQ(allocations(), before);
            ddict_detach(dict);
        }
    }
}

TEST_F(OperationsTest, CompareAndSwapIsAtomicAmongThreads) {
    constexpr int threads = 4, rounds = 200;
    dict_->put("sum", 0);
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t) {
        running.emplace_back([] {
            for (int i = 0; i < rounds; ++i) {
                for (int now = dict_->get<int>("sum"); !dict_->compare_and_swap("sum", now, now + 1);)
                    now = dict_->get<int>("sum");
            }
        });
    }
    for (std::thread& thread : running)
        thread.join();
    EXPECT_EQ(dict_->get<int>("sum"), threads * rounds);
}

TEST_F(OperationsTest, FetchAddCounts) {
    EXPECT_EQ(dict_->fetch_add("counter"), 0);
    EXPECT_EQ(dict_->fetch_add("counter", 41), 1);
    EXPECT_EQ(dict_->get<std::int64_t>("counter"), 42);
    EXPECT_EQ(dict_->fetch_add("counter", -50), 42);
    EXPECT_EQ(dict_->get<std::int64_t>("counter"), -8);
    EXPECT_EQ(dict_->fetch_add("begun", 1, 100), 100);
    EXPECT_EQ(dict_->fetch_add("begun", 1, 100), 101);
    constexpr std::int64_t beyond_32_bits = 1ll << 40;
    EXPECT_EQ(dict_->fetch_add("begun", beyond_32_bits), 102);
    EXPECT_EQ(dict_->get<std::int64_t>("begun"), 102 + beyond_32_bits);
    EXPECT_EQ(dict_->fetch_add<double>("fraction", 0.25, 0.5), 0.5);
    EXPECT_EQ(dict_->get<double>("fraction"), 0.75);
    EXPECT_EQ(dict_->fetch_add<std::uint64_t>("unsigned", 1, std::numeric_limits<std::uint64_t>::max()),
              std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(dict_->get<std::uint64_t>("unsigned"), 0u);
}

TEST_F(OperationsTest, FetchAddOnWhatIsNoNumberIsRefused) {
    dict_->put("text", "12345678");
    const auto refused = dict_->try_fetch_add("text", 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::wrong_type);
    EXPECT_EQ(refused.error().operation, Operation::fetch_add);
    EXPECT_NE(refused.error().message().find("'text' on manager"), std::string::npos);
    dict_->put("double", 1.0);
    EXPECT_EQ(code_of(dict_->try_fetch_add("double", 1)), Errc::wrong_type);
    EXPECT_EQ(dict_->get<double>("double"), 1.0);
}

TEST_F(OperationsTest, AppendGrowsValues) {
    EXPECT_EQ(dict_->append("log", "one "), 4u);
    EXPECT_EQ(dict_->append("log", "two"), 7u);
    EXPECT_EQ(dict_->get("log"), "one two");
    EXPECT_EQ(dict_->append("numbers", std::vector<int>{1, 2}), 8u);
    EXPECT_EQ(dict_->append("numbers", std::vector<int>(100'000, 3)), 400'008u);
    EXPECT_EQ(dict_->get<std::vector<int>>("numbers").size(), 100'002u);
    EXPECT_EQ(code_of(dict_->try_append("numbers", std::vector<float>{1})), Errc::wrong_type);
    // What begins with its extents, or has one size only, cannot grow at its end.
    for (const std::uint16_t type : {type_scalar, type_array, type_list, type_record, type_map}) {
        EXPECT_EQ(code_of(dict_->append_bytes(Codec<std::string_view>::view("new"), {}, type)),
                  Errc::wrong_type)
            << type_in_words(type);
    }
    EXPECT_FALSE(dict_->contains("new"));
    EXPECT_EQ(code_of(dict_->try_append("log", std::string((1 << 20) + 1, 'x'))), Errc::too_large);
}

TEST_F(OperationsTest, AMissDoesNotAllocate) {
    static_assert(sizeof(Result<int>) <= sizeof(int) + 2 * sizeof(void*));
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        const auto miss = [&] {
            EXPECT_FALSE(dict->find<int>("nobody"));
            EXPECT_EQ(dict->get_or("nobody", 7), 7);
            const Result<int> got = dict->try_get<int>("nobody");
            const Result<int> copied = got;
            EXPECT_EQ(copied.error().code, Errc::not_found);
        };
        for (int i = 0; i < 20; ++i)  // the memory of errors, and what a session keeps
            miss();
        const std::uint64_t before = allocations();
        for (int i = 0; i < 20; ++i)
            miss();
        EXPECT_EQ(allocations(), before);
    }
}

TEST_F(OperationsTest, PopAndWaitIntoTheCallersMemory) {
    std::vector<double> buffer(4);
    const std::vector<double> three{1, 2, 3};
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        dict->put("key", three);
        EXPECT_EQ(dict->wait_for_into("key", std::span(buffer)), 3u);
        EXPECT_EQ(dict->pop_into("key", std::span(buffer)), 3u);
        EXPECT_EQ(dict->pop_into("key", std::span(buffer)), std::nullopt);
        dict->put("key", three);
        const auto small = dict->try_pop_into("key", std::span(buffer).first(2));
        EXPECT_EQ(code_of(small), Errc::invalid_argument);
        EXPECT_EQ(dict->get<std::vector<double>>("key"), three) << "it is put back";
        std::vector<double> values;
        dict->wait_for_into("key", values);
        EXPECT_EQ(values, three);
        EXPECT_TRUE(dict->pop_into("key", values));
        EXPECT_FALSE(dict->pop_into("key", values));
        Array<double> array({2, 2});
        dict->put("array", array);
        Array<double> into;
        EXPECT_TRUE(dict->pop_into("array", into));
        EXPECT_EQ(into.shape(), array.shape());
        // What is found wrong only when it has come.
        dict->put_bytes(std::as_bytes(std::span("bad", 3)), {}, Codec<Array<double>>::type).value();
        EXPECT_EQ(code_of(dict->try_pop_into("bad", into)), Errc::wrong_type);
        EXPECT_TRUE(dict->contains("bad"));
        std::int8_t narrow = 0;
        dict->put("number", 300);
        EXPECT_EQ(code_of(dict->try_pop_into("number", narrow)), Errc::wrong_type);
        EXPECT_EQ(dict->get<int>("number"), 300);
        dict->put("number", 30);
        dict->wait_for_into("number", narrow);
        EXPECT_EQ(narrow, 30);
        EXPECT_TRUE(dict->pop_into("number", narrow));
        const auto late = dict->within(std::chrono::milliseconds(5)).try_wait_for_into("nobody", narrow);
        EXPECT_EQ(code_of(late), Errc::timeout);
        dict->clear();
    }
}

TEST_F(OperationsTest, KeysInBraces) {
    dict_->put("a", 1);
    dict_->put(2, 2);
    EXPECT_EQ(dict_->multi_get<int>({"a", "b"}), (std::vector<std::optional<int>>{1, std::nullopt}));
    EXPECT_EQ(dict_->try_multi_get<int>({"b"})[0].code(), Errc::not_found);
    const auto either = dict_->wait_for_any<int>({"b", "a"});
    EXPECT_EQ(either.index, 1u);
    EXPECT_EQ(either.value, 1);
    EXPECT_TRUE(dict_->try_wait_for_any<int>({"a"}));
    EXPECT_EQ(dict_->multi_get<int>({"a", 2, 2.0})[1], 2) << "of several types";
    EXPECT_EQ(dict_->multi_erase({"a", "b", 2}), 2u);
    EXPECT_EQ(dict_->try_multi_erase({"a"})[0].code, Errc::not_found);
    EXPECT_TRUE(dict_->multi_get<int>({}).empty());
}

TEST_F(OperationsTest, TheHandleByBothNames) {
    EXPECT_EQ(dict_->handle(), dict_->serialize());
    EXPECT_EQ(Dictionary::attach(dict_->handle()).size(), dict_->size());
}

TEST_F(OperationsTest, GetIntoTheCallersMemory) {
    std::vector<double> buffer(4);
    dict_->put("key", std::vector<double>{1, 2, 3});
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        EXPECT_EQ(dict->get_into("key", std::span(buffer)), 3u);
        EXPECT_EQ(buffer, (std::vector<double>{1, 2, 3, 0}));
        const auto small = dict->try_get_into("key", std::span(buffer).first(2));
        ASSERT_FALSE(small);
        EXPECT_EQ(small.error().code, Errc::invalid_argument);
        EXPECT_EQ(small.error().need_bytes, 24u);
        EXPECT_EQ(small.error().have_bytes, 16u);
        EXPECT_NE(small.error().message().find("get of key 'key' on manager"), std::string::npos)
            << small.error().message();
        std::vector<int> integers(6);
        EXPECT_EQ(code_of(dict->try_get_into("key", std::span(integers))), Errc::wrong_type);
        EXPECT_EQ(code_of(dict->try_get_into("nobody", std::span(buffer))), Errc::not_found);
        const std::vector<double> large(1'000'000, 2.5);
        dict->put("large", large);
        EXPECT_EQ(dict->try_get_into("large", std::span(buffer)).error().need_bytes, 8'000'000u);
        std::vector<double> enough(1'000'000);
        EXPECT_EQ(dict->get_into("large", std::span(enough)), 1'000'000u);
        EXPECT_EQ(enough, large);
    }
}

TEST_F(OperationsTest, AMissAndAWrongTypeNameEverythingByMessageAndHere) {
    dict_->put("text", "x");
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        const auto missing = dict->try_get("nobody");
        ASSERT_FALSE(missing);
        EXPECT_EQ(missing.error().code, Errc::not_found);
        EXPECT_EQ(missing.error().manager, dict->which_manager("nobody"));
        EXPECT_EQ(missing.error().node.data(), dict->manager_nodes().at(missing.error().manager));
        const auto wrong = dict->try_get<double>("text");
        ASSERT_FALSE(wrong);
        EXPECT_EQ(wrong.error().code, Errc::wrong_type);
        EXPECT_EQ(wrong.error().manager, dict->which_manager("text"));
        EXPECT_NE(wrong.error().message().find("float64"), std::string::npos) << wrong.error().message();
    }
}

// ---- waiting ----

TEST_F(OperationsTest, WaitForReturnsAtOnceWhatIsThere) {
    dict_->put("key", "value");
    EXPECT_EQ(dict_->wait_for("key"), "value");
    dict_->wait_for_value("key", "value");
    dict_->put("empty", "");
    EXPECT_EQ(dict_->wait_for("empty"), "");
}

TEST_F(OperationsTest, WaitForWaitsUntilTheKeyAppears) {
    for (const std::size_t size : {5ul, 100'000ul}) {
        const std::string key = "key " + std::to_string(size);
        const std::string value(size, 'v');
        std::vector<std::thread> waiters;
        std::atomic<int> right = 0;
        for (int t = 0; t < 4; ++t) {
            waiters.emplace_back([&] {
                if (dict_->wait_for(key) == value) ++right;
            });
        }
        const std::uint32_t owner = dict_->which_manager(key);
        EXPECT_TRUE(eventually(5s, [&] { return dict_->try_stats(owner)->waiting == 4; }));
        dict_->put(key, value);
        for (std::thread& waiter : waiters)
            waiter.join();
        EXPECT_EQ(right, 4);
    }
}

TEST_F(OperationsTest, WaitForValueWhateverValuesCameBefore) {
    std::thread waiter([] { dict_->wait_for_value("key", 3); });
    const std::uint32_t owner = dict_->which_manager("key");
    EXPECT_TRUE(eventually(5s, [&] { return dict_->try_stats(owner)->waiting == 1; }));
    dict_->put("key", 1);
    dict_->put("key", 2);
    EXPECT_EQ(dict_->try_stats(owner)->waiting, 1u);
    dict_->erase("key");
    EXPECT_EQ(dict_->fetch_add("other"), 0);
    dict_->put("key", 3);
    waiter.join();
}

TEST_F(OperationsTest, WaitForIsWokenByEveryKindOfWrite) {
    const auto woken_by = [](const std::string& key, auto write) {
        std::thread waiter(
            [&] { EXPECT_TRUE(dict_->within(10s).try_wait_for<std::vector<std::byte>>(key)); });
        const std::uint32_t owner = dict_->which_manager(key);
        EXPECT_TRUE(eventually(5s, [&] { return dict_->try_stats(owner)->waiting == 1; }));
        write(key);
        waiter.join();
    };
    woken_by("a", [](const std::string& key) { dict_->put_if_absent(key, 1); });
    woken_by("b", [](const std::string& key) { dict_->fetch_add(key); });
    woken_by("c", [](const std::string& key) { dict_->append(key, "x"); });
    woken_by("d", [](const std::string& key) { dict_->compare_and_swap(key, std::nullopt, "x"); });
    woken_by("e", [](const std::string& key) { dict_->multi_put(std::vector{std::pair(key, 1)}); });
}

TEST_F(OperationsTest, WaitForEndsAtItsDeadlineAndLeavesNoTrace) {
    const auto start = steady_clock::now();
    const auto waited = dict_->within(100ms).try_wait_for("key");
    EXPECT_GE(steady_clock::now() - start, 95ms);
    EXPECT_LT(steady_clock::now() - start, 2s);
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, Errc::timeout);
    EXPECT_EQ(waited.error().operation, Operation::wait_for);
    EXPECT_NE(waited.error().message().find("the key did not appear in time"), std::string::npos)
        << waited.error().message();
    dict_->put("key", 1);
    EXPECT_EQ(code_of(dict_->within(50ms).try_wait_for_value("key", 2)), Errc::timeout);
    const std::uint32_t owner = dict_->which_manager("key");
    EXPECT_TRUE(eventually(5s, [&] { return dict_->try_stats(owner)->waiting == 0; }));
    dict_->put("key", 2);
    EXPECT_EQ(dict_->get<int>("key"), 2);
}

TEST_F(OperationsTest, AWaitForAValueOfAnotherTypeSaysWhatIsThere) {
    dict_->put("key", "5");
    const auto waited = dict_->within(50ms).try_wait_for_value("key", 5);
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, Errc::timeout);
    const std::string message = waited.error().message();
    EXPECT_NE(message.find("it has one of type text, not int32"), std::string::npos) << message;
    EXPECT_EQ(message.find("wait for longer"), std::string::npos) << message;
    const std::string other = dict_->within(50ms).try_wait_for_value("key", "6").error().message();
    EXPECT_NE(other.find("it has another one; its manager answers: wait for longer"), std::string::npos)
        << other;
}

// ---- deadlines ----

TEST_F(OperationsTest, ADeadlineOfZeroOrInThePastEndsAtOnceAndSendsNothing) {
    dict_->put("key", 1);
    const std::uint32_t owner = dict_->which_manager("key");
    const std::uint64_t puts = dict_->try_stats(owner)->puts;
    for (const View& view : {dict_->within(0ms), dict_->within(-5s), dict_->until(steady_clock::now() - 1s),
                             dict_->within(1h).until(steady_clock::time_point::min())}) {
        const auto put = view.try_put("key", 2);
        ASSERT_FALSE(put);
        EXPECT_EQ(put.error().code, Errc::timeout);
        EXPECT_EQ(put.error().manager, owner);
        EXPECT_NE(put.error().message().find("before anything was sent"), std::string::npos);
        EXPECT_EQ(code_of(view.try_get<int>("key")), Errc::timeout);
        EXPECT_EQ(code_of(view.try_contains("key")), Errc::timeout);
        EXPECT_EQ(code_of(view.try_pop<int>("key")), Errc::timeout);
        EXPECT_EQ(code_of(view.try_wait_for<int>("key")), Errc::timeout);
        EXPECT_EQ(code_of(view.try_size()), Errc::timeout);
        EXPECT_EQ(code_of(view.try_keys()), Errc::timeout);
        EXPECT_EQ(view.try_multi_get<int>(std::vector<std::string>{"key"})[0].code(), Errc::timeout);
        EXPECT_EQ(view.try_multi_put(std::vector{std::pair("key", 2)})[0].code, Errc::timeout);
        EXPECT_EQ(code_of(view.put_async("key", 2).try_wait()), Errc::timeout);
    }
    EXPECT_EQ(dict_->try_stats(owner)->puts, puts);
    EXPECT_EQ(dict_->get<int>("key"), 1);
    EXPECT_EQ(dict_->within(std::chrono::hours::max()).get<int>("key"), 1);
}

TEST_F(OperationsTest, BadKeysAreRefusedByEveryOperation) {
    const std::string empty, long_key(1025, 'k');
    for (const auto& [key, code] :
         {std::pair(empty, Errc::invalid_argument), std::pair(long_key, Errc::too_large)}) {
        EXPECT_EQ(code_of(dict_->try_put(key, 1)), code);
        EXPECT_EQ(code_of(dict_->try_get<int>(key)), code);
        EXPECT_EQ(code_of(dict_->try_contains(key)), code);
        EXPECT_EQ(code_of(dict_->try_erase(key)), code);
        EXPECT_EQ(code_of(dict_->try_pop(key)), code);
        EXPECT_EQ(code_of(dict_->try_put_if_absent(key, 1)), code);
        EXPECT_EQ(code_of(dict_->try_compare_and_swap(key, 1, 2)), code);
        EXPECT_EQ(code_of(dict_->try_fetch_add(key)), code);
        EXPECT_EQ(code_of(dict_->try_append(key, "x")), code);
        EXPECT_EQ(code_of(dict_->try_wait_for(key)), code);
        EXPECT_EQ(code_of(dict_->try_wait_for_value(key, 1)), code);
        EXPECT_EQ(code_of(dict_->try_bput(key, 1)), code);
        EXPECT_EQ(code_of(dict_->try_bget(key)), code);
        EXPECT_EQ(code_of(dict_->try_berase(key)), code);
        EXPECT_EQ(code_of(dict_->put_async(key, 1).try_wait()), code);
        EXPECT_EQ(dict_->try_multi_get<int>(std::vector{key})[0].code(), code);
        EXPECT_EQ(dict_->try_multi_erase(std::vector{key})[0].code, code);
    }
    EXPECT_EQ(dict_->size(), 0u);
}

}  // namespace
}  // namespace ddict
