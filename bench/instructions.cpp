// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Something for callgrind to count: the same-node get of a client, and the small put and get of a manager.
// Only what is to be counted is instrumented, so that ten million pairs can be there first.
// scripts/instructions runs it, divides, and compares.
//
//   ddict-instructions get PAIRS OPERATIONS MANAGERS   of all pairs, in the pools of so many managers
//   ddict-instructions put PAIRS OPERATIONS MANAGERS   to the shard of one of so many, which has its part of
//   the pairs
//   ddict-instructions get-by-message PAIRS OPERATIONS MANAGERS   the same shard
//   ddict-instructions batch-put|batch-get PAIRS OPERATIONS MANAGERS   the same, 64 pairs in a message; an
//   operation is a pair
//
// Everything is in this process: callgrind knows too few system calls for UCX.
#include <unistd.h>
#include <valgrind/callgrind.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ddict/codec.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/process_identity.h"
#include "bench/value_buffer.h"
#include "cluster/placement.h"
#include "manager/shard.h"
#include "shm/pool.h"
#include "shm/reader.h"
#include "wire/items.h"
#include "wire/messages.h"

namespace ddict::bench {
namespace {

constexpr std::size_t key_bytes = 30;
constexpr std::size_t value_bytes = 8;
constexpr std::size_t batch_pairs = 64;

std::string key_number(std::uint64_t number) {
    std::string key = "key " + std::to_string(number) + " ";
    key.resize(key_bytes, '.');
    return key;
}

std::vector<std::byte> value_number(std::uint64_t number) {
    std::vector<std::byte> value(value_bytes);
    std::memcpy(value.data(), &number, value_bytes);
    return value;
}

/// Runs once without being counted, so that everything is where it will be.
template <class Operation>
void count_instructions(const Operation& all) {
    all();
    CALLGRIND_START_INSTRUMENTATION;
    all();
    CALLGRIND_STOP_INSTRUMENTATION;
}

struct OnePool {
    std::unique_ptr<shm::Pool> pool;
    std::shared_ptr<const shm::PoolReader> reader;
};

OnePool make_pool(std::uint32_t manager, std::uint64_t pairs) {
    constexpr std::uint64_t bytes_per_pair = 112;
    constexpr std::uint64_t bytes_for_chance = std::uint64_t{8} << 20;
    const shm::PoolIdentity identity{.dictionary_id = 1, .secret = {}, .manager = manager, .node = "here"};
    const std::string name = "bench-instructions-" + std::to_string(::getpid());
    shm::Segment segment = shm::Segment::create(name, bytes_for_chance + pairs * bytes_per_pair).value();
    shm::Segment mapped = shm::Segment::open(name, shm::Access::read_only).value();
    shm::Segment::remove(name);
    shm::Pool::format(segment, identity).value();
    OnePool one{.pool = shm::Pool::attach(std::move(segment)).value(), .reader = nullptr};
    const shm::PoolOwner owner{.dictionary_id = 1, .secret = {}, .manager = manager};
    one.reader = shm::PoolReader::open(std::move(mapped), owner).value();
    return one;
}

/// What the client library does once it knows that it may read, with all pools of the node.
void get(std::uint64_t pairs, std::uint64_t operations, std::uint32_t managers) {
    std::vector<OnePool> pools;
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        pools.push_back(make_pool(manager, pairs / managers));
    for (std::uint64_t number = 0; number < pairs; ++number) {
        const std::string key = key_number(number);
        const std::uint64_t hash = hash_of(bytes_of(key));
        pools[number_of(shard_of(hash, managers))]
            .pool->put({bytes_of(key), hash, type_text, 0, value_number(number)})
            .value();
    }
    std::mt19937_64 random(1);
    std::vector<std::string> keys;
    for (std::uint64_t i = 0; i < operations; ++i)
        keys.push_back(key_number(random() % pairs));
    ValueBuffer buffer;
    Result<void> outcome;
    std::uint64_t found = 0;
    count_instructions([&] {
        for (const std::string& key : keys) {
            const std::uint64_t hash = hash_of(bytes_of(key));
            const shm::Read read =
                pools[number_of(shard_of(hash, managers))].reader->get(bytes_of(key), hash, buffer, outcome);
            found += read == shm::Read::value ? 1 : 0;
        }
    });
    if (found != 2 * operations) throw std::runtime_error("not all values were found");
}

/// Takes replies and forgets them, but for the last header.
class Void final : public Transport {
  public:
    Result<PeerId> connect(Bytes, const ProcessIdentity&) override { return ++peers_; }
    void close(PeerId) override {}
    void send(PeerId, Bytes header) override {
        std::memcpy(&last, header.data(), sizeof last);
        ++sent;
    }
    void send(PeerId peer, Bytes header, Bytes, std::uint64_t tag) override {
        send(peer, header);
        sent_payload = tag;
    }
    void send(PeerId peer, Bytes header, Parts, std::uint64_t tag) override {
        send(peer, header);
        sent_payload = tag;
    }
    void receive_payload(PeerId, std::uint64_t, MutableBytes, std::uint64_t) override {}
    void receive_payload(PeerId, std::uint64_t, MutableBytes, MutableBytes, std::uint64_t) override {}
    void discard_payload(std::uint64_t) override {}
    std::string describe(PeerId) const override { return {}; }
    bool is_same_host(PeerId) const override { return false; }
    Bytes address_for(PeerId) override { return {}; }
    ProcessIdentity identity() const override { return {}; }

