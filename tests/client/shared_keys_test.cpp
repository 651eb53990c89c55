// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Whatever several threads do to the same keys of real managers at once, alone and in batches, by message and
// by reading this node's memory, has an order: the programs, the model and the check are those of the
// simulated cluster. A seed repeats the programs; how they meet is up to the machine.
#include <array>
#include <barrier>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "tests/client/shared_dictionary.h"
#include "tests/sim/every_verb.h"
#include "tests/sim/seeds.h"

namespace ddict {
namespace {

using sim::Answer;
using sim::Ask;
using sim::Histories;
using sim::Outcome;
using sim::Value;
using wire::Verb;
using namespace std::chrono_literals;

Reply with_argument(std::uint64_t argument) {
    return {.value_bytes = 0, .value_type = 0, .argument = argument, .argument2 = 0};
}

/// What a call gave, as the manager would have answered it.
template <class T, class F>
Outcome outcome_of(const Result<T>& result, F argument_of) {
    if (!result.has_value()) return {result.error()};
    if constexpr (std::is_void_v<T>) {
        return {with_argument(argument_of())};
    } else {
        return {with_argument(argument_of(*result))};
    }
}
Outcome outcome_of(const Result<void>& result, const detail::BytesSink& sink) {
    if (!result) return {result.error()};
    return {
        Reply{.value_bytes = sink.bytes().size(), .value_type = sink.type(), .argument = 0, .argument2 = 0},
        {sink.bytes().begin(), sink.bytes().end()}};
}
Outcome outcome_of(const Result<std::optional<ValueInfo>>& info) {
    if (!info.has_value()) return {info.error()};
    if (!*info) return {with_argument(0)};
    return {Reply{.value_bytes = 0, .value_type = (*info)->type, .argument = 1, .argument2 = (*info)->bytes}};
}

/// Makes of a request the call of the public interface that sends it.
Outcome call(const View& whole, const Ask& ask) {
    const View view = ask.ttl != 0 ? whole.with_ttl(std::chrono::microseconds(ask.ttl)) : whole;
    const Bytes key = bytes_of(ask.key);
    const Bytes value(ask.value);
    const auto as_it_is = [](std::uint64_t number) { return number; };
    switch (ask.verb) {
        case Verb::put: {
            if (ask.flags == 0)
                return outcome_of(view.put_bytes(key, value, ask.value_type), [] { return 1u; });
            const auto condition =
                ask.flags == wire::put_if_absent ? PutCondition::absent : PutCondition::present;
            return outcome_of(view.put_bytes_if(condition, key, value, ask.value_type), as_it_is);
        }
        case Verb::get:
        case Verb::pop: {
            detail::BytesSink sink;
            return outcome_of(ask.verb == Verb::get ? view.get_bytes(key, sink) : view.pop_bytes(key, sink),
                              sink);
        }
        case Verb::contains:
            return outcome_of(view.type_and_size_bytes(key));
        case Verb::erase: {
            const Result<bool> erased = view.erase_bytes(key);
            if (erased.has_value() && !*erased) return {Error(Errc::not_found)};
            return outcome_of(erased, [](bool) { return 0u; });
        }
        case Verb::compare_and_swap: {
            const std::size_t expected = static_cast<std::size_t>(ask.argument);
            const bool erases = ask.flags == wire::swap_erases;
            return outcome_of(
                view.swap_bytes(
                    key,
                    ask.flags == wire::swap_if_absent ? std::nullopt : std::optional(value.first(expected)),
                    erases ? std::nullopt : std::optional(value.subspan(expected)), ask.value_type),
                as_it_is);
        }
        case Verb::fetch_add: {
            std::uint64_t initial = 0;
            std::memcpy(&initial, value.data(), sizeof initial);
            return outcome_of(view.add_bits(key, ask.value_type, ask.argument, initial), as_it_is);
        }
        case Verb::append:
            return outcome_of(view.append_bytes(key, value, ask.value_type), as_it_is);
        case Verb::touch: {
            const bool ends = ask.argument != 0;
            const auto ttl = ends ? std::optional<std::chrono::nanoseconds>(1h) : std::nullopt;
            return outcome_of(view.touch_bytes(key, ttl), as_it_is);
        }
        default:
            ADD_FAILURE() << "no call for this verb";
            return {Error(Errc::system)};
    }
}

/// Histories that several threads write. What is opened before another call is made is called before it.
class SharedHistories {
  public:
    Histories::Line& open(const Ask& ask) {
        const std::scoped_lock lock(mutex_);
        return histories_.open(ask);
    }
    void close(Histories::Line& line, const Answer& answer) {
        const std::scoped_lock lock(mutex_);
        histories_.close(line, answer);
    }
    /// For when nobody writes any more.
    const Histories& all() const { return histories_; }

  private:
    std::mutex mutex_;
    Histories histories_;
};

class SharingThread {
  public:
    SharingThread(const Dictionary& here, const Dictionary& messages, SharedHistories& histories,
                  std::string prefix, std::uint64_t seed)
        : views_{here, messages}, histories_(histories), prefix_(std::move(prefix)), random_(seed) {}

