// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager that takes over a pool and a reply memory in which anything may stand. It refuses them, or serves
// what is sound: then it goes on like any other, and whoever takes over from it finds nothing wrong.
#include <array>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "manager/shard.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/pool_damage.h"
#include "tests/fuzz/shard_client.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

using wire::RequestHeader;
using wire::Verb;

constexpr std::uint64_t pool_bytes = limits::pool_bytes_min;
constexpr std::size_t clients = 3;

/// One of its clients' view of a shard: by hand, each request in the next slot.
class Speaker {
  public:
    explicit Speaker(store::Store& store, std::uint64_t first_request)
        : store_(store), requests_(first_request) {
        shard_.set_directory(&managers_, &relay_);
    }
    /// Goes on with this session, if it is one. 0 if there is no answer: the client is known to have said
    /// hello later.
    std::uint64_t say_hello(std::size_t client, std::uint64_t session = 0) {
        shard_.on_message(fuzz::hello_of(store_.pool().identity(), Verb::hello, session, ++requests_,
                                         "client " + std::to_string(client)),
                          {});
        return transport_.sent.empty() ? 0 : transport_.header<wire::ReplyHeader>().argument;
    }
    /// Whether it was answered, and well.
    bool ask(std::uint64_t session, Verb verb, std::string_view key, Bytes value = {},
             std::uint64_t argument = 0) {
        RequestHeader header;
        header.verb = verb;
        header.session = session;
        ++requests_;
        header.request = (requests_ << wire::slot_bits) | (requests_ % 37);
        header.key_bytes = static_cast<std::uint16_t>(key.size());
        header.value_bytes = value.size();
        header.argument = argument;
        const std::size_t before = transport_.sent.size();
        if (value.size() <= limits::inline_value_bytes_max) {
            messages_.push_back(message_of(header, bytes_of(key), value));
            if (messages_.size() > messages_kept) messages_.pop_front();
            shard_.on_message(messages_.back(), {});
        } else {
            shard_.on_message(message_of(header, bytes_of(key)),
                              {.in_memory = value, .token = 0, .bytes = value.size()});
        }
        return transport_.sent.size() > before &&
               transport_.header<wire::ReplyHeader>().request == header.request &&
               transport_.header<wire::ReplyHeader>().status == 0;
    }
    bool ask_batch(std::uint64_t session, std::uint64_t from, std::uint64_t count) {
        std::vector<std::byte> packed(limits::batch_bytes_max);
        wire::ItemWriter items(packed);
        for (std::uint64_t i = from; i < from + count; ++i)
            fuzz::require(items.pair(bytes_of(shm::numbered_key(i, 12)), 0, bytes_of("in a batch")));
        return ask(session, Verb::batch_put, {}, items.written(), count);
    }
    /// What it has asked last, with small values.
    const std::deque<std::vector<std::byte>>& messages() const { return messages_; }
    void repeat(Bytes message) { shard_.on_message(message, {}); }
    Shard& shard() { return shard_; }

  private:
    fuzz::Managers managers_;
    fuzz::RecordingRelay relay_;
    store::Store& store_;
    RecordingTransport transport_;
    Shard shard_{store_, transport_, {.ucx_version = 1, .session_seed = 1, .pid = 5}};
    std::uint64_t requests_;
    static constexpr std::size_t messages_kept = 120;
    std::deque<std::vector<std::byte>> messages_;
};

/// What a manager leaves behind, in segments without a name once they are open.
class Left {
  public:
    Left() {
        shm::Segment pool = shm::Segment::create(pool_name_, pool_bytes).value();
        shm::Segment replies = store::ReplyMemory::create_segment(replies_name_).value();
    }
    ~Left() {
        shm::Segment::remove(pool_name_);
        shm::Segment::remove(replies_name_);
    }
    shm::Segment pool() const { return shm::Segment::open(pool_name_, shm::Access::read_write).value(); }
    shm::Segment replies() const {
        return shm::Segment::open(replies_name_, shm::Access::read_write).value();
    }

  private:
    const std::string pool_name_ = shm::test_segment_name();
    const std::string replies_name_ = shm::test_segment_name();
};

