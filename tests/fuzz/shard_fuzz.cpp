// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a manager does with bytes of clients: requests with any fields, in their own sessions and in others,
// once and again, with values that come, fail to come, or come after their client has gone. A message that is
// rejected changes nothing; a request that comes again is answered as the first time; what is stored is what
// was put; and when all clients have gone, nothing of them is left.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "manager/shard.h"
#include "rpc/request.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/shard_client.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

using wire::ReplyHeader;
using wire::RequestHeader;
using wire::Verb;

struct Message {
    std::vector<std::byte> bytes;
    std::vector<std::byte> value;  // of a payload
    bool has_token = false;        // the payload is still at the client
};

ReplyHeader header_of(const RecordingTransport::Sent& sent) {
    ReplyHeader header;
    fuzz::require(sent.header.size() >= sizeof header);
    std::memcpy(&header, sent.header.data(), sizeof header);
    return header;
}

std::vector<std::byte> bytes_of_reply(const RecordingTransport::Sent& sent) {
    std::vector<std::byte> bytes = sent.header;
    bytes.insert(bytes.end(), sent.payload.begin(), sent.payload.end());
    return bytes;
}

class World {
  public:
    explicit World(fuzz::Input& input) : input_(input) {
        shard_.set_directory(&managers_, &relay_);
        for (std::size_t client = 0; client < clients; ++client)
            say_hello(client);
    }

    void step() {
        switch (input_.below(16)) {
            case 0:
                return deliver(raw_message());
            case 1:
                return repeat();
            case 2:
            case 3:
                return end_receiving(input_.below(4) != 0);
            case 4:
                return end_sending(input_.below(4) != 0);
            case 5:
                return lose_a_peer();
            case 6:
                return pass(std::chrono::milliseconds(input_.take<std::uint16_t>()));
            case 7:
                return say_hello(input_.below(clients));
            case 8:
                return end_relayed();
            default:
                last_ = request();
                return deliver(*last_);
        }
    }

    /// All clients go, and what was on its way ends.
    void end() {
        while (!transport_.open.empty())
            lose(*transport_.open.begin());
        end_what_is_closed();
        while (!relay_.tags.empty())
            end_relayed();
        pass(2 * limits::session_kept);
        pass(std::chrono::milliseconds(1));
        const ManagerStats stats = shard_.statistics();
        fuzz::require(stats.sessions == 0 && shard_.sessions().size() == 0);
        fuzz::require(stats.waiting == 0 && stats.broadcasts == 0 && stats.payloads_in_flight == 0);
        fuzz::require(stats.private_bytes == 0);
        fuzz::require_none(shard_.inconsistency());
        // Each payload was fetched or discarded, and once.
        std::multiset<std::uint64_t> ended(transport_.discarded.begin(), transport_.discarded.end());
        for (const RecordingTransport::Received& received : received_)
            ended.insert(received.token);
        for (std::uint64_t token = 1; token <= tokens_; ++token)
            fuzz::require(ended.count(token) == 1);
        fuzz::require(ended.size() == tokens_);
    }

    bool is_over() const { return input_.is_empty(); }

  private:
    static constexpr std::size_t clients = 3;

    // ---- messages

    std::uint64_t session() {
        const std::size_t which = input_.below(16);
        if (which == 0) return 0;
        if (which == 1) return input_.take<std::uint64_t>();
        return sessions_[which % clients];
    }

    std::uint64_t number() {
        const std::uint64_t slot = input_.below(4);
        switch (input_.below(8)) {
            case 0:
                return input_.take<std::uint64_t>();
            case 1:
                return last_number_[slot];
            case 2:
                return (std::uint64_t{input_.take<std::uint8_t>()} << wire::slot_bits) | slot;
            default:
                return last_number_[slot] = (++requests_ << wire::slot_bits) | slot;
        }
    }

    std::string key() {
        switch (input_.below(12)) {
            case 0:
                return {};
            case 1:
                return std::string(limits::key_bytes_max, 'k');
            case 2: {
                const auto bytes = input_.take_bytes(input_.below(40));
                return {bytes.begin(), bytes.end()};
            }
            default:
                return "k" + std::to_string(input_.below(6));
        }
    }

    std::vector<std::byte> value() {
        constexpr std::array<std::size_t, 12> sizes{0,    1,    8,    8,      30,      200,
                                                    4096, 4097, 6000, 70'000, 300'000, 2'000'000};
        const Bytes bytes = input_.take_raw(input_.below(32));
        std::vector<std::byte> value(input_.pick(sizes), std::byte{'v'});
        std::copy_n(bytes.begin(), std::min(bytes.size(), value.size()), value.begin());
        return value;
    }

