// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/inquiry.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace ddict {
namespace {

// How many are looked at to find one to whom there is a connection already.
constexpr unsigned candidates_max = 4;
constexpr unsigned interval_doublings_max = 3;

}  // namespace

Time Inquiry::tick() {
    if (context_.whereabouts() == nullptr) return Time::max();
    // To ask may make a connection: the table must not be gone through meanwhile.
    std::vector<Connection*> wanting;
    for (const auto& [shard, connection] : connections_) {
        if (connection->wants_entry()) wanting.push_back(connection.get());
    }
    std::erase_if(questions_, [this](const auto& one) {
        return context_.now() - one.second.next > limits::silence_until_lost;
    });
    Time next = Time::max();
    for (Connection* about : wanting) {
        Question& question = questions_[about->entry().shard];
        if (context_.now() >= question.next) ask(*about, question);
        next = std::min(next, question.next);
    }
    return next;
}

/// One to whom there is an open connection, or else somebody whom the next question may go to.
void Inquiry::ask(Connection& about, Question& question) {
    const ShardId shard = about.entry().shard;
    const unsigned doublings = std::min(question.asked++, interval_doublings_max);
    question.next = context_.now() + limits::inquiry_interval * (1 << doublings);
    const unsigned start = question.turn++;
    Connection* first = nullptr;
    for (unsigned i = 0; i < candidates_max; ++i) {
        const auto candidate = context_.whereabouts()->someone_else(shard, start + i);
        if (!candidate) return;
        Connection* other = connections_.find(candidate->shard);
        if (other == nullptr) {
            connections_.add(std::make_unique<Connection>(context_, connections_, user_, *candidate));
            other = connections_.find(candidate->shard);
        }
        if (other->is_open()) {
            question.turn = start + i + 1;
            question.number = other->ask_for_entry(shard);
            return;
        }
        if (first == nullptr) first = other;
    }
    first->open_for_question();
    question.next = context_.now() + limits::inquiry_interval;
}

std::optional<DirectoryEntry> Inquiry::read_reply(const wire::ReplyHeader& header, Bytes value) {
    if (header.status != 0) return std::nullopt;
    Unpacker in(value);
    DirectoryEntry entry = unpack_directory_entry(in);
    if (!in.good() || !in.at_end()) return std::nullopt;
    const auto question = questions_.find(entry.shard);
    if (question == questions_.end() || question->second.number != header.request) return std::nullopt;
    question->second.number = 0;
    return entry;
}

}  // namespace ddict
