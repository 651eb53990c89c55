// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A store is recovered from every state that a kill can leave: before each store to memory that a request
// makes. Then its client asks again, and once more. Whatever had been done, the request has been executed
// once, and its answers are those of that one execution.
#include <gtest/gtest.h>

#include <charconv>
#include <cstring>
#include <map>
#include <string>

#include "base/limits.h"
#include "store/store.h"
#include "tests/shm/chance.h"
#include "tests/shm/store_points.h"
#include "tests/shm/test_pool.h"

namespace ddict::store {
namespace {

using Model = std::map<std::string, std::string>;

struct Request {
    enum class Kind {
        add,
        put,
        erase,
        take,
        put_back,
        clear,
        freeze,
        unfreeze,
        batch_add,
        batch_erase,
        bput,
        berase
    };
    Kind kind = Kind::add;
    std::uint64_t number = 0;
    std::vector<std::string> keys;
    std::string value;
};

/// What a client hears.
struct Outcome {
    Errc code{};
    std::string value{};                 // taken
    std::vector<std::uint16_t> codes{};  // of a batch
    bool operator==(const Outcome&) const = default;
};

std::uint64_t number_in(std::string_view value) {
    std::uint64_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    return number;
}

std::string counted(std::string_view before) {
    std::string value = std::to_string(number_in(before) + 1);
    value.resize(value.size() + 1 + before.size() % 90, ' ');
    return value;
}

/// As a shard does it: see manager::Shard::is_new.
class Server {
  public:
    explicit Server(std::unique_ptr<Store> store) : store_(std::move(store)) {
        store_->replies().for_each_session([&](SessionReplies& session) { session_ = &session; });
        if (session_ != nullptr) return;
        session_ = store_->replies().open();
        ReplyCache::name(*session_, 77, 78, 79);
    }

    Outcome execute(const Request& request) {
        const ReplySlot slot = store_->replies().slot(*session_, request.number);
        if (request.number <= slot.reply->request) {
            const bool has_pair =
                slot.reply->request == request.number && slot.reply->kind == CachedReply::Kind::pair;
            if (request.kind == Request::Kind::put_back && has_pair) return put_back(request, slot);
            return repeat(*slot.reply);
        }
        if (slot.reply->pending != request.number) store_->replies().release(*slot.session, *slot.reply);
        switch (request.kind) {
            case Request::Kind::add:
            case Request::Kind::put:
                return outcome_of(store_->apply(put(request, 0, slot)));
            case Request::Kind::erase:
                return outcome_of(store_->apply(change(ChangeKind::erase, request.keys[0], request, slot)));
            case Request::Kind::take:
                return take(request, slot);
            case Request::Kind::clear:
                return outcome_of(store_->apply(change(ChangeKind::clear, {}, request, slot)));
            case Request::Kind::freeze:
                return outcome_of(store_->apply(change(ChangeKind::freeze, {}, request, slot)));
            case Request::Kind::unfreeze:
                return outcome_of(store_->apply(change(ChangeKind::unfreeze, {}, request, slot)));
            case Request::Kind::put_back:
                return {.code = Errc::not_found};
            case Request::Kind::bput:
            case Request::Kind::berase:
                return broadcast(request, slot);
            default:
                return batch(request, slot);
        }
    }
    Model contents() const {
        Model found;
        for (std::uint64_t cursor = 0;;) {
            cursor = store_->pool().scan(cursor, [&](const shm::Block& block) {
                EXPECT_TRUE(found.emplace(text_of(block.key()), text_of(block.value())).second);
                return true;
            });
            if (cursor == 0) return found;
        }
    }
    std::string inconsistency() const {
        return store_->pool().inconsistency() + store_->replies().inconsistency();
    }
    const Store& store() const { return *store_; }

