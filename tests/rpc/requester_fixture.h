// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A requester that talks to one manager, whose part the test plays.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "rpc/requester.h"
#include "tests/rpc/recording_transport.h"

namespace ddict {

using namespace std::chrono_literals;
using wire::ReplyHeader;
using wire::RequestHeader;
using wire::Verb;

class FixedSink final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t) override {
        buffer.resize(bytes);
        return std::span(buffer);
    }
    std::vector<std::byte> buffer;
};

class RequesterTest : public testing::Test {
  protected:
    static DirectoryEntry entry(std::uint64_t host_key) {
        DirectoryEntry e;
        e.shard = ShardId{0};
        e.node = "n0";
        e.process.host_key = host_key;
        e.address.assign(8, std::byte{1});
        return e;
    }
    static Request request_of(Verb verb) {
        Request request;
        request.verb = verb;
        request.key = bytes_of("k");
        return request;
    }
    void know(std::uint64_t host_key) { requester.add_manager(entry(host_key)); }

    Requester::OperationId begin(Verb verb, std::chrono::milliseconds timeout = 30s) {
        Request request;
        request.verb = verb;
        request.key = verb == Verb::ping ? Bytes() : bytes_of("k");
        if (verb == Verb::put) request.value = large;
        request.sink = &sink;
        return requester.begin(request, now, now + timeout);
    }
    /// Answers the message that was sent as number `index`.
    void answer(int index = -1, std::uint64_t argument = 0, std::uint16_t status = 0) {
        const auto request = transport.header<RequestHeader>(index);
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(request.verb) | wire::reply_bit;
        reply.request = request.request;
        reply.argument = argument;
        reply.status = status;
        requester.on_message(message_of(reply), {});
    }
    /// The answer to a get, whose value is still at the manager.
    void announce_value(Requester::OperationId get) {
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::get) | wire::reply_bit;
        reply.request = get;
        reply.value_bytes = 5000;
        requester.on_message(message_of(reply), {.in_memory = {}, .token = 9, .bytes = 5000});
    }
    /// Time in which the program keeps looking: jumps count as its own absence.
    void pass(std::chrono::milliseconds time) {
        for (; time > 0ms; time -= 100ms)
            requester.tick(now += std::min(time, 100ms));
    }
    Verb last_verb() const { return transport.header<RequestHeader>().verb; }
    Errc outcome(Requester::OperationId id) {
        EXPECT_TRUE(requester.done(id));
        const Result<Reply> reply = requester.take(id);
        return reply ? Errc{} : reply.error().code;
    }

    static constexpr std::uint64_t here = 1;
    static constexpr std::uint64_t elsewhere = 2;
    RecordingTransport transport;
    Requester requester{transport, {.dictionary_id = 1, .secret = {}, .ucx_version = 1}};
    FixedSink sink;
    std::vector<std::byte> large = std::vector<std::byte>(limits::inline_value_bytes_max + 1);
    Time now = Time(1h);
};

}  // namespace ddict
