// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values that are sent from several pieces of memory and received into two, and operations that a loop of the
// program's own moves along.
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using Bytes = std::span<const std::byte>;

KeyBytes as_key(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
    return bytes;
}

/// The first bytes of a value go to one place, the others to another.
class TwoPieces final : public ValueSink {
  public:
    TwoPieces(std::size_t first, std::size_t rest) : first_(first), rest_(rest) {}
    Result<std::span<std::byte>> prepare(std::uint64_t, std::uint16_t) override { return std::span(first_); }
    std::span<std::byte> rest() override { return rest_; }
    std::vector<std::byte> whole() const {
        std::vector<std::byte> all = first_;
        all.insert(all.end(), rest_.begin(), rest_.end());
        return all;
    }

  private:
    std::vector<std::byte> first_;
    std::vector<std::byte> rest_;
};

class PartsTest : public SharedDictionaryTest {
  protected:
    /// `value` cut at these places.
    static std::vector<Bytes> cut(Bytes value, std::initializer_list<std::size_t> at) {
        std::vector<Bytes> parts;
        std::size_t begin = 0;
        for (const std::size_t end : at) {
            parts.push_back(value.subspan(begin, end - begin));
            begin = end;
        }
        parts.push_back(value.subspan(begin));
        return parts;
    }
};