  private:
    Change change(ChangeKind kind, const std::string& key, const Request& request,
                  const ReplySlot& slot) const {
        const KeyBytes bytes = bytes_of(key);
        return {.kind = kind,
                .pair = {.key = bytes, .hash = key.empty() ? 0 : hash_of(bytes), .value = {}},
                .argument = 5,
                .origin = {.session = 77, .request = request.number},
                .slot = slot};
    }
    Change put(const Request& request, std::size_t item, const ReplySlot& slot) {
        Change made = change(ChangeKind::put, request.keys[item], request, slot);
        value_ = request.value;
        if (request.kind != Request::Kind::put) value_ = counted(before(request.keys[item]));
        made.pair.value = bytes_of(value_);
        return made;
    }
    std::string before(const std::string& key) const {
        const shm::Block* block = shm::find(store_->pool(), key);
        return block == nullptr ? "" : std::string(text_of(block->value()));
    }
    static Outcome outcome_of(const Applied& applied) { return {.code = applied.code}; }
    Outcome take(const Request& request, const ReplySlot& slot) {
        const Applied applied = store_->apply(change(ChangeKind::take, request.keys[0], request, slot));
        if (!applied.succeeded()) return {.code = applied.code};
        return {.value = std::string(text_of(applied.removed->value()))};
    }
    Outcome put_back(const Request& request, const ReplySlot& slot) {
        Change made = change(ChangeKind::put_back, request.keys[0], request, slot);
        made.pair = store_->replies().block_of(*slot.reply).pair();
        return outcome_of(store_->apply(made));
    }
    /// As manager::Broadcaster does it at the key's own manager, where there is no other.
    Outcome broadcast(const Request& request, const ReplySlot& slot) {
        const KeyBytes key = bytes_of(request.keys[0]);
        Errc code = static_cast<Errc>(slot.reply->status);
        if (store_->interrupted_broadcast(slot, request.number, key, hash_of(key)) == 0) {
            Change made = change(request.kind == Request::Kind::bput ? ChangeKind::put : ChangeKind::erase,
                                 request.keys[0], request, slot);
            made.role = BroadcastRole::root;
            made.pair.value = bytes_of(request.value);
            code = store_->apply(made).code;
        }
        if (code == Errc{} || code == Errc::not_found)
            store_->replies().set_under_way(slot, request.number, store_->marks().find(key)->version, code);
        store_->cache(slot, request.number, static_cast<std::uint16_t>(code), 5, 0);
        return {.code = code};
    }
    Outcome batch(const Request& request, const ReplySlot& slot) {
        const ChangeKind kind =
            request.kind == Request::Kind::batch_add ? ChangeKind::put : ChangeKind::erase;
        Outcome outcome;
        const std::uint64_t made_before = store_->replies().begin_many(slot, request.number, kind);
        for (std::size_t i = 0; i < made_before; ++i)
            outcome.codes.push_back(store_->replies().batch()[i]);
        for (std::size_t i = made_before; i < request.keys.size(); ++i) {
            Change made = kind == ChangeKind::put ? put(request, i, slot)
                                                  : change(kind, request.keys[i], request, slot);
            made.is_one_of_many = true;
            outcome.codes.push_back(static_cast<std::uint16_t>(store_->apply(made).code));
        }
        store_->replies().set_statuses(slot, request.number, std::as_bytes(std::span(outcome.codes)));
        return outcome;
    }
    Outcome repeat(const CachedReply& reply) const {
        Outcome outcome;
        if (reply.kind == CachedReply::Kind::pair) {
            outcome.value = text_of(store_->replies().block_of(reply).value());
        } else if (reply.kind == CachedReply::Kind::statuses) {
            outcome.codes.assign(reply.argument, 0);
            if (reply.statuses != 0)
                std::copy_n(store_->replies().statuses_of(reply).begin(), reply.argument,
                            outcome.codes.begin());
        } else {
            EXPECT_EQ(reply.kind, CachedReply::Kind::numbers);
            outcome.code = static_cast<Errc>(reply.status);
            EXPECT_TRUE(reply.status != 0 || reply.argument == 5);
        }
        return outcome;
    }

    std::unique_ptr<Store> store_;
    SessionReplies* session_ = nullptr;
    std::string value_;
};

/// What the client's requests should have come to.
struct World {
    Model pairs;
    std::map<std::uint64_t, std::pair<std::string, std::string>> taken;  // by slot
    bool frozen = false;

    Outcome execute(const Request& request) {
        using Kind = Request::Kind;
        const std::uint64_t slot = wire::slot_of(request.number);
        const auto kept = taken.find(slot);
        const auto pair_kept = kept == taken.end() ? std::pair<std::string, std::string>{} : kept->second;
        if (kept != taken.end()) taken.erase(kept);
        if (request.kind == Kind::freeze || request.kind == Kind::unfreeze) {
            frozen = request.kind == Kind::freeze;
            return {};
        }
        if (request.kind == Kind::put_back) {
            if (frozen) return {.code = Errc::frozen};
            return {.code = pairs.emplace(pair_kept).second ? Errc{} : Errc::not_found};
        }
        if (request.kind == Kind::batch_add || request.kind == Kind::batch_erase) {
            Outcome outcome;
            for (const std::string& key : request.keys)
                outcome.codes.push_back(static_cast<std::uint16_t>(one(request, key).code));
            return outcome;
        }
        const Outcome outcome = one(request, request.keys[0]);
        if (request.kind == Kind::take && outcome.code == Errc{})
            taken[slot] = {request.keys[0], outcome.value};
        return outcome;
    }