/// The parts of a reply memory that were used.
struct Part {
    std::size_t offset;
    std::size_t bytes;
};
std::vector<Part> parts_of(const store::ReplyMemory& memory) {
    const auto offset = [&](const void* at) {
        return static_cast<std::size_t>(static_cast<const std::byte*>(at) - memory.data());
    };
    return {{0, store::ReplyMemory::bytes_at_first() + sizeof(store::ErasedRecord) * 64},
            {offset(&memory.session(0)), sizeof(store::SessionRecord) * 8},
            {offset(&memory.reply(0)), sizeof(store::CachedReply) * 256},
            {offset(&memory.statuses(1)), sizeof(store::StatusRecord) * 2}};
}

/// Of a manager that was killed: pairs in several segments of the index, large ones, popped ones that their
/// clients may still want, batches, and broadcasts.
class Image {
  public:
    Image() {
        Left left;
        shm::Segment pool = left.pool();
        shm::Pool::format(pool, shm::test_identity()).value();
        MutableBytes memory(pool.data(), pool.size());
        store::ReplyMemory replies = store::ReplyMemory::in(left.replies()).value();
        const std::byte* reply_bytes = replies.data();
        const std::vector<Part> parts = parts_of(replies);
        store::Store store(shm::Pool::attach(std::move(pool)).value(), std::move(replies));
        Speaker speaker(store, 1);
        fill(speaker);
        messages = speaker.messages();
        pairs = store.pool().size();
        bytes.assign(memory.begin(), memory.end());
        for (const Part& part : parts)
            replies_.emplace_back(part, std::vector<std::byte>(reply_bytes + part.offset,
                                                               reply_bytes + part.offset + part.bytes));
    }
    void copy_to(shm::Segment& pool, store::ReplyMemory& replies) const {
        std::memcpy(pool.data(), bytes.data(), bytes.size());
        fuzz::require(replies.reserve_sessions(8) && replies.reserve_replies(256) &&
                      replies.reserve_statuses(2) && replies.reserve_erased());
        for (const auto& [part, content] : replies_)
            std::memcpy(replies.data() + part.offset, content.data(), content.size());
    }

    std::uint64_t pairs = 0;
    std::vector<std::byte> bytes;
    std::array<std::uint64_t, clients> sessions{};
    std::deque<std::vector<std::byte>> messages;