    void run(unsigned operations) {
        for (unsigned i = 0; i < operations; ++i)
            random_.chance(15) ? batch() : one_key();
    }

  private:
    static constexpr unsigned keys = 3;
    std::string key(std::uint64_t number) const { return prefix_ + std::to_string(number); }
    const View& view() { return views_[random_.below(views_.size())]; }

    void one_key() {
        const std::string name = key(random_.below(keys));
        Ask ask = random_ask(random_, name, seen_[name]);
        if (ask.verb == Verb::fetch_add)
            ask.value.resize(sizeof(std::uint64_t));  // the call has an initial value
        if (ask.verb == Verb::compare_and_swap && ask.flags == wire::swap_if_absent) ask.argument = 0;
        Histories::Line& line = histories_.open(ask);
        const Outcome outcome = call(view(), ask);
        histories_.close(line, answer_of(ask.verb, outcome));
        follow(seen_[name], ask, outcome);
    }

    /// Each item is an operation of its own, with the batch's call and return.
    void batch() {
        const Verb verb = std::array{Verb::get, Verb::put, Verb::erase}[random_.below(3)];
        std::deque<Ask> asks;
        std::vector<Histories::Line*> lines;
        for (unsigned i = 0; i < keys; ++i) {
            Ask& ask = asks.emplace_back(Ask{.verb = verb, .key = key(i)});
            if (verb == Verb::put) {
                ask.value =
                    random_.bytes(random_.chance(30) ? 3000 + random_.below(3000) : random_.below(50));
                ask.value_type = type_text;
            }
            lines.push_back(&histories_.open(ask));
        }
        std::vector<ItemStatus> statuses(keys);
        std::vector<std::uint64_t> contents(keys);
        if (verb == Verb::put) {
            std::vector<PutItem> pairs;
            for (const Ask& ask : asks)
                pairs.push_back({bytes_of(ask.key), ask.value, ask.value_type});
            static_cast<void>(view().multi_put_bytes(pairs, statuses));
        } else {
            std::vector<KeyBytes> names;
            for (const Ask& ask : asks)
                names.push_back(bytes_of(ask.key));
            if (verb == Verb::erase) {
                static_cast<void>(view().multi_erase_bytes(names, statuses));
            } else {
                Items items(statuses, contents);
                static_cast<void>(view().multi_get_bytes(names, items));
                items.read();
            }
        }
        for (unsigned i = 0; i < keys; ++i) {
            Answer answer{.code = statuses[i].code};
            if (answer.code == Errc{} && verb == Verb::put) answer.argument = 1;
            if (answer.code == Errc{} && verb == Verb::get) answer.content = contents[i];
            histories_.close(*lines[i], answer);
        }
    }

    class Items final : public ItemSink {
      public:
        Items(std::vector<ItemStatus>& statuses, std::vector<std::uint64_t>& contents)
            : statuses_(statuses), contents_(contents), values_(statuses.size()) {}
        Result<MutableBytes> prepare(std::size_t index, std::uint64_t bytes,
                                     std::uint16_t value_type) override {
            return values_[index].prepare(bytes, value_type);
        }
        void done(std::size_t index, const ItemStatus& status) override { statuses_[index] = status; }
        void read() {
            for (std::size_t i = 0; i < values_.size(); ++i)
                contents_[i] = sim::content_of(values_[i].bytes(), values_[i].type());
        }

      private:
        std::vector<ItemStatus>& statuses_;
        std::vector<std::uint64_t>& contents_;
        std::vector<detail::BytesSink> values_;
    };

    std::array<View, 2> views_;
    SharedHistories& histories_;
    std::string prefix_;
    sim::Random random_;
    std::map<std::string, Value> seen_;
};

using SharedKeysTest = SharedDictionaryTest;

TEST_F(SharedKeysTest, EveryHistoryHasAnOrder) {
    constexpr unsigned threads = 4;
    std::map<Verb, std::uint64_t> successes;
    sim::for_each_seed(50, [&](std::uint64_t seed, sim::Tally& tally) {
        SharedHistories histories;
        std::barrier start(threads);
        std::vector<std::thread> running;
        for (unsigned t = 0; t < threads; ++t) {
            running.emplace_back([&, t] {
                SharingThread thread(*dict_, *by_message_, histories, std::to_string(seed) + "/",
                                     seed * threads + t);
                start.arrive_and_wait();
                thread.run(20);
            });
        }
        for (std::thread& thread : running)
            thread.join();
        for (const auto& [code, count] : histories.all().errors())
            EXPECT_TRUE(code == Errc::not_found || code == Errc::wrong_type)
                << count << " times " << name(code);
        EXPECT_EQ(histories.all().contradictions(), "");
        tally.operations += histories.all().operations();
        tally.histories += histories.all().size();
        for (const Verb verb : {Verb::put, Verb::pop, Verb::compare_and_swap, Verb::fetch_add, Verb::append})
            successes[verb] += histories.all().successes(verb);
    });
    for (const auto& [verb, count] : successes)
        EXPECT_TRUE(count > 20 || sim::repeats_one_seed()) << name(operation_of(verb)) << " " << count;
}

}  // namespace
}  // namespace ddict