    wire::ReplyHeader last;
    std::uint64_t sent = 0;
    std::optional<std::uint64_t> sent_payload;  // its end is still to be told

  private:
    PeerId peers_ = no_peer;
};

std::vector<std::byte> message_of(const wire::RequestHeader& header, Bytes key, Bytes value) {
    std::vector<std::byte> message(sizeof header);
    std::memcpy(message.data(), &header, sizeof header);
    message.insert(message.end(), key.begin(), key.end());
    message.insert(message.end(), value.begin(), value.end());
    return message;
}

std::uint64_t say_hello(manager::Shard& shard, const shm::PoolIdentity& identity, const Void& transport) {
    wire::Hello hello;
    hello.dictionary_id = identity.dictionary_id;
    const std::string address = "a client";
    hello.address = bytes_of(address);
    wire::RequestHeader header;
    header.verb = wire::Verb::hello;
    header.request = 1;
    const std::vector<std::byte> packed = wire::pack_proven(identity.secret, header, hello);
    shard.on_message(message_of(header, {}, packed), {});
    if (transport.sent != 1 || transport.last.status != 0)
        throw std::runtime_error("the shard does not want its client");
    return transport.last.argument;
}

/// A request, as the transport delivers it.
struct Message {
    std::vector<std::byte> header;
    std::vector<std::byte> payload;
};

/// Requests that together name as many pairs as there are to be operations; with puts, pairs that are there,
/// so that their number stays.
class Requests {
  public:
    Requests(wire::Verb verb, std::uint64_t session, const std::vector<std::string>& keys)
        : verb_(verb), session_(session), keys_(keys) {}

    std::size_t pairs_in_each() const {
        return verb_ == wire::Verb::batch_put || verb_ == wire::Verb::batch_get ? batch_pairs : 1;
    }

    Message next() {
        wire::RequestHeader header;
        header.verb = verb_;
        header.session = session_;
        header.request = ++request_;
        if (pairs_in_each() > 1) return next_batch(header);
        header.key_bytes = key_bytes;
        std::vector<std::byte> value;
        if (verb_ == wire::Verb::put) {
            value = value_number(pair_);
            header.value_type = type_text;
        }
        header.value_bytes = value.size();
        return {message_of(header, bytes_of(next_key()), value), {}};
    }

  private:
    const std::string& next_key() { return keys_[pair_++ % keys_.size()]; }