  private:
    Outcome one(const Request& request, const std::string& key) {
        if (frozen) return {.code = Errc::frozen};
        const auto found = pairs.find(key);
        const std::string before = found == pairs.end() ? "" : found->second;
        switch (request.kind) {
            case Request::Kind::add:
            case Request::Kind::batch_add:
                pairs[key] = counted(before);
                return {};
            case Request::Kind::put:
            case Request::Kind::bput:
                pairs[key] = request.value;
                return {};
            case Request::Kind::clear:
                pairs.clear();
                return {};
            default:
                if (found == pairs.end()) return {.code = Errc::not_found};
                pairs.erase(found);
                return {.value = request.kind == Request::Kind::take ? before : ""};
        }
    }
};

class Client {
  public:
    Client(std::uint64_t seed, std::uint64_t keys) : engine_(seed), keys_(keys) {}

    Request next(const World& world, bool may_clear = true) {
        using Kind = Request::Kind;
        Request request;
        // The rare kinds are looked at as often as the others.
        constexpr std::array<std::uint64_t, 11> looked_at{0,   400, 550, 700, 800, 850,
                                                          900, 950, 970, 985, 995};
        const std::uint64_t kind = may_clear ? looked_at[below(looked_at.size())] : below(990);
        request.kind = kind < 400   ? Kind::add
                       : kind < 550 ? Kind::put
                       : kind < 700 ? Kind::erase
                       : kind < 800 ? Kind::take
                       : kind < 850 ? Kind::batch_add
                       : kind < 900 ? Kind::batch_erase
                       : kind < 950 ? Kind::bput
                       : kind < 970 ? Kind::berase
                       : kind < 985 ? Kind::put_back
                       : kind < 995 ? Kind::freeze
                                    : Kind::clear;
        if (world.frozen && below(3) != 0) request.kind = Kind::unfreeze;
        std::uint64_t slot = below(below(20) == 0 ? 40 : 4);
        if (request.kind == Kind::put_back) {
            if (world.taken.empty()) return next(world, may_clear);
            const auto& [place, pair] = *world.taken.begin();
            request.number = last_of_[place];
            request.keys = {pair.first};
            return request;
        }
        request.number = last_of_[slot] = ++requests_ << wire::slot_bits | slot;
        const bool many = request.kind == Kind::batch_add || request.kind == Kind::batch_erase;
        for (std::uint64_t i = many ? 1 + below(12) : 1; i > 0; --i)
            request.keys.push_back(shm::numbered_key(below(keys_), 12));
        if (request.kind == Kind::bput || request.kind == Kind::berase)
            request.keys[0] = "b" + std::to_string(below(20));
        if (request.kind == Kind::put || request.kind == Kind::bput)
            request.value = std::string(below(below(10) == 0 ? 6000 : 200), 'v');
        return request;
    }
    std::uint64_t below(std::uint64_t end) { return engine_() % end; }

  private:
    std::mt19937_64 engine_;
    std::uint64_t keys_;
    std::uint64_t requests_ = 0;
    std::map<std::uint64_t, std::uint64_t> last_of_;
};

class StoreRecoveryTest : public testing::Test {
  protected:
    static constexpr std::uint64_t pool_bytes = limits::pool_bytes_min;

    ~StoreRecoveryTest() override { shm::Segment::remove(image_.name()); }

