// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Exchanges of node launchers by way of the launcher, with every kind of peer that says too little or too
// much.
#include "launcher/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "launcher/lifeline.h"
#include "launcher/node/stream_rendezvous.h"
#include "os/file_descriptor.h"
#include "tests/base/seed.h"

namespace ddict::launcher {
namespace {

NodeIdentity node(std::uint32_t id) {
    return {.node = "n" + std::to_string(id + 1), .step = "7.0", .id = NodeId{id}};
}

std::vector<Event> parts_of(std::uint32_t id, std::string_view key, std::string_view mine) {
    std::vector<Event> parts;
    for (const std::string& line : format_contribution(node(id).event(Event::Kind::part), key, mine)) {
        EXPECT_LE(line.size(), event_line_bytes_max);
        parts.push_back(parse_event(std::string_view(line).substr(0, line.size() - 1)).value());
    }
    return parts;
}

std::string why(const Result<std::string>& refused) {
    return refused ? "it was taken" : refused.error().detail.data();
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
        lines.emplace_back(text.substr(0, end));
    EXPECT_TRUE(text.empty());
    return lines;
}

std::string name(std::uint32_t node) {
    return "n" + std::to_string(node);
}

TEST(Exchange, GivesEveryonesContributionToAll) {
    std::mt19937_64 random(test_seed());
    constexpr std::uint32_t nodes = 5;
    std::vector<std::string> mine(nodes);
    for (std::string& one : mine) {
        one.resize(random() % 4 == 0 ? 0 : random() % 3000);
        std::generate(one.begin(), one.end(), [&] { return static_cast<char>(random()); });
    }
    ExchangeBoard board(nodes);
    std::string answer;
    // In any order of nodes, each node's own parts in theirs.
    std::vector<std::vector<Event>> left;
    for (std::uint32_t i = 0; i < nodes; ++i)
        left.push_back(parts_of(i, "directory without shared addresses", mine[i]));
    while (!left.empty()) {
        auto& from = left[random() % left.size()];
        EXPECT_TRUE(answer.empty()) << "before all had come";
        const auto taken = board.add(from.front());
        ASSERT_TRUE(taken) << why(taken);
        answer = *taken;
        from.erase(from.begin());
        std::erase_if(left, [](const auto& rest) { return rest.empty(); });
    }
    EXPECT_EQ(board.waiting_for(name), "");
    ExchangeInbox inbox("directory without shared addresses", nodes);
    for (const std::string& line : lines_of(answer)) {
        EXPECT_FALSE(inbox.is_complete());
        ASSERT_TRUE(inbox.take(line));
    }
    ASSERT_TRUE(inbox.is_complete());
    EXPECT_EQ(inbox.take_all(), mine);
}

/// What a start of 512 nodes sends: one manager each, with an address of UCX as it is with a few networks.
TEST(Exchange, OfManyNodesStaysSmall) {
    constexpr std::uint32_t nodes = 512;
    constexpr std::size_t contribution = 600;
    ExchangeBoard board(nodes);
    std::size_t up = 0;
    std::string answer;
    for (std::uint32_t i = 0; i < nodes; ++i) {
        for (const std::string& line : format_contribution(node(i).event(Event::Kind::part), "directory",
                                                           std::string(contribution, 'x'))) {
            up += line.size();
            const auto event = parse_event(std::string_view(line).substr(0, line.size() - 1));
            ASSERT_TRUE(event);
            const auto taken = board.add(*event);
            ASSERT_TRUE(taken) << why(taken);
            answer = *taken;
        }
    }
    EXPECT_LE(up, 2 * nodes * contribution);
    EXPECT_LE(answer.size(), nodes * (contribution / 3 * 4 + 32));
    ExchangeInbox inbox("directory", nodes);
    for (const std::string& line : lines_of(answer))
        ASSERT_TRUE(inbox.take(line));
    EXPECT_TRUE(inbox.is_complete());
}

TEST(Exchange, SaysWhomItWaitsFor) {
    ExchangeBoard board(3);
    ASSERT_TRUE(board.add(parts_of(0, "ready", "ready").front()));
    ASSERT_TRUE(board.add(parts_of(1, "ready", std::string(2000, 'x')).front()));
    EXPECT_EQ(board.waiting_for(name),
              "the exchange 'ready' waits for the rest of what the node launcher on n1 contributes");
    for (std::size_t i = 1; i < 5; ++i)
        ASSERT_TRUE(board.add(parts_of(1, "ready", std::string(2000, 'x'))[i]));
    EXPECT_EQ(board.waiting_for(name),
              "the exchange 'ready' waits for what the node launcher on n2 contributes");
}

TEST(Exchange, RefusesTwoOfOneNode) {
    ExchangeBoard board(2);
    ASSERT_TRUE(board.add(parts_of(1, "ready", "x").front()));
    EXPECT_EQ(why(board.add(parts_of(1, "ready", "x").front())),
              "the exchange 'ready': the node launcher on n2 has contributed twice");
    ASSERT_TRUE(board.add(parts_of(0, "ready", "x").front()));
    EXPECT_NE(why(board.add(parts_of(0, "ready", "x").front())).find("contributed twice"), std::string::npos)
        << "also after it";
}

TEST(Exchange, RefusesWhatDoesNotFollow) {
    const std::vector<Event> parts = parts_of(0, "k", std::string(2000, 'x'));
    ASSERT_GE(parts.size(), 3U);
    const auto refused = [&](const std::vector<Event>& sent) {
        ExchangeBoard board(2);
        for (std::size_t i = 0; i + 1 < sent.size(); ++i)
            EXPECT_TRUE(board.add(sent[i]));
        return why(board.add(sent.back()));
    };
    EXPECT_EQ(refused({parts[0], parts[2]}),
              "the exchange 'k': the node launcher on n1 sent part 3 of 5 where part 2 follows");
    EXPECT_NE(refused({parts[0], parts[0]}).find("where part 2 follows"), std::string::npos);
    Event wrong = parts[0];
    wrong.text = "no base64!";
    EXPECT_NE(refused({wrong}), "it was taken");
    wrong = parts[0];
    wrong.parts = 0;
    EXPECT_NE(refused({wrong}), "it was taken");
    wrong = parts[0];
    wrong.node_id = NodeId{2};
    EXPECT_EQ(refused({wrong}), "the exchange 'k': the node launcher on n1 says that it is number 2 of 2");
    wrong = parts[0];
    wrong.key = "";
    EXPECT_NE(refused({wrong}), "it was taken");
    wrong.key = std::string(limits::exchange_key_bytes_max + 1, 'k');
    EXPECT_NE(refused({wrong}), "it was taken");
}

TEST(Exchange, IsBounded) {
    ExchangeBoard board(2);
    Event part = parts_of(0, "k", "x").front();
    part.parts = UINT32_MAX;
    part.text = encode_base64url(bytes_of(std::string(600, 'x')));
    std::size_t sent = 0;
    Result<std::string> taken = std::string();
    for (; taken && sent < 2 * limits::contribution_bytes_max; ++part.part, sent += 600)
        taken = board.add(part);
    EXPECT_FALSE(taken);
    EXPECT_LE(sent, limits::contribution_bytes_max + 1200);
    EXPECT_EQ(why(taken), "the exchange 'k': the node launcher on n1 contributes more than can be passed on");

    ExchangeBoard many(2);
    for (std::size_t i = 0; i < limits::exchanges_max; ++i)
        ASSERT_TRUE(many.add(parts_of(0, "k" + std::to_string(i), "x").front()));
    EXPECT_EQ(many.add(parts_of(0, "more", "x").front()).error().code, Errc::too_large);
}

TEST(ExchangeInbox, TakesOnlyWhatFollows) {
    const std::string key = encode_base64url(bytes_of("k"));
    const std::string other = encode_base64url(bytes_of("other"));
    for (const std::string& line : std::vector<std::string>{
             "x", "x ", "x " + key, "x " + key + " 0", "x " + key + " 1 eA", "x " + key + " -1 eA",
             "x " + key + " 0x eA", "x " + key + " 0 !", "x " + other + " 0 eA", std::string("x  0 eA"),
             "x " + key + " 99999999999 eA"}) {
        ExchangeInbox inbox("k", 2);
        EXPECT_FALSE(inbox.take(line)) << line;
        EXPECT_FALSE(inbox.is_complete());
    }
    ExchangeInbox inbox("k", 2);
    EXPECT_TRUE(inbox.take("x " + key + " 0 eA"));
    EXPECT_FALSE(inbox.take("x " + key + " 0 eA")) << "twice";
    EXPECT_TRUE(inbox.take("x " + key + " 1 "));
    EXPECT_FALSE(inbox.take("x " + key + " 2 eA")) << "there are two";
    EXPECT_EQ(inbox.take_all(), (std::vector<std::string>{"x", ""}));
}

TEST(StreamRendezvous, FailsInWords) {
    const NodeIdentity identity = node(0);
    std::size_t said = 0;
    StreamRendezvous* streams = nullptr;
    std::string answer;
    StreamRendezvous rendezvous(
        identity, 2, {.say = [&](const std::string&) { ++said; }, .listen = [&] { streams->hear(answer); }});
    streams = &rendezvous;
    EXPECT_EQ(rendezvous.exchange("k", "x", [] { return true; }).error().code, Errc::timeout);
    EXPECT_EQ(said, 1U);
    const auto large =
        rendezvous.exchange("k", std::string(limits::contribution_bytes_max + 1, 'x'), [] { return false; });
    EXPECT_EQ(large.error().code, Errc::too_large);
    EXPECT_EQ(said, 1U) << "nothing of it goes out";
    answer = "x nonsense";
    EXPECT_EQ(rendezvous.exchange("k", "x", [] { return false; }).error().code, Errc::protocol);
}

TEST(Lifeline, IsCutIntoLinesOfAnyPieces) {
    auto pipe = os::make_pipe().value();
    LifelineReader reader;
    std::vector<std::string> lines;
    const auto take = [&](std::string_view line) { lines.emplace_back(line); };
    for (const std::string_view piece : {"\n", "ke", "ep\nx a", " 0 b\n\n", "half"}) {
        ASSERT_TRUE(os::write_fully(pipe.write_end.fd(), piece));
        EXPECT_EQ(reader.read_from(pipe.read_end.fd(), take), LifelineReader::State::open);
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"", "keep", "x a 0 b", ""}));
    EXPECT_FALSE(reader.is_cut());
    pipe.write_end.reset();
    EXPECT_EQ(reader.read_from(pipe.read_end.fd(), take), LifelineReader::State::ended);
    EXPECT_EQ(lines.size(), 4U) << "half a line is none";
}

TEST(Lifeline, ALineWithoutEndIsLeftOut) {
    auto pipe = os::make_pipe().value();
    LifelineReader reader;
    std::vector<std::string> lines;
    const std::string much(32 * 1024, 'x');
    for (std::size_t sent = 0; sent <= limits::exchange_line_bytes_max; sent += much.size()) {
        ASSERT_TRUE(os::write_fully(pipe.write_end.fd(), much));
        reader.read_from(pipe.read_end.fd(), [&](std::string_view line) { lines.emplace_back(line); });
    }
    ASSERT_TRUE(os::write_fully(pipe.write_end.fd(), "\nkeep\n"));
    reader.read_from(pipe.read_end.fd(), [&](std::string_view line) { lines.emplace_back(line); });
    EXPECT_TRUE(reader.is_cut());
    EXPECT_EQ(lines, std::vector<std::string>{"keep"});
}

}  // namespace
}  // namespace ddict::launcher
