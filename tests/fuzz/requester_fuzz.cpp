// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a client makes of bytes from managers: answers with any fields, to any of its requests or to none,
// early, late and twice, while connections break and managers move. Every operation ends; while one has not,
// its memory is its own; what is answered well has the bytes that came.
#include <algorithm>
#include <deque>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "rpc/requester.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/rpc/recording_transport.h"

namespace ddict {
namespace {

using wire::ReplyHeader;
using wire::RequestHeader;
using wire::Verb;
using namespace std::chrono_literals;

constexpr std::uint32_t managers = 3;

DirectoryEntry entry_of(std::uint32_t shard, std::uint32_t epoch, ServingState state) {
    DirectoryEntry entry;
    entry.shard = ShardId{shard};
    entry.epoch = Epoch{epoch};
    entry.state = state;
    entry.is_restartable = shard != 1;
    entry.node = "n" + std::to_string(shard);
    entry.process.host_key = shard == 0 ? 1 : 2;  // the first is of this host
    entry.address.assign(8, std::byte{1});
    return entry;
}

/// Takes the value as a whole, in two pieces, or not at all.
class Sink final : public ValueSink {
  public:
    explicit Sink(std::size_t way) : way_(way) {}
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t) override {
        if (way_ == 1) return Error(Errc::wrong_type);
        if (way_ == 2) throw std::bad_alloc();
        value_.assign(bytes, std::byte{0});
        first_ = way_ == 3 ? bytes / 2 : bytes;
        return std::span(value_).first(first_);
    }
    std::span<std::byte> rest() override { return std::span(value_).subspan(first_); }
    const std::vector<std::byte>& value() const { return value_; }

  private:
    std::size_t way_;
    std::size_t first_ = 0;
    std::vector<std::byte> value_;
};

struct Operation {
    OperationId id = 0;
    Verb verb = Verb::ping;
    std::string key;
    std::vector<std::byte> value;
    std::vector<Bytes> parts;
    std::optional<Sink> sink;
};

class World {
  public:
    explicit World(fuzz::Input& input) : input_(input) {
        for (std::uint32_t shard = 0; shard < managers; ++shard)
            requester_.add_manager(entry_of(shard, 1, ServingState::serving));
    }
    bool is_over() const { return input_.is_empty(); }

    void step() {
        switch (input_.below(12)) {
            case 0:
            case 1:
                return begin();
            case 2:
                return raw_message();
            case 3:
                return end_receiving(input_.below(4) != 0);
            case 4:
                return end_sending();
            case 5:
                return lose_a_peer();
            case 6:
                return pass(std::chrono::milliseconds(input_.take<std::uint16_t>() % 3000));
            case 7:
                return move_a_manager();
            case 8:
                return give_one_up();
            default:
                return answer();
        }
    }

    void end() {
        requester_.leave();
        transport_.open.clear();
        for (int i = 0; i < 3; ++i) {
            take_received();
            while (!receiving_.empty())
                end_receiving(false);
            while (end_one_sending(0)) {
            }
        }
        for (const auto& operation : operations_)
            fuzz::require(requester_.done(operation->id));
        take_what_is_done();
        fuzz::require(operations_.empty());
        for (const std::uint64_t token : tokens_)
            fuzz::require(std::ranges::count(ended_tokens_, token) +
                              std::ranges::count(transport_.discarded, token) ==
                          1);
    }