    std::vector<std::byte> items(Verb verb, std::uint64_t& count) {
        std::vector<std::byte> packed(limits::batch_bytes_max);
        wire::ItemWriter writer(packed);
        count = input_.below(10);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::string text = "k" + std::to_string(input_.below(6));
            const std::vector<std::byte> stored(input_.below(250));
            const bool written =
                verb == Verb::batch_put ? writer.pair(bytes_of(text), 3, stored) : writer.key(bytes_of(text));
            fuzz::require(written);
        }
        packed.resize(writer.written().size());
        return packed;
    }

    /// Mostly one that its verb allows.
    Message request() {
        RequestHeader header;
        header.verb = static_cast<Verb>(1 + input_.below(wire::verb_last + 1));
        header.session = session();
        header.request = number();
        const bool is_verb = wire::is_verb(static_cast<std::uint8_t>(header.verb));
        const wire::VerbRule rule = is_verb ? wire::rule_of(header.verb) : wire::VerbRule{};
        const bool is_wild = input_.below(8) == 0;
        std::string key_text;
        if (rule.key.bytes_max != 0 || is_wild) key_text = key();
        Message message;
        if (rule.value_bytes_max != 0 || is_wild) message.value = value();
        header.argument = input_.number();
        if (header.verb == Verb::batch_get || header.verb == Verb::batch_put ||
            header.verb == Verb::batch_erase)
            message.value = items(header.verb, header.argument);
        if (header.verb == Verb::compare_and_swap) header.argument %= message.value.size() + 1;
        if (header.verb == Verb::freeze) header.argument %= 3;
        if (header.verb == Verb::erase_prefix || header.verb == Verb::count_prefix) header.argument %= 3;
        header.flags =
            static_cast<std::uint16_t>(input_.take<std::uint8_t>() & (is_wild ? 0xff : rule.flags));
        header.value_type = static_cast<std::uint16_t>(input_.number());
        header.checkpoint = input_.take<std::uint8_t>();
        if (is_wild) {
            header.placed_by = static_cast<PlacedBy>(input_.below(5));
            header.key_type = static_cast<std::uint16_t>(input_.number());
        }
        if (rule.takes_ttl || is_wild) header.has_ttl = input_.below(4) == 0 ? 1 : 0;
        header.key_bytes = static_cast<std::uint16_t>(key_text.size());
        header.value_bytes = message.value.size();
        std::string rest;
        if (header.placed_by != PlacedBy::own_hash) rest.assign(sizeof(std::uint64_t), 'p');
        if (header.has_ttl != 0) rest.append(sizeof(std::uint64_t), 't');  // microseconds: ages
        rest += key_text;
        if (message.value.size() <= limits::inline_value_bytes_max) {
            rest += text_of(message.value);
            message.value.clear();
        } else {
            message.has_token = input_.flip();
        }
        message.bytes = message_of(header, bytes_of(rest));
        for (std::size_t changes = is_wild ? input_.below(3) : 0; changes > 0; --changes)
            message.bytes[input_.take<std::uint8_t>() % message.bytes.size()] = input_.take<std::byte>();
        return message;
    }

    Message raw_message() {
        Message message;
        const Bytes bytes = input_.take_raw(input_.below(200));
        message.bytes.assign(bytes.begin(), bytes.end());
        return message;
    }

    void say_hello(std::size_t client) {
        const std::string address = "client " + std::to_string(client);
        const bool leaves = hellos_ > clients && input_.below(4) == 0;
        const bool goes_on = input_.flip();
        const std::size_t before = transport_.sent.size();
        deliver({.bytes = fuzz::hello_of(pool_.identity(), leaves ? Verb::goodbye : Verb::hello,
                                         goes_on && !leaves ? sessions_[client] : 0, ++hellos_, address),
                 .value = {}});
        if (transport_.sent.size() == before) return;
        const ReplyHeader reply = header_of(transport_.sent.back());
        if (reply.status == 0 && reply.request == hellos_) sessions_[client] = reply.argument;
    }

    // ---- what becomes of them

    void deliver(const Message& message) {
        const std::size_t sent_before = transport_.sent.size();
        const std::uint64_t sequence_before = store_.sequence();
        const std::uint64_t size_before = pool_.size();
        const std::uint64_t rejected_before = rejected();
        IncomingPayload payload;
        if (!message.value.empty()) {
            payload.bytes = message.value.size();
            if (message.has_token) {
                payload.token = ++tokens_;
                payloads_[payload.token] = message.value;
            } else {
                payload.in_memory = message.value;
                payload.is_shared = message.value.size() % 2 != 0;
            }
        }
        shard_.on_message(message.bytes, payload);
        if (rejected() != rejected_before) {
            fuzz::require(rejected() == rejected_before + 1);
            fuzz::require(store_.sequence() == sequence_before && pool_.size() == size_before);
        }
        look_at_replies(sent_before);
        if (message.bytes.size() >= sizeof(RequestHeader) && transport_.sent.size() == sent_before + 1)
            compare_with_store(message, transport_.sent.back(), store_.sequence() != sequence_before);
        fuzz::require_none(shard_.inconsistency());
    }

    std::uint64_t rejected() const { return shard_.statistics().rejected_messages; }

    void look_at_replies(std::size_t from) const {
        for (std::size_t i = from; i < transport_.sent.size(); ++i) {
            const RecordingTransport::Sent& sent = transport_.sent[i];
            const ReplyHeader header = header_of(sent);
            fuzz::require(is_well_formed(header) && sent.header.size() <= limits::header_bytes_max);
            const std::size_t arrived =
                sent.tag != 0 ? sent.payload.size() : sent.header.size() - sizeof header;
            fuzz::require(arrived == header.value_bytes);
            fuzz::require(sent.tag == 0 || sent.header.size() == sizeof header);
        }
    }

    /// The answer to a request, and what there is right after it.
    void compare_with_store(const Message& message, const RecordingTransport::Sent& sent,
                            bool has_changed) const {
        RequestHeader request;
        std::memcpy(&request, message.bytes.data(), sizeof request);
        const ReplyHeader reply = header_of(sent);
        if (reply.request != request.request || reply.status != 0 ||
            request.placed_by != PlacedBy::own_hash || request.has_ttl != 0)
            return;
        // One that comes in the place of another, with its number, has that one's answer.
        if (message.has_token || (wire::is_cached(request.verb) && !has_changed)) return;
        const Bytes rest = Bytes(message.bytes).subspan(sizeof request);
        if (rest.size() < request.key_bytes) return;
        const KeyBytes key(rest.first(request.key_bytes), request.key_type);
        const Bytes value = message.value.empty() ? rest.subspan(request.key_bytes) : Bytes(message.value);
        const shm::Block* block = key.empty() ? nullptr : pool_.find(key, hash_of(key));
        switch (request.verb) {
            case Verb::put:
                if (reply.argument != 1) return;
                fuzz::require(block != nullptr && block->value_type() == request.value_type);
                return fuzz::require(std::ranges::equal(block->value(), value));
            case Verb::get:
                fuzz::require(block != nullptr && reply.value_type == block->value_type());
                return fuzz::require(std::ranges::equal(
                    block->value(), sent.tag != 0 ? sent.payload : Bytes(sent.header).subspan(sizeof reply)));
            case Verb::erase:
                return fuzz::require(block == nullptr);
            case Verb::broadcast_erase:
                return fuzz::require(!store_.marks().holds(key));
            case Verb::append:
                return fuzz::require(block != nullptr && block->value_bytes() == reply.argument);
            case Verb::contains:
                return fuzz::require((reply.argument != 0) == (block != nullptr));
            case Verb::clear:
                return fuzz::require(store_.size() == 0);
            default:
                return;
        }
    }

    /// What was answered is answered so again, and is not done again.
    void repeat() {
        if (!last_ || last_->has_token) return;
        RequestHeader header;
        if (last_->bytes.size() < sizeof header) return;
        std::memcpy(&header, last_->bytes.data(), sizeof header);
        const std::size_t first = transport_.sent.size();
        deliver(*last_);
        const bool is_answered = transport_.sent.size() == first + 1;
        const bool is_put_back = header.verb == Verb::pop && (header.flags & wire::pop_put_back) != 0;
        if (!is_answered || !wire::is_verb(static_cast<std::uint8_t>(header.verb)) ||
            !wire::is_cached(header.verb) || is_put_back)
            return;
        const ReplyHeader reply = header_of(transport_.sent.back());
        if (reply.status != 0 || reply.request != header.request) return;
        const std::vector<std::byte> answer = bytes_of_reply(transport_.sent.back());
        const std::uint64_t sequence = store_.sequence();
        deliver(*last_);
        fuzz::require(store_.sequence() == sequence && transport_.sent.size() == first + 2);
        fuzz::require(bytes_of_reply(transport_.sent.back()) == answer);
    }

    // ---- what else happens

    void end_receiving(bool ok) {
        take_received();
        if (receiving_.empty()) return;
        const std::size_t which = input_.below(receiving_.size() < 256 ? receiving_.size() : 256);
        end_receiving(receiving_[which], ok);
        receiving_.erase(receiving_.begin() + static_cast<std::ptrdiff_t>(which));
        fuzz::require_none(shard_.inconsistency());
    }
    void end_receiving(const RecordingTransport::Received& received, bool ok) {
        const std::vector<std::byte>& payload = payloads_.at(received.token);
        fuzz::require(received.into.size() == payload.size());
        const bool arrives = ok && transport_.open.contains(received.from);
        std::copy(payload.begin(), payload.end(), received.into.begin());
        const std::size_t sent_before = transport_.sent.size();
        shard_.on_payload_received(received.tag, arrives);
        look_at_replies(sent_before);
    }
    void take_received() {
        receiving_.insert(receiving_.end(), transport_.received.begin(), transport_.received.end());
        received_.insert(received_.end(), transport_.received.begin(), transport_.received.end());
        transport_.received.clear();
    }
    /// Indices of messages whose payloads are on their way.
    std::vector<std::size_t> sending() const {
        std::vector<std::size_t> all;
        for (std::size_t i = 0; i < transport_.sent.size(); ++i)
            if (transport_.sent[i].tag != 0) all.push_back(i);
        return all;
    }
    void end_sending(bool ok) {
        const std::vector<std::size_t> all = sending();
        if (!all.empty()) end_sending(all[input_.below(std::min<std::size_t>(all.size(), 256))], ok);
    }
    void end_sending(std::size_t index, bool ok) {
        RecordingTransport::Sent& sent = transport_.sent[index];
        unsigned sum = 0;  // it is still there
        for (const std::byte byte : sent.payload)
            sum += static_cast<unsigned>(byte);
        fuzz::require(sum <= 255 * sent.payload.size());
        const std::uint64_t tag = std::exchange(sent.tag, 0);
        sent.payload = {};
        shard_.on_payload_sent(tag, ok && transport_.open.contains(sent.peer));
    }
    void lose_a_peer() {
        if (transport_.open.empty()) return;
        const auto which =
            static_cast<std::ptrdiff_t>(input_.below(std::min<std::size_t>(transport_.open.size(), 256)));
        lose(*std::next(transport_.open.begin(), which));
    }
    /// What is on its way to it or from it ends first.
    void lose(PeerId peer) {
        transport_.open.erase(peer);
        end_what_is_closed();
        shard_.on_peer_lost(peer, Error(Errc::manager_lost));
        fuzz::require_none(shard_.inconsistency());
    }
    void end_what_is_closed() {
        for (bool any = true; any;) {
            any = false;
            take_received();
            for (std::size_t i = 0; i < receiving_.size(); ++i) {
                if (transport_.open.contains(receiving_[i].from)) continue;
                const RecordingTransport::Received received = receiving_[i];
                receiving_.erase(receiving_.begin() + static_cast<std::ptrdiff_t>(i--));
                end_receiving(received, false);
                any = true;
            }
            for (const std::size_t i : sending()) {
                if (transport_.open.contains(transport_.sent[i].peer)) continue;
                end_sending(i, false);
                any = true;
            }
        }
    }
    void end_relayed() {
        if (relay_.tags.empty()) return;
        const std::uint64_t tag = relay_.tags.front();
        relay_.tags.pop_front();
        const auto code = static_cast<Errc>(1 + input_.below(errc_last));
        if (input_.below(4) == 0) {
            shard_.on_relayed(tag, Error(code).set_manager(1));
        } else {
            shard_.on_relayed(tag, Reply{});
        }
    }
    void pass(std::chrono::milliseconds time) {
        for (int i = 0; i < 20 && shard_.needs_tick(); ++i)
            shard_.tick(now_);
        now_ += time;
        const std::size_t sent_before = transport_.sent.size();
        for (int i = 0; i < 20 && shard_.needs_tick(); ++i)
            shard_.tick(now_);
        look_at_replies(sent_before);
        fuzz::require_none(shard_.inconsistency());
    }

    fuzz::Input& input_;
    fuzz::Managers managers_;
    fuzz::RecordingRelay relay_;
    store::Store store_{shm::make_pool(limits::pool_bytes_min)};
    const shm::Pool& pool_ = store_.pool();
    RecordingTransport transport_;
    Shard shard_{store_, transport_, {.ucx_version = 1, .session_seed = 1, .pid = 5}};
    Time now_ = Time(std::chrono::hours(1));
    std::array<std::uint64_t, clients> sessions_{};
    std::array<std::uint64_t, 4> last_number_{};
    std::uint64_t hellos_ = 0;
    std::uint64_t requests_ = 0;
    std::uint64_t tokens_ = 0;
    std::map<std::uint64_t, std::vector<std::byte>> payloads_;  // by token
    std::vector<RecordingTransport::Received> receiving_;
    std::vector<RecordingTransport::Received> received_;
    std::optional<Message> last_;
};

}  // namespace
}  // namespace ddict::manager

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ddict::fuzz::Input input(data, size);
    ddict::manager::World world(input);
    for (int steps = 0; steps < 200 && !world.is_over(); ++steps)
        world.step();
    world.end();
    return 0;
}