    void begin() {
        server_.reset();
        shm::Segment segment = shm::nameless_segment(pool_bytes);
        shm::Pool::format(segment, shm::test_identity()).value();
        pool_memory_ = segment.data();
        ReplyMemory replies = ReplyMemory::anonymous();
        reply_memory_ = replies.data();
        server_ = std::make_unique<Server>(
            std::make_unique<Store>(shm::Pool::attach(std::move(segment)).value(), std::move(replies)));
        world_ = {};
    }
    /// What is in memory at this moment, recovered.
    std::unique_ptr<Server> recover() {
        std::memcpy(image_.data(), pool_memory_, pool_bytes);
        ReplyMemory replies = ReplyMemory::anonymous();
        // More is not used here.
        const auto copy = [&](std::size_t from, std::size_t bytes) {
            std::memcpy(replies.data() + from, reply_memory_ + from, bytes);
        };
        const auto offset = [&](const void* at) {
            return static_cast<std::size_t>(static_cast<const std::byte*>(at) - replies.data());
        };
        copy(0, ReplyMemory::bytes_at_first() + sizeof(ErasedRecord) * 512);
        copy(offset(&replies.session(0)), sizeof(SessionRecord) * 8);
        copy(offset(&replies.reply(0)), sizeof(CachedReply) * 512);
        copy(offset(&replies.statuses(1)), sizeof(StatusRecord) * 8);
        shm::RecoveryReport report;
        auto store = Store::recover(shm::Segment::open(image_.name(), shm::Access::read_write).value(),
                                    std::move(replies), report);
        if (!store) {
            ADD_FAILURE() << store.error().message();
            return nullptr;
        }
        EXPECT_EQ(report.unsound, 0U);
        return std::make_unique<Server>(std::move(*store));
    }
    void check(Server& server, World world, const Request& request, Client client) {
        ++recoveries_;
        ASSERT_EQ(server.inconsistency(), "");
        const Outcome expected = world.execute(request);
        ASSERT_EQ(server.execute(request), expected) << "the request is executed once";
        ASSERT_TRUE(server.contents() == world.pairs);
        if (request.kind != Request::Kind::put_back) {
            ASSERT_EQ(server.execute(request), expected) << "and has one answer";
        }
        for (int i = 0; i < 30; ++i) {
            const Request next = client.next(world);
            ASSERT_EQ(server.execute(next), world.execute(next));
        }
        ASSERT_TRUE(server.contents() == world.pairs) << "it goes on wrongly";
        ASSERT_EQ(server.store().frozen(), world.frozen);
        for (int i = 0; i < 20; ++i) {
            const std::string key = "b" + std::to_string(i);
            ASSERT_EQ(server.store().marks().holds(bytes_of(key)), world.pairs.contains(key)) << key;
        }
        ASSERT_EQ(server.inconsistency(), "");
    }

    shm::Chance chance_;
    shm::Segment image_ = shm::Segment::create(shm::test_segment_name(), pool_bytes).value();
    std::byte* pool_memory_ = nullptr;
    std::byte* reply_memory_ = nullptr;
    std::unique_ptr<Server> server_;
    World world_;
    std::uint64_t points_ = 0;
    std::uint64_t recoveries_ = 0;
};

TEST_F(StoreRecoveryTest, EachRequestIsExecutedOnce) {
    const char* given = std::getenv("DDICT_TEST_RECOVERIES");
    const std::uint64_t wanted = given != nullptr ? std::strtoull(given, nullptr, 10) : 600;
    std::map<int, std::uint64_t> by_kind;
    const auto is_enough = [&] { return recoveries_ >= wanted && by_kind.size() == 12; };
    while (!is_enough() && recoveries_ < 10 * wanted && !HasFatalFailure()) {
        begin();
        Client client(chance_.number(), std::array<std::uint64_t, 3>{30, 400, 1800}[chance_.below(3)]);
        const std::uint64_t unseen = chance_.below(4000);
        const std::uint64_t until = recoveries_ + 150;
        for (std::uint64_t i = 0; recoveries_ < until && i < unseen + 400 && !HasFatalFailure(); ++i) {
            const Request request = client.next(world_, i >= unseen);
            if (i < unseen) {
                ASSERT_EQ(server_->execute(request), world_.execute(request));
                continue;
            }
            std::uint64_t seen = 0;
            shm::StorePoints points({{pool_memory_, pool_bytes}, {reply_memory_, ReplyMemory::bytes()}}, [&] {
                // Most stores of a long request are those of its value.
                if (HasFatalFailure() || chance_.below(++seen < 50 ? 6 : 100) != 0) return;
                ++by_kind[static_cast<int>(request.kind)];
                if (const auto server = recover()) check(*server, world_, request, client);
            });
            Outcome outcome;
            points_ += points.run([&] { outcome = server_->execute(request); });
            ASSERT_EQ(outcome, world_.execute(request));
        }
    }
    std::cout << points_ << " points, " << recoveries_ << " recoveries";
    for (const auto& [kind, count] : by_kind)
        std::cout << ", kind " << kind << ": " << count;
    std::cout << '\n';
    EXPECT_EQ(by_kind.size(), 12u);
}

}  // namespace
}  // namespace ddict::store