TEST_F(PartsTest, AreOneValue) {
    for (const std::size_t size : std::initializer_list<std::size_t>{
             10, 4096, 4097, 16'384, 16'385, 100'000, (std::size_t{3} << 20) + 5, std::size_t{12} << 20}) {
        const auto value = pattern(size);
        for (const auto& parts : {cut(value, {1}), cut(value, {size / 3, size / 2, size / 2 + 1}),
                                  cut(value, {size - 1}), cut(value, {})}) {
            dict_->erase("k");
            dict_->erase("later");
            dict_->put_parts(as_key("k"), parts, type_bytes).value();
            EXPECT_TRUE(dict_->get<std::vector<std::byte>>("k") == value) << size;
            detail::OperationHandle begun = dict_->start_put_parts(as_key("later"), parts, type_bytes);
            const Result<std::uint64_t> put = begun.wait(std::nullopt);
            ASSERT_TRUE(put.has_value()) << put.error().message();
            EXPECT_TRUE(by_message_->get<std::vector<std::byte>>("later") == value) << size;
        }
    }
}

TEST_F(PartsTest, ArePutUnderAConditionAndOnEveryManager) {
    for (const std::size_t size : std::initializer_list<std::size_t>{10, 16'385, std::size_t{3} << 20}) {
        const auto value = pattern(size);
        const auto parts = cut(value, {size / 3, size / 2});
        dict_->erase("k");
        EXPECT_FALSE(dict_->put_parts_if(PutCondition::present, as_key("k"), parts).value());
        EXPECT_TRUE(dict_->put_parts_if(PutCondition::absent, as_key("k"), parts).value());
        EXPECT_TRUE(by_message_->get<std::vector<std::byte>>("k") == value) << size;
        EXPECT_FALSE(dict_->put_parts_if(PutCondition::absent, as_key("k"), parts).value());
        EXPECT_TRUE(dict_->put_parts_if(PutCondition::present, as_key("k"), cut(value, {})).value());
        dict_->broadcast_put_parts(as_key("everywhere"), parts).value();
        for (std::uint32_t manager = 0; manager < dict_->manager_count(); ++manager)
            EXPECT_TRUE(dict_->manager(manager).bget<std::vector<std::byte>>("everywhere") == value) << size;
        EXPECT_TRUE(dict_->broadcast_erase_bytes(as_key("everywhere")).value());
    }
    const std::vector<std::byte> value(100'000);
    const std::vector<Bytes> empty{Bytes(value), Bytes(), Bytes(value)};
    EXPECT_EQ(code_of(dict_->put_parts_if(PutCondition::absent, as_key("k"), empty)), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->broadcast_put_parts(as_key("k"), empty)), Errc::invalid_argument);
}

TEST_F(PartsTest, AreReceivedApart) {
    for (const std::size_t size : std::initializer_list<std::size_t>{10, 300, 4096, 4097, 13'000, 100'000,
                                                                     (std::size_t{3} << 20) + 5}) {
        const auto value = pattern(size);
        dict_->put("k", value);
        for (const std::size_t first : {std::size_t{0}, std::size_t{1}, size / 3, size - 1, size}) {
            for (const Dictionary* const dict : {dict_.get(), by_message_.get()}) {
                TwoPieces got(first, size - first);
                dict->get_bytes(as_key("k"), got).value();
                EXPECT_TRUE(got.whole() == value) << size << ", " << first;
                TwoPieces waited(first, size - first);
                dict->wait_for_bytes(as_key("k"), waited).value();
                EXPECT_TRUE(waited.whole() == value) << size << ", " << first;
            }
        }
        for (const Dictionary* const dict : {dict_.get(), by_message_.get()}) {
            TwoPieces wrong(4, size - 5);
            EXPECT_EQ(code_of(dict->get_bytes(as_key("k"), wrong)), Errc::invalid_argument);
        }
    }
}

TEST_F(PartsTest, HaveBounds) {
    const auto value = pattern(100'000);
    const std::vector<Bytes> many(17, Bytes(value));
    const std::vector<Bytes> empty{Bytes(value), Bytes(), Bytes(value)};
    for (const auto& parts : {many, empty}) {
        EXPECT_EQ(code_of(dict_->put_parts(as_key("k"), parts)), Errc::invalid_argument);
        detail::OperationHandle begun = dict_->start_put_parts(as_key("k"), parts, type_bytes);
        EXPECT_EQ(code_of(begun.wait(std::nullopt)), Errc::invalid_argument);
    }
}

/// Waits for what was begun as a loop would that waits for other things too. How often it had to look.
template <class Done>
int run_loop(const View& view, Done done) {
    const int descriptor = view.async_descriptor().value();
    const auto latest = steady_clock::now() + 60s;
    for (int turns = 0;; ++turns) {
        const auto next = view.move_along().value();
        if (done() || steady_clock::now() > latest) return turns;
        const auto left = std::clamp<std::chrono::nanoseconds>(next - steady_clock::now(), 0ns, 10s);
        pollfd watched{.fd = descriptor, .events = POLLIN, .revents = 0};
        ::poll(&watched, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    }
}

TEST_F(PartsTest, ALoopIsToldWhenToCall) {
    const auto large = pattern(8 << 20);
    std::vector<Pending<void>> puts;
    for (int i = 0; i < 100; ++i)
        puts.push_back(dict_->put_async(i, i));
    puts.push_back(dict_->put_async("large", large));
    run_loop(*dict_,
             [&] { return std::all_of(puts.begin(), puts.end(), [](auto& put) { return put.ready(); }); });
    for (auto& put : puts)
        put.wait();
    auto got = dict_->get_async<std::vector<std::byte>>("large");
    run_loop(*dict_, [&] { return got.ready(); });
    EXPECT_TRUE(got.wait() == large);

    // A wait that another thread ends: there is nothing to do in between.
    auto wait = dict_->wait_async<int>("later");
    std::thread other([] {
        const auto is_waited_for = [] {
            const std::vector<ManagerStats> all = dict_->stats();
            return std::any_of(all.begin(), all.end(), [](const auto& one) { return one.waiting != 0; });
        };
        EXPECT_TRUE(eventually(20s, is_waited_for));
        dict_->put("later", 5);
    });
    const int turns = run_loop(*dict_, [&] { return wait.ready(); });
    other.join();
    EXPECT_EQ(wait.wait(), 5);
    EXPECT_LT(turns, 1000);
}

TEST_F(PartsTest, AWaitForAnEmptyValueEnds) {
    auto wait = dict_->wait_async<std::string>("empty");
    dict_->put("empty", "");
    EXPECT_EQ(wait.wait(), "");
    auto of_another_type = dict_->wait_async<int>("empty");
    EXPECT_EQ(code_of(of_another_type.try_wait()), Errc::wrong_type);
}

TEST_F(PartsTest, WhatIsCancelledEnds) {
    const auto waiting = [] {
        std::uint64_t all = 0;
        for (const ManagerStats& stats : dict_->stats())
            all += stats.waiting;
        return all;
    };
    auto wait = dict_->within(10min).wait_async<int>("never");
    EXPECT_TRUE(eventually(10s, [&] { return waiting() == 1; }));
    wait.cancel();
    EXPECT_EQ(code_of(wait.try_wait()), Errc::timeout);
    EXPECT_TRUE(eventually(10s, [&] { return waiting() == 0; }));

    const auto manager = static_cast<pid_t>(dict_->stats(dict_->which_manager("k")).pid);
    ASSERT_EQ(::kill(manager, SIGSTOP), 0);
    auto put = dict_->within(10min).put_async("k", 1);
    put.cancel();
    const Result<void> outcome = put.try_wait();
    ASSERT_EQ(::kill(manager, SIGCONT), 0);
    EXPECT_EQ(code_of(outcome), Errc::timeout);
    EXPECT_TRUE(!outcome && outcome.error().in_doubt);

    auto done = dict_->put_async("k", 2);
    EXPECT_TRUE(eventually(10s, [&] { return done.ready(); }));
    done.cancel();
    done.wait();
    EXPECT_EQ(dict_->get<int>("k"), 2);
}

}  // namespace
}  // namespace ddict
