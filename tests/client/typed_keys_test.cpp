// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys of all types, as C++ programs put them and read them back.
#include <ddict/record.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <ranges>
#include <set>
#include <unordered_set>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

enum class Colour : std::uint8_t { red = 7 };

class TypedKeysTest : public SharedDictionaryTest {};

TEST_F(TypedKeysTest, AnIntegerIsOneKeyWhateverItsWidth) {
    dict_->put(42, "the answer");
    for (const View& view : {View(*dict_), View(*by_message_)}) {
        EXPECT_EQ(view.get(42L), "the answer");
        EXPECT_EQ(view.get(std::int8_t{42}), "the answer");
        EXPECT_EQ(view.get(std::uint16_t{42}), "the answer");
        EXPECT_EQ(view.get(42ULL), "the answer");
        EXPECT_EQ(view.get('*'), "the answer") << "a char is an integer";
        EXPECT_FALSE(view.contains("42"));
        EXPECT_FALSE(view.contains("*"));
        EXPECT_FALSE(view.contains(42.0));
        EXPECT_EQ(view.which_manager(42), view.which_manager(std::uint64_t{42}));
    }
    dict_->put(Colour::red, "seven");
    EXPECT_EQ(dict_->get(7), "seven");
    dict_->put(-1, "negative");
    EXPECT_EQ(dict_->get(std::int8_t{-1}), "negative");
    EXPECT_FALSE(dict_->contains(std::numeric_limits<std::uint64_t>::max())) << "the same bits";
    dict_->put(std::numeric_limits<std::uint64_t>::max(), "huge");
    EXPECT_EQ(dict_->get(-1), "negative");
    EXPECT_EQ(dict_->size(), 4u);
}

TEST_F(TypedKeysTest, AFloatIsOneKeyWhateverItsWidth) {
    dict_->put(0.5, 1);
    EXPECT_EQ(dict_->get<int>(0.5F), 1);
    dict_->put(0.0, 2);
    EXPECT_EQ(dict_->get<int>(-0.0), 2);
    dict_->put(std::nan("1"), 3);
    EXPECT_EQ(dict_->get<int>(-std::numeric_limits<float>::quiet_NaN()), 3);
    EXPECT_FALSE(dict_->contains(0)) << "an integer";
    EXPECT_EQ(dict_->size(), 3u);
}

TEST_F(TypedKeysTest, EqualBytesOfOtherTypesAreOtherKeys) {
    const std::vector<std::byte> bytes{std::byte{'*'}};
    const std::vector<std::uint8_t> numbers{'*'};
    dict_->put("*", "text");
    dict_->put(bytes, "bytes");
    dict_->put(numbers, "numbers");
    dict_->put(true, "bool");
    EXPECT_EQ(dict_->size(), 4u);
    EXPECT_EQ(dict_->get("*"), "text");
    EXPECT_EQ(dict_->get(bytes), "bytes");
    EXPECT_EQ(dict_->get(numbers), "numbers");
    EXPECT_TRUE(dict_->erase(numbers));
    EXPECT_EQ(dict_->get("*"), "text");
    EXPECT_EQ(dict_->get(true), "bool");
}