    Message next_batch(wire::RequestHeader header) {
        std::vector<std::byte> packed(limits::batch_bytes_max);
        wire::ItemWriter items(packed);
        for (std::size_t i = 0; i < batch_pairs; ++i) {
            const std::vector<std::byte> value = value_number(pair_);
            const std::string& key = next_key();
            const bool written = verb_ == wire::Verb::batch_put ? items.pair(bytes_of(key), type_text, value)
                                                                : items.key(bytes_of(key));
            if (!written) throw std::runtime_error("the pairs of a batch are too large");
        }
        packed.resize(items.written().size());
        header.argument = batch_pairs;
        header.value_bytes = packed.size();
        if (packed.size() > limits::inline_value_bytes_max)
            return {message_of(header, {}, {}), std::move(packed)};
        return {message_of(header, {}, packed), {}};
    }

    wire::Verb verb_;
    std::uint64_t session_;
    const std::vector<std::string>& keys_;
    std::uint64_t request_ = 1;
    std::uint64_t pair_ = 0;
};

/// From the message to the reply.
void at_manager(wire::Verb verb, std::uint64_t pairs, std::uint64_t operations, std::uint32_t managers) {
    constexpr std::uint32_t manager = 0;
    std::unique_ptr<shm::Pool> pool = make_pool(manager, pairs / managers).pool;
    std::vector<std::string> keys;
    for (std::uint64_t number = 0; number < pairs; ++number) {
        std::string key = key_number(number);
        const std::uint64_t hash = hash_of(bytes_of(key));
        if (shard_of(hash, managers) != ShardId{manager}) continue;
        pool->put({bytes_of(key), hash, type_text, 0, value_number(number)}).value();
        keys.push_back(std::move(key));
    }
    std::mt19937_64 random(1);
    std::shuffle(keys.begin(), keys.end(), random);
    Void transport;
    store::Store store(std::move(pool));
    manager::Shard shard(store, transport, {});
    Requests requests(verb, say_hello(shard, store.pool().identity(), transport), keys);
    const std::uint64_t count = (operations + requests.pairs_in_each() - 1) / requests.pairs_in_each();
    std::vector<Message> messages;
    for (std::uint64_t i = 0; i < 2 * count; ++i)
        messages.push_back(requests.next());
    auto next = messages.begin();
    count_instructions([&] {
        for (std::uint64_t i = 0; i < count; ++i, ++next) {
            shard.on_message(next->header, {.in_memory = next->payload, .bytes = next->payload.size()});
            if (transport.sent_payload)
                shard.on_payload_sent(*std::exchange(transport.sent_payload, {}), true);
        }
    });
    if (transport.sent != 1 + 2 * count || transport.last.status != 0 || store.size() != keys.size())
        throw std::runtime_error("not all values were put or found");
}

int run(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    const auto number = [&](int at) { return std::strtoull(argv[at], nullptr, 10); };
    const std::map<std::string, wire::Verb> at_the_manager{{"put", wire::Verb::put},
                                                           {"get-by-message", wire::Verb::get},
                                                           {"batch-put", wire::Verb::batch_put},
                                                           {"batch-get", wire::Verb::batch_get}};
    const auto verb = at_the_manager.find(what);
    if (argc != 5 || (what != "get" && verb == at_the_manager.end())) {
        std::fputs(
            "usage: ddict-instructions get|put|get-by-message|batch-put|batch-get PAIRS OPERATIONS "
            "MANAGERS\n",
            stderr);
        return 2;
    }
    const auto managers = static_cast<std::uint32_t>(number(4));
    if (what == "get") {
        get(number(2), number(3), managers);
    } else {
        at_manager(verb->second, number(2), number(3), managers);
    }
    return 0;
}

}  // namespace
}  // namespace ddict::bench

int main(int argc, char** argv) {
    try {
        return ddict::bench::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ddict-instructions: %s\n", error.what());
        return 1;
    }
}