  private:
    void fill(Speaker& speaker) {
        const std::vector<std::byte> large(20'000, std::byte{'l'});
        for (std::size_t client = 0; client < clients; ++client) {
            const std::uint64_t session = sessions[client] = speaker.say_hello(client);
            for (std::uint64_t i = 0; i < 700; ++i) {
                const std::string key = shm::numbered_key(i * clients + client, 12);
                fuzz::require(speaker.ask(session, Verb::put, key, Bytes(large).first(i % 90)));
            }
            for (std::uint64_t i = 0; i < 5; ++i) {
                const std::string key = "large" + std::to_string(client) + std::to_string(i);
                fuzz::require(speaker.ask(session, Verb::put, key, large));
                if (i < 3) fuzz::require(speaker.ask(session, Verb::pop, key));
            }
            fuzz::require(speaker.ask_batch(session, 10'000 + 100 * client, 30));
            // Some of these keys are this manager's to broadcast.
            for (std::uint64_t i = 0; i < 40; ++i) {
                const std::string key = "for all " + std::to_string(i);
                speaker.ask(session, i % 4 == 3 ? Verb::broadcast_erase : Verb::broadcast_put, key,
                            i % 4 == 3 ? Bytes() : bytes_of("value"));
            }
        }
    }

    std::vector<std::pair<Part, std::vector<std::byte>>> replies_;
};

void damage_replies(fuzz::Input& input, const store::ReplyMemory& replies) {
    const MutableBytes memory(replies.data(), store::ReplyMemory::bytes());
    const auto offset = [&](const void* at) {
        return static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - replies.data());
    };
    switch (input.below(5)) {
        case 4: {  // its request is being executed, more or less
            store::CachedReply& reply = replies.reply(input.below(256));
            reply.pending = reply.request;
            reply.request = reply.request == 0 ? 0 : reply.request - 1;
            reply.pending_kind = input.take<std::uint8_t>();
            reply.argument = input.number();
            reply.statuses = static_cast<std::uint32_t>(input.below(4));
            return;
        }
        case 0:
            return fuzz::change_word(input, memory.first(store::ReplyMemory::bytes_at_first()),
                                     8 * input.below(8));
        case 1:
            return fuzz::change_word(
                input, memory,
                offset(&replies.session(static_cast<std::uint32_t>(input.below(5)))) + 8 * input.below(4));
        case 2:
            return fuzz::change_word(input, memory,
                                     offset(&replies.reply(input.below(256))) + 8 * input.below(8));
        default:
            return fuzz::scribble(
                input, memory.subspan(offset(&replies.reply(0)), sizeof(store::CachedReply) * 256));
    }
}

std::uint64_t pairs_in(const store::Store& store) {
    std::uint64_t pairs = 0;
    for (std::uint64_t cursor = 0;;) {
        cursor = store.pool().scan(cursor, [&](const shm::Block& block) {
            fuzz::require(hash_of(block.key()) == block.hash());
            fuzz::require(block.value_bytes() <= pool_bytes);
            ++pairs;
            return true;
        });
        if (cursor == 0) return pairs;
    }
}

/// Takes it over, looks at all of it, and works on. Nothing if it was refused.
std::optional<shm::RecoveryReport> take_over(const Left& left, const Image& image,
                                             std::uint64_t first_request, fuzz::Input* input) {
    shm::RecoveryReport report;
    auto recovered =
        store::Store::recover(left.pool(), store::ReplyMemory::in(left.replies()).value(), report);
    if (!recovered) {
        const Errc code = recovered.error().code;
        fuzz::require(code == Errc::protocol || code == Errc::incompatible || code == Errc::system);
        return std::nullopt;
    }
    store::Store& store = **recovered;
    fuzz::require(report.pairs == store.pool().size() && pairs_in(store) == report.pairs);
    Speaker speaker(store, first_request);
    fuzz::require_none(speaker.shard().inconsistency());
    if (input == nullptr) return report;

    // Its clients go on, and ask again for what may not have been answered.
    for (std::size_t client = 0; client < clients; ++client)
        speaker.say_hello(client, image.sessions[client]);
    for (const std::vector<std::byte>& message : image.messages)
        speaker.repeat(message);
    fuzz::require_none(speaker.shard().inconsistency());
    const std::uint64_t session = speaker.say_hello(input->below(clients + 1));
    speaker.ask(session, Verb::freeze, {}, {}, wire::freeze_off);
    const std::string value(5000, 'n');
    for (std::uint64_t i = 0; i < 40; ++i) {
        const std::string key = shm::numbered_key(std::uint64_t{input->take<std::uint8_t>()} * 20, 12);
        if (speaker.ask(session, Verb::put, key, bytes_of(value).first(i * i)))
            fuzz::require(shm::value_of(store.pool(), key).size() == i * i);
        const std::string other = shm::numbered_key(std::uint64_t{input->take<std::uint8_t>()} * 8 + 1, 12);
        if (i % 3 == 0 && speaker.ask(session, i % 2 == 0 ? Verb::erase : Verb::pop, other))
            fuzz::require(shm::find(store.pool(), other) == nullptr);
    }
    fuzz::require_none(speaker.shard().inconsistency());
    if (input->below(4) == 0 && speaker.ask(session, Verb::clear, {})) fuzz::require(store.size() == 0);
    for (std::uint64_t i = 0; i < 30; ++i)
        speaker.ask(session, Verb::put, shm::numbered_key(50'000 + i, 12), bytes_of(value));
    fuzz::require_none(speaker.shard().inconsistency());
    return report;
}

}  // namespace
}  // namespace ddict::manager

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ddict;
    using namespace ddict::manager;
    static const Image image;
    fuzz::Input input(data, size);
    const Left left;
    const std::size_t changes = input.below(10);
    {
        shm::Segment pool = left.pool();
        store::ReplyMemory replies = store::ReplyMemory::in(left.replies()).value();
        image.copy_to(pool, replies);
        fuzz::PoolDamage damage(input, {pool.data(), pool.size()});
        for (std::size_t i = 0; i < changes; ++i)
            input.below(3) == 0 ? damage_replies(input, replies) : damage.change_one();
        // A million sessions take a second to look at, and are no different from a few hundred.
        constexpr std::uint32_t sessions_enough = 300;
        if (replies.sessions_used() > sessions_enough && input.below(64) != 0)
            replies.set_sessions_used(sessions_enough);
    }
    const auto first = take_over(left, image, std::uint64_t{1} << 32, &input);
    if (changes == 0)
        fuzz::require(first && first->pairs == image.pairs && first->unsound == 0 && first->missing == 0);
    if (!first) return 0;
    const auto second = take_over(left, image, std::uint64_t{1} << 33, nullptr);
    fuzz::require(second && second->unsound == 0 && second->missing == 0);
    return 0;
}
