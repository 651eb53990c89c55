// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Random operations of every kind against a std::map, over whatever transport the environment chooses. Each
// thread has keys of its own, so that it knows what they must be; all share the managers. DDICT_TEST_SEED
// repeats a run, DDICT_TEST_OPERATIONS makes it longer.
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using Text = std::string;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 0);
}

/// One thread's program, and what it knows of its keys: texts, and counters apart from them.
class Program {
  public:
    Program(const Dictionary& here, const Dictionary& messages, std::uint64_t seed, int thread)
        : views_{here, messages, here.within(std::chrono::seconds(60))},
          random_(seed * 1000 + static_cast<std::uint64_t>(thread)),
          prefix_("t" + std::to_string(thread) + "/") {}

    void run(std::uint64_t operations) {
        for (std::uint64_t i = 0; i < operations && !::testing::Test::HasFailure(); ++i)
            step();
        check_all();
    }

  private:
    using Step = void (Program::*)();

    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    const View& view() { return views_[below(views_.size())]; }
    Text key() { return prefix_ + std::to_string(below(40)); }
    Text value() {
        constexpr std::size_t sizes[] = {0, 1, 30, 500, 4000, 4096, 4097, 9000, 70'000, 300'000};
        Text text(sizes[below(below(4) == 0 ? std::size(sizes) : 4)], 'x');
        for (std::size_t i = 0; i < text.size(); i += 1 + text.size() / 16)
            text[i] = static_cast<char>('a' + below(26));
        return text;
    }
    std::optional<Text> known(const Text& key) const {
        const auto found = model_.find(key);
        return found == model_.end() ? std::nullopt : std::optional(found->second);
    }

    void step() {
        static constexpr Step steps[] = {
            &Program::put,       &Program::put,       &Program::get,         &Program::get,
            &Program::put_if,    &Program::pop,       &Program::erase,       &Program::swap,
            &Program::count,     &Program::append,    &Program::contains,    &Program::wait_for,
            &Program::multi_put, &Program::multi_get, &Program::multi_erase, &Program::collect,
            &Program::put_async, &Program::get_async, &Program::iterate,     &Program::get_into};
        (this->*steps[below(std::size(steps))])();
    }