TEST_F(TypedKeysTest, MixedKeysAreReadBackAsWhatTheyWere) {
    using Pair = std::pair<std::string, int>;
    dict_->put("text", 0);
    dict_->put(1, 1);
    dict_->put(std::numeric_limits<std::uint64_t>::max(), 2);
    dict_->put(2.5, 3);
    dict_->put(true, 4);
    dict_->put(Pair("x", 7), 5);
    std::map<int, AnyKey> found;
    for (const auto& [key, value] : dict_->items<AnyKey, int>())
        found.emplace(value, key);
    ASSERT_EQ(found.size(), 6u);
    EXPECT_EQ(found.at(0).as<std::string>(), "text");
    EXPECT_EQ(found.at(1).as<short>(), 1);
    EXPECT_EQ(found.at(2).as<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_FALSE(found.at(2).is<std::int64_t>());
    EXPECT_EQ(found.at(3).as<double>(), 2.5);
    EXPECT_EQ(found.at(4).as<bool>(), true);
    EXPECT_EQ(found.at(5).as<Pair>(), Pair("x", 7));
    EXPECT_FALSE(found.at(1).is<std::string>());
    EXPECT_FALSE(found.at(0).is<int>());
    EXPECT_EQ(found.at(0).in_words(), "'text'");
    EXPECT_EQ(found.at(1).in_words(), "1");
    EXPECT_EQ(found.at(3).in_words(), "2.5");
    EXPECT_EQ(code_of(found.at(1).try_as<std::string>()), Errc::wrong_type);

    const std::vector<AnyKey> keys = dict_->try_keys<AnyKey>().value();
    EXPECT_EQ(std::set<AnyKey>(keys.begin(), keys.end()).size(), 6u);
    EXPECT_EQ(std::unordered_set<AnyKey>(keys.begin(), keys.end()).size(), 6u);
    EXPECT_EQ(dict_->multi_get<int>(keys).size(), 6u);
    for (const AnyKey& key : keys)
        EXPECT_TRUE(dict_->erase(key)) << key.in_words();
    EXPECT_EQ(dict_->size(), 0u);
}

TEST_F(TypedKeysTest, KeysOfAnotherTypeAreNotLeftOutInSilence) {
    dict_->put("text", 1);
    dict_->put(300, 1);
    EXPECT_EQ(code_of(dict_->try_keys()), Errc::wrong_type);
    EXPECT_EQ(code_of(dict_->try_keys<int>()), Errc::wrong_type);
    EXPECT_THROW(for (const auto& key : dict_->keys<int>()) static_cast<void>(key), Exception);
    dict_->erase("text");
    EXPECT_EQ(dict_->try_keys<int>().value(), std::vector{300});
    const auto narrow = dict_->try_keys<std::int8_t>();
    ASSERT_FALSE(narrow);
    EXPECT_EQ(narrow.error().code, Errc::wrong_type);
    EXPECT_NE(narrow.error().message().find("300"), std::string::npos) << narrow.error().message();
    EXPECT_NE(narrow.error().message().find("int8"), std::string::npos) << narrow.error().message();
}

TEST_F(TypedKeysTest, IterationsOverOneType) {
    for (int i = 0; i < 300; ++i) {
        dict_->put(i, i);
        dict_->put("key/" + std::to_string(i), i);
    }
    dict_->put(1.5, 1);
    std::set<int> numbers;
    Cursor integers = dict_->cursor({.type = key_type_int64});
    while (integers.next().value())
        numbers.insert(integers.key_as<int>().value());
    EXPECT_EQ(numbers.size(), 300u);
    EXPECT_EQ(std::ranges::distance(dict_->keys("key/")), 300) << "a prefix is of texts";
    Cursor floats = dict_->cursor({.values = true, .type = key_type_float64});
    ASSERT_TRUE(floats.next().value());
    EXPECT_EQ(floats.key_as<double>().value(), 1.5);
    EXPECT_EQ(floats.value_as<int>().value(), 1);
    EXPECT_FALSE(floats.next().value());
}

TEST_F(TypedKeysTest, EveryKindOfCallTakesThem) {
    const View& view = *dict_;
    EXPECT_TRUE(view.put_if_absent(1, 10));
    EXPECT_FALSE(view.put_if_absent(1L, 11));
    EXPECT_TRUE(view.put_if_present(1U, 12));
    EXPECT_TRUE(view.compare_and_swap(1, 12, 13));
    EXPECT_EQ(view.pop<int>(std::int16_t{1}), 13);
    view.put(1, std::int64_t{5});
    EXPECT_EQ(view.fetch_add(1L, std::int64_t{2}), 5);
    view.append(2, "ab");
    EXPECT_EQ(view.append(2ULL, "c"), 3u);
    EXPECT_EQ(view.wait_for(2), "abc");
    view.bput(3, "everywhere");
    EXPECT_EQ(view.bget(3L), "everywhere");
    EXPECT_TRUE(view.berase(3));
    view.put_async(4, "later").wait();
    EXPECT_EQ(view.get_async(4L).wait(), "later");
    EXPECT_TRUE(view.erase_async(4).wait());
    view.multi_put(std::vector<std::pair<int, int>>{{5, 50}, {6, 60}});
    EXPECT_EQ(view.get<int>(5L), 50);
    EXPECT_EQ(view.multi_erase(std::vector<std::int64_t>{5, 6, 7}), 2u);
    EXPECT_EQ(view.manager(1).try_put(8, 1).has_value(), true);
    EXPECT_TRUE(view.manager(1).contains(8L));
    View collecting = view;
    collecting.start_batch_put();
    collecting.put(9, 90);
    collecting.end_batch_put();
    EXPECT_EQ(view.get<int>(9L), 90);
}

TEST_F(TypedKeysTest, ErrorsNameThemAsWhatTheyAre) {
    EXPECT_EQ(dict_->try_get(-7).error().message().find("get of key -7 on manager"), 0u)
        << dict_->try_get(-7).error().message();
    EXPECT_EQ(dict_->try_get(2.0).error().message().find("get of key 2.0 on manager"), 0u)
        << dict_->try_get(2.0).error().message();
    EXPECT_EQ(code_of(dict_->try_put(AnyKey(), 1)), Errc::invalid_argument) << "no key";
}

TEST_F(TypedKeysTest, APlacementSeesTheType) {
    const View view =
        dict_->placed_at([](KeyBytes key) -> std::uint32_t { return key.type() == key_type_int64 ? 1 : 2; });
    EXPECT_EQ(view.which_manager(0), 1u);
    EXPECT_EQ(view.which_manager("0"), 2u);
    view.put(0, "number");
    EXPECT_EQ(dict_->manager(1).get(0), "number");
}

}  // namespace
}  // namespace ddict
