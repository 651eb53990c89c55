// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/every_verb.h"

#include <sstream>

#include "base/assert.h"
#include "wire/items.h"

namespace ddict::sim {
namespace {

using wire::Verb;

}  // namespace

bool outcome_unknown(Errc code) {
    return code == Errc::timeout || code == Errc::manager_lost;
}

void follow(Value& seen, const Ask& ask, const Outcome& outcome) {
    if (ask.verb == Verb::get) {
        seen.reset();
        if (outcome.ok()) seen = Stored{outcome.value, outcome.reply->value_type};
    } else if (ask.verb == Verb::pop || ask.verb == Verb::erase) {
        seen.reset();
    } else if (outcome.ok()) {
        perform(ask, seen);  // if nobody else was there meanwhile
    }
}

Histories::Line& Histories::open(const Ask& ask) {
    ++operations_;
    Line& line = lines_[ask.key].emplace_back();
    line.operation.ask = ask;
    line.operation.called = ++clock_;
    return line;
}

void Histories::close(Line& line, const Answer& answer) {
    if (outcome_unknown(answer.code)) return give_up(line, answer.code, true);
    if (answer.code != Errc{}) {
        ++errors_[answer.code];
    } else if (answer.argument != 0 || answer.content != 0) {
        ++successes_[line.operation.ask.verb];
    }
    line.operation.answer = answer;
    line.operation.returned = ++clock_;
    line.counts = answer.code != Errc::frozen;
}

void Histories::give_up(Line& line, Errc code, bool in_doubt) {
    ++errors_[code];
    line.counts = in_doubt;
}

std::string Histories::contradictions() const {
    std::ostringstream out;
    for (const auto& [key, lines] : lines_) {
        std::vector<ValueModel::Operation> history;
        for (const Line& line : lines) {
            if (line.counts) history.push_back(line.operation);
        }
        if (LinearizabilityCheck<ValueModel>(history).holds()) continue;
        out << "no order explains the history of " << key << ":\n";
        for (const ValueModel::Operation& operation : history) {
            out << name(operation_of(operation.ask.verb)) << " flags " << operation.ask.flags << " type "
                << operation.ask.value_type << " value " << operation.ask.value.size() << " bytes argument "
                << operation.ask.argument << " [" << operation.called << ", ";
            operation.complete() ? out << operation.returned << "]: " << text_of(operation.answer)
                                 : out << "never]";
            out << "\n";
        }
    }
    return out.str();
}

BusyClient::BusyClient(Cluster& cluster, SimClient& client, Histories& histories, const BusyOptions& options)
    : cluster_(cluster), client_(client), histories_(histories), options_(options) {}

void BusyClient::start() {
    for (unsigned i = 0; i < options_.in_flight_max; ++i)
        next();
}

std::string BusyClient::key(unsigned number) {
    return "busy" + std::to_string(number / 2) + (number % 2 == 0 ? "" : "#");
}

std::string BusyClient::random_key() {
    return key(static_cast<unsigned>(cluster_.random().below(options_.keys)));
}

void BusyClient::next_after_pause() {
    const auto most = static_cast<std::uint64_t>(options_.pause_max.count());
    const std::chrono::microseconds pause(cluster_.random().below(most + 1));
    cluster_.network().at(cluster_.network().now() + pause, client_.process(), [this] { next(); });
}

void BusyClient::next() {
    if (started_ == options_.operations) return;
    ++started_;
    if (cluster_.random().chance(15)) return batch();
    const std::string key = random_key();
    Ask ask = random_ask(cluster_.random(), key, seen_[key]);
    ask.manager = cluster_.manager_of_key(key);
    ask.timeout = options_.timeout;
    Histories::Line& line = histories_.open(ask);
    // No key of a history is the beginning of another; and a prefix is a text.
    const bool as_prefix = ask.verb == Verb::erase && !key.ends_with('#') && cluster_.random().chance(50);
    Ask sent = ask;
    if (as_prefix) sent.verb = Verb::erase_prefix;
    client_.start(std::move(sent), [this, &line, ask, as_prefix](const Outcome& outcome) {
        if (outcome_unknown(outcome.code())) {
            histories_.give_up(line, outcome.code(), outcome.reply.error().in_doubt);
        } else if (as_prefix && outcome.ok()) {
            const bool erased = outcome.reply->argument2 != 0;
            if (erased) ++erased_as_prefix_;
            histories_.close(line, {.code = erased ? Errc{} : Errc::not_found});
        } else {
            histories_.close(line, answer_of(ask.verb, outcome));
        }
        follow(seen_[ask.key], ask, outcome);
        next_after_pause();
    });
}

/// Each item is an operation of its own, with the batch's call and return.
void BusyClient::batch() {
    Random& random = cluster_.random();
    const Verb verb = std::array{Verb::batch_get, Verb::batch_put, Verb::batch_erase}[random.below(3)];
    const std::uint32_t manager = cluster_.manager_of_key(random_key());
    std::vector<std::byte> packed(limits::batch_bytes_max);
    wire::ItemWriter items(packed);
    std::vector<Histories::Line*> lines;
    for (unsigned i = 0; i < options_.keys; ++i) {
        Ask ask{.verb = Verb::get, .key = key(i)};
        if (cluster_.manager_of_key(ask.key) != manager) continue;
        if (verb == Verb::batch_erase) ask.verb = Verb::erase;
        if (verb == Verb::batch_put) {
            ask.verb = Verb::put;
            ask.value = random.bytes(random.chance(30) ? 3000 + random.below(3000) : random.below(50));
            ask.value_type = 1;
        }
        const bool fits = verb == Verb::batch_put ? items.pair(key_named(ask.key), ask.value_type, ask.value)
                                                  : items.key(key_named(ask.key));
        DDICT_ASSERT(fits, "a small batch");
        lines.push_back(&histories_.open(ask));
    }
    packed.resize(items.written().size());
    Ask ask{.verb = verb,
            .manager = manager,
            .value = packed,
            .argument = lines.size(),
            .timeout = options_.timeout};
    client_.start(std::move(ask), [this, lines, verb](const Outcome& outcome) {
        wire::ItemReader results(outcome.value);
        for (Histories::Line* line : lines) {
            if (!outcome.ok()) {
                histories_.give_up(*line, outcome.code(), outcome.reply.error().in_doubt);
                continue;
            }
            Answer answer;
            if (verb == Verb::batch_get) {
                wire::PackedResult result;
                DDICT_ASSERT(results.result(result) && result.status != wire::status_ask_alone,
                             "small values come with a batch");
                answer.code = static_cast<Errc>(result.status);
                if (result.status == 0) answer.content = content_of(result.value, result.value_type);
            } else {
                std::uint16_t status = 0;
                DDICT_ASSERT(results.status(status), "a status for each item");
                answer.code = static_cast<Errc>(status);
                if (verb == Verb::batch_put && status == 0) answer.argument = 1;
            }
            histories_.close(*line, answer);
        }
        next_after_pause();
    });
}

}  // namespace ddict::sim