    void put() {
        const Text k = key();
        view().put(k, model_[k] = value());
    }
    void get() {
        const Text k = key();
        EXPECT_EQ(view().find(k), known(k)) << k;
    }
    void get_into() {
        const Text k = key();
        std::vector<std::byte> buffer(below(10'000));
        const auto got = view().try_get_into(k, std::span(buffer));
        const auto expected = known(k);
        if (!expected) {
            EXPECT_EQ(code_of(got), Errc::not_found);
        } else if (expected->size() > buffer.size()) {
            EXPECT_EQ(code_of(got), Errc::invalid_argument);
            EXPECT_EQ(got.error().need_bytes, expected->size());
        } else {
            ASSERT_TRUE(got) << got.error().message();
            EXPECT_EQ(Text(reinterpret_cast<const char*>(buffer.data()), *got), *expected);
        }
    }
    void contains() {
        const Text k = key();
        EXPECT_EQ(view().contains(k), model_.contains(k)) << k;
    }
    void put_if() {
        const Text k = key(), v = value();
        const bool absent = below(2) == 0;
        const bool expected = model_.contains(k) != absent;
        EXPECT_EQ(absent ? view().put_if_absent(k, v) : view().put_if_present(k, v), expected) << k;
        if (expected) model_[k] = v;
    }
    void pop() {
        const Text k = key();
        EXPECT_EQ(view().pop(k), known(k)) << k;
        model_.erase(k);
        for (const View& any : views_)
            EXPECT_FALSE(any.contains(k)) << k;
    }
    void erase() {
        const Text k = key();
        EXPECT_EQ(view().erase(k), model_.erase(k) == 1) << k;
        for (const View& any : views_)
            EXPECT_FALSE(any.contains(k)) << k;
    }
    void swap() {
        const Text k = key();
        const std::optional<Text> before = known(k);
        const std::optional<Text> expected = below(2) == 0 ? before : std::optional(value());
        const std::optional<Text> desired = below(4) == 0 ? std::nullopt : std::optional(value());
        EXPECT_EQ(view().compare_and_swap(k, expected, desired), expected == before) << k;
        if (expected != before) return;
        model_.erase(k);
        if (desired) model_[k] = *desired;
    }
    void count() {
        const Text k = "counter " + prefix_ + std::to_string(below(5));
        const auto delta = static_cast<std::int64_t>(below(1000)) - 500;
        EXPECT_EQ(view().fetch_add(k, delta), counters_[k]);
        counters_[k] += delta;
    }
    void append() {
        const Text k = key(), more = value();
        if (model_[k].size() > 1'000'000) model_.erase(k), view().erase(k);
        model_[k] += more;
        EXPECT_EQ(view().append(k, more), model_[k].size());
    }
    void wait_for() {
        const Text k = key();
        if (!model_.contains(k)) return;
        EXPECT_EQ(view().wait_for(k), model_[k]);
        view().wait_for_value(k, model_[k]);
    }

    std::map<Text, Text> some_pairs() {
        std::map<Text, Text> pairs;
        for (std::uint64_t i = below(60); i > 0; --i)
            pairs[key()] = value();
        return pairs;
    }
    std::vector<Text> some_keys() {
        std::vector<Text> keys;
        for (std::uint64_t i = below(100); i > 0; --i)
            keys.push_back(key());
        return keys;
    }
    void multi_put() {
        const auto pairs = some_pairs();
        view().multi_put(pairs);
        for (const auto& [k, v] : pairs)
            model_[k] = v;
    }
    void multi_get() {
        const auto keys = some_keys();
        const auto values = view().multi_get(keys);
        for (std::size_t i = 0; i < keys.size(); ++i)
            EXPECT_EQ(values[i], known(keys[i])) << keys[i];
    }
    void multi_erase() {
        std::vector<Text> keys;
        for (const auto& [k, v] : some_pairs())
            keys.push_back(k);
        std::uint64_t expected = 0;
        for (const Text& k : keys)
            expected += model_.erase(k);
        EXPECT_EQ(view().multi_erase(keys), expected);
    }
    void collect() {
        View collecting = view();
        collecting.start_batch_put();
        for (const auto& [k, v] : some_pairs())
            collecting.put(k, model_[k] = v);
        collecting.end_batch_put();
    }
    void put_async() {
        const auto pairs = some_pairs();
        std::vector<Pending<void>> puts;
        for (const auto& [k, v] : pairs)
            puts.push_back(view().put_async(k, model_[k] = v));
        for (Pending<void>& put : puts)
            put.wait();
    }
    void get_async() {
        const auto keys = some_keys();
        std::vector<Pending<Text>> gets;
        for (const Text& k : keys)
            gets.push_back(view().get_async(k));
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const auto got = gets[i].try_wait();
            if (const auto expected = known(keys[i])) {
                ASSERT_TRUE(got) << got.error().message();
                EXPECT_EQ(*got, *expected);
            } else {
                EXPECT_EQ(code_of(got), Errc::not_found);
            }
        }
    }
    void iterate() {
        std::map<Text, Text> seen;
        for (auto& [k, v] : view().items(prefix_)) {
            EXPECT_TRUE(seen.emplace(k, v).second) << k;
        }
        EXPECT_TRUE(seen == model_);
    }
    void check_all() {
        iterate();
        for (const auto& [k, n] : counters_)
            EXPECT_EQ(view().get<std::int64_t>(k), n);
    }

    std::vector<View> views_;
    std::mt19937_64 random_;
    Text prefix_;
    std::map<Text, Text> model_;
    std::map<Text, std::int64_t> counters_;
};

using DifferentialTest = SharedDictionaryTest;

TEST_F(DifferentialTest, AsAMap) {
    const std::uint64_t seed = number_from("DDICT_TEST_SEED", std::random_device()());
    const std::uint64_t operations = number_from("DDICT_TEST_OPERATIONS", 1500);
    const bool over_tcp = std::getenv("DDICT_SAME_HOST") != nullptr;
    EXPECT_NE(dict_->stats()[0].transport.find(over_tcp ? "tcp" : "same host"), std::string::npos);
    std::cout << "DDICT_TEST_SEED=" << seed << ", over " << dict_->stats()[0].transport << std::endl;
    RecordProperty("seed", std::to_string(seed));
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
            try {
                Program(*dict_, *by_message_, seed, t).run(operations);
            } catch (const std::exception& error) {
                ADD_FAILURE() << error.what();
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const ManagerStats& stats : dict_->stats()) {
        EXPECT_EQ(stats.rejected_messages, 0u);
        EXPECT_EQ(stats.waiting, 0u);
        EXPECT_EQ(stats.payloads_in_flight, 0u);
    }
}

}  // namespace
}  // namespace ddict
