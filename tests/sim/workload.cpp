// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/workload.h"

#include <algorithm>
#include <sstream>

namespace ddict::sim {
namespace {

using wire::Verb;
using Kind = RegisterOperation::Kind;

std::string text_of(const RegisterOperation& operation) {
    static constexpr const char* names[] = {"put", "get", "contains", "erase", "clear"};
    std::ostringstream out;
    out << names[static_cast<int>(operation.kind)] << " " << std::hex << operation.value << std::dec << " ["
        << operation.called << ", ";
    operation.complete() ? out << operation.returned : out << "never";
    out << "]\n";
    return out.str();
}

}  // namespace

Book::Line& Book::open(const std::string& key, Kind kind, std::uint64_t value) {
    auto& line = *lines_[key].emplace_back(std::make_unique<Line>());
    line.operation = {.kind = kind, .value = value, .called = ++clock_};
    ++operations_;
    ++unknown_;
    return line;
}

void Book::close(Line& line, const Outcome& outcome) {
    RegisterOperation& operation = line.operation;
    if (!outcome.ok()) ++errors_[outcome.code()];
    const bool missing = outcome.code() == Errc::not_found;
    if (!outcome.ok() && !missing) {
        line.counts = outcome.reply.error().in_doubt;
        return;
    }
    --unknown_;
    operation.returned = ++clock_;
    if (operation.kind == Kind::get)
        operation.value = missing ? 0 : content_of(outcome.value, outcome.reply->value_type);
    if (operation.kind == Kind::contains) operation.value = outcome.reply->argument;
    if (operation.kind == Kind::erase) operation.value = missing ? 0 : 1;
}

std::string Book::contradictions() const {
    std::string out;
    for (const auto& [key, lines] : lines_) {
        std::vector<RegisterOperation> history;
        for (const auto& line : lines) {
            if (line->counts) history.push_back(line->operation);
        }
        if (linearizable(history)) continue;
        out += "no order explains the history of " + key + ":\n";
        for (const RegisterOperation& operation : history)
            out += text_of(operation);
    }
    return out;
}

SharingClient::SharingClient(Cluster& cluster, SimClient& client, Book& book, const WorkloadOptions& options)
    : cluster_(cluster), client_(client), book_(book), options_(options) {}

void SharingClient::start() {
    for (unsigned i = 0; i < options_.in_flight_max; ++i)
        next();
}

void SharingClient::next() {
    if (started_ == options_.operations) return;
    ++started_;
    Random& random = cluster_.random();
    const std::string name = key(random.below(options_.keys));
    const std::uint32_t manager = cluster_.manager_of_key(name);
    Ask ask{.manager = manager, .key = name, .timeout = options_.timeout};
    RegisterOperation operation;
    switch (random.below(12)) {
        case 0:
            if (options_.clears && random.chance(20)) return clear(manager);
            [[fallthrough]];
        case 1:
            ask.verb = Verb::erase;
            operation.kind = Kind::erase;
            break;
        case 2:
            ask.verb = Verb::contains;
            operation.kind = Kind::contains;
            break;
        case 3:
        case 4:
        case 5:
        case 6: {
            const std::uint64_t id = random.number();
            ask.verb = Verb::put;
            ask.value = value_number(id);
            ask.value_type = type_of_value(id);
            operation.kind = Kind::put;
            operation.value = content_of(ask.value, ask.value_type);
            break;
        }
        default:
            ask.verb = Verb::get;
    }
    Book::Line& line = book_.open(name, operation.kind, operation.value);
    client_.start(std::move(ask), [this, &line](const Outcome& outcome) {
        book_.close(line, outcome);
        const auto most = static_cast<std::uint64_t>(options_.pause_max.count());
        const std::chrono::microseconds pause(cluster_.random().below(most + 1));
        cluster_.network().at(cluster_.network().now() + pause, client_.process(), [this] { next(); });
    });
}

/// One operation on all the keys of a manager.
void SharingClient::clear(std::uint32_t manager) {
    std::vector<Book::Line*> lines;
    for (unsigned i = 0; i < options_.keys; ++i) {
        if (cluster_.manager_of_key(key(i)) == manager) lines.push_back(&book_.open(key(i), Kind::clear, 0));
    }
    Ask ask{.verb = Verb::clear, .manager = manager, .timeout = options_.timeout};
    client_.start(std::move(ask), [this, lines](const Outcome& outcome) {
        for (Book::Line* line : lines)
            book_.close(*line, outcome);
        next();
    });
}

}  // namespace ddict::sim