  private:
    void begin() {
        if (operations_.size() >= 12) return;
        constexpr std::array<Verb, 16> verbs{Verb::put,       Verb::get,      Verb::get,      Verb::pop,
                                             Verb::pop,       Verb::erase,    Verb::append,   Verb::fetch_add,
                                             Verb::contains,  Verb::size,     Verb::clear,    Verb::stats,
                                             Verb::batch_get, Verb::wait_for, Verb::shutdown, Verb::freeze};
        auto operation = std::make_unique<Operation>();
        operation->verb = input_.pick(verbs);
        const wire::VerbRule& rule = wire::rule_of(operation->verb);
        if (rule.key.bytes_min != 0) operation->key = "k" + std::to_string(input_.below(4));
        Request request;
        request.verb = operation->verb;
        request.shard = ShardId{static_cast<std::uint32_t>(input_.below(managers))};
        request.key = bytes_of(operation->key);
        if (operation->verb == Verb::put || operation->verb == Verb::append) {
            constexpr std::array<std::size_t, 4> sizes{0, 100, 4097, 20'000};
            operation->value.resize(input_.pick(sizes));
            request.value = operation->value;
            if (operation->value.size() > limits::gathered_bytes_max && input_.flip()) {
                operation->parts = {request.value.first(5), request.value.subspan(5)};
                request.parts = operation->parts;
                request.value = {};
            }
        }
        if (input_.below(4) != 0) request.sink = &operation->sink.emplace(input_.below(6));
        operation->id =
            requester_.begin(request, now_, now_ + std::chrono::milliseconds(input_.take<std::uint16_t>()));
        operations_.push_back(std::move(operation));
    }

    /// To one of the last requests, mostly as a manager would.
    void answer() {
        if (transport_.sent.empty()) return;
        const std::size_t back = 1 + input_.below(std::min<std::size_t>(transport_.sent.size(), 8));
        const RecordingTransport::Sent& sent = transport_.sent[transport_.sent.size() - back];
        if (sent.header.size() < sizeof(RequestHeader)) return;
        RequestHeader request;
        std::memcpy(&request, sent.header.data(), sizeof request);
        const bool is_wild = input_.below(8) == 0;
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(request.verb) | wire::reply_bit;
        reply.request = request.request;
        reply.argument = request.verb == Verb::hello ? 1 + input_.below(3) : input_.number();
        reply.argument2 = input_.below(4);
        if (input_.below(4) == 0) reply.status = static_cast<std::uint16_t>(input_.below(errc_last + 1));
        std::vector<std::byte> value;
        if (request.verb == Verb::directory && request.session != 0) {
            pack(entry_of(static_cast<std::uint32_t>(input_.below(managers + 1)),
                          1 + static_cast<std::uint32_t>(input_.below(5)),
                          static_cast<ServingState>(input_.below(3))),
                 value);
        } else if (reply.status == 0 && (request.verb == Verb::get || request.verb == Verb::pop ||
                                         request.verb == Verb::stats || request.verb == Verb::batch_get)) {
            constexpr std::array<std::size_t, 5> sizes{0, 1, 300, 4097, 50'000};
            value.resize(input_.pick(sizes));
            for (std::size_t i = 0; i < value.size(); i += 100)
                value[i] = static_cast<std::byte>(i / 100 + 1);
        }
        reply.value_bytes = value.size();
        if (is_wild) {
            reply.value_bytes = input_.number();
            reply.status = static_cast<std::uint16_t>(input_.number());
            if (input_.flip()) reply.request = input_.number();
            if (input_.flip()) reply.verb_and_reply_bit = input_.take<std::uint8_t>();
        }
        deliver(reply, value);
    }

    void deliver(const ReplyHeader& reply, const std::vector<std::byte>& value) {
        if (value.size() <= limits::inline_value_bytes_max) {
            requester_.on_message(message_of(reply, value), {});
        } else {
            IncomingPayload payload{.in_memory = {}, .token = 0, .bytes = value.size()};
            switch (input_.below(4)) {
                case 0:
                    payload.in_memory = value;
                    break;
                case 1:
                    break;  // refused: the transport had no memory for it
                default:
                    payload.token = tokens_.emplace_back(tokens_.size() + 1);
                    payloads_.push_back(value);
            }
            requester_.on_message(message_of(reply), payload);
        }
        take_what_is_done();
    }

    void raw_message() {
        const Bytes bytes = input_.take_raw(input_.below(100));
        requester_.on_message(bytes, {});
        take_what_is_done();
    }

    void take_received() {
        receiving_.insert(receiving_.end(), transport_.received.begin(), transport_.received.end());
        transport_.received.clear();
    }
    void end_receiving(bool ok) {
        take_received();
        if (receiving_.empty()) return;
        const RecordingTransport::Received received = receiving_.front();
        receiving_.pop_front();
        ended_tokens_.push_back(received.token);
        const std::vector<std::byte>& payload = payloads_.at(received.token - 1);
        fuzz::require(received.into.size() + received.rest.size() == payload.size());
        // The operation is not done: so this memory is there.
        std::copy_n(payload.begin(), received.into.size(), received.into.begin());
        std::copy(payload.begin() + static_cast<std::ptrdiff_t>(received.into.size()), payload.end(),
                  received.rest.begin());
        requester_.on_payload_received(received.tag, ok && transport_.open.contains(received.from));
        take_what_is_done();
    }
    bool end_one_sending(std::size_t which) {
        for (std::size_t i = 0; i < transport_.sent.size(); ++i) {
            RecordingTransport::Sent& sent = transport_.sent[i];
            if (sent.tag == 0 || which-- != 0) continue;
            unsigned sum = 0;
            for (const std::byte byte : sent.payload)
                sum += static_cast<unsigned>(byte);
            for (const Bytes part : sent.parts)
                sum += static_cast<unsigned>(part.front()) + static_cast<unsigned>(part.back());
            fuzz::require(sum == 0);  // what was given to it, which is all zeros
            const std::uint64_t tag = std::exchange(sent.tag, 0);
            requester_.on_payload_sent(tag, transport_.open.contains(sent.peer));
            return true;
        }
        return false;
    }
    void end_sending() {
        end_one_sending(input_.below(3));
        take_what_is_done();
    }
    void lose_a_peer() {
        if (transport_.open.empty()) return;
        const auto which =
            static_cast<std::ptrdiff_t>(input_.below(std::min<std::size_t>(transport_.open.size(), 256)));
        const PeerId peer = *std::next(transport_.open.begin(), which);
        transport_.open.erase(peer);
        take_received();
        for (std::size_t i = 0; i < receiving_.size();) {
            if (receiving_[i].from != peer) {
                ++i;
                continue;
            }
            std::swap(receiving_[i], receiving_.front());
            end_receiving(false);
            take_received();
        }
        for (std::size_t i = 0; i < transport_.sent.size(); ++i) {
            if (transport_.sent[i].tag == 0 || transport_.sent[i].peer != peer) continue;
            requester_.on_payload_sent(std::exchange(transport_.sent[i].tag, 0), false);
        }
        requester_.on_peer_lost(peer, Error(Errc::manager_lost));
        take_what_is_done();
    }
    void pass(std::chrono::milliseconds time) {
        now_ += time;
        requester_.tick(now_);
        take_what_is_done();
    }
    void move_a_manager() {
        const auto shard = static_cast<std::uint32_t>(input_.below(managers));
        requester_.add_manager(entry_of(shard, 1 + static_cast<std::uint32_t>(input_.below(5)),
                                        static_cast<ServingState>(input_.below(3))));
        take_what_is_done();
    }
    void give_one_up() {
        if (operations_.empty()) return;
        requester_.give_up(operations_[input_.below(operations_.size())]->id);
        take_what_is_done();
    }

    void take_what_is_done() {
        std::erase_if(operations_, [this](const std::unique_ptr<Operation>& operation) {
            if (!requester_.done(operation->id)) return false;
            const Result<Reply> reply = requester_.take(operation->id);
            if (!reply) {
                fuzz::require(reply.error().code != Errc{});
                fuzz::require(!reply.error().in_doubt || wire::is_change(operation->verb));
            } else if (operation->sink && reply->value_bytes != 0) {
                fuzz::require(operation->sink->value().size() == reply->value_bytes);
                fuzz::require(operation->sink->value().empty() ||
                              operation->sink->value()[0] == std::byte{1});
            }
            return true;
        });
    }

    fuzz::Input& input_;
    RecordingTransport transport_;
    LostManagers lost_;
    Requester requester_{transport_, {.dictionary_id = 1, .secret = {}, .ucx_version = 1}, &lost_};
    Time now_ = Time(1h);
    std::vector<std::unique_ptr<Operation>> operations_;
    std::deque<RecordingTransport::Received> receiving_;
    std::vector<std::uint64_t> tokens_;
    std::vector<std::uint64_t> ended_tokens_;
    std::vector<std::vector<std::byte>> payloads_;  // by token, from 1 on
};

}  // namespace
}  // namespace ddict

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ddict::fuzz::Input input(data, size);
    ddict::World world(input);
    for (int steps = 0; steps < 300 && !world.is_over(); ++steps)
        world.step();
    world.end();
    return 0;
}
