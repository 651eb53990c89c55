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

// Of times to live, which some pairs have.
constexpr std::uint64_t far_end = 1'000'000;

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
        berase,
        begin_at
    };
    Kind kind = Kind::add;
    std::uint64_t number = 0;
    std::vector<std::string> keys;
    std::string value;
    std::uint32_t checkpoint = 0;
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
            case Request::Kind::begin_at:
                return outcome_of(store_->apply(change(ChangeKind::begin_at, {}, request, slot)));
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
    Model contents(std::uint32_t checkpoint) const {
        Model found;
        for (std::uint64_t cursor = 0;;) {
            cursor = store_->pool().scan(
                cursor,
                [&](const shm::Block& block) {
                    EXPECT_TRUE(found.emplace(text_of(block.key()), text_of(block.value())).second);
                    return true;
                },
                checkpoint);
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
                .pair = {.key = bytes,
                         .hash = key.empty() ? 0 : hash_of(bytes),
                         .checkpoint = request.checkpoint,
                         .value = {}},
                .argument = 5,
                .origin = {.session = 77, .request = request.number},
                .slot = slot};
    }
    Change put(const Request& request, std::size_t item, const ReplySlot& slot) {
        Change made = change(ChangeKind::put, request.keys[item], request, slot);
        value_ = request.value;
        if (request.kind != Request::Kind::put) value_ = counted(before(request.keys[item]));
        made.pair.value = bytes_of(value_);
        if (request.number % 3 == 0) made.pair.until = far_end + request.number;
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
        const BroadcastNote note = store_->interrupted_broadcast(slot, request.number, key, hash_of(key));
        Errc code = note.code;
        if (note.version == 0) {
            Change made = change(request.kind == Request::Kind::bput ? ChangeKind::put : ChangeKind::erase,
                                 request.keys[0], request, slot);
            made.role = BroadcastRole::root;
            made.pair.value = bytes_of(request.value);
            code = store_->apply(made).code;
        }
        if (code == Errc{} || code == Errc::not_found)
            store_->replies().set_under_way(slot, request.number, {store_->marks().find(key)->version, code});
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
    std::uint32_t newest = 0;  // checkpoint; all changes are made there
    std::uint32_t first = 0;   // that there was when all began anew
    Model pairs_before;        // at the one before it; with broadcasts, which are at each

    Outcome execute(const Request& request) {
        using Kind = Request::Kind;
        const std::uint64_t slot = wire::slot_of(request.number);
        go_to_checkpoint(request);
        const auto kept = taken.find(slot);
        const auto pair_kept = kept == taken.end() ? std::pair<std::string, std::string>{} : kept->second;
        if (kept != taken.end()) taken.erase(kept);
        if (request.kind == Kind::freeze || request.kind == Kind::unfreeze) {
            frozen = request.kind == Kind::freeze;
            return {};
        }
        if (request.kind == Kind::begin_at) return begin_at(request.checkpoint);
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
    void go_to_checkpoint(const Request& request) {
        using Kind = Request::Kind;
        constexpr std::array without{Kind::freeze, Kind::unfreeze, Kind::bput, Kind::berase, Kind::begin_at};
        if (request.checkpoint <= newest || frozen || std::ranges::count(without, request.kind) != 0) return;
        newest = request.checkpoint;
        pairs_before = pairs;
        taken.clear();  // of what an older checkpoint had nothing is put back here
    }
    Outcome begin_at(std::uint32_t checkpoint) {
        if (frozen) return {.code = Errc::frozen};
        first = newest = checkpoint;
        pairs.clear();
        pairs_before.clear();
        taken.clear();  // as there
        return {};
    }
    Outcome one(const Request& request, const std::string& key) {
        const Outcome outcome = one_at_newest(request, key);
        const bool erases = request.kind == Request::Kind::clear && outcome.code == Errc{};
        std::erase_if(pairs_before, [&](const auto& pair) {
            return pair.first[0] == 'b' && (erases || pair.first == key);
        });
        if (key[0] == 'b' && pairs.contains(key)) pairs_before[key] = pairs[key];
        return outcome;
    }
    Outcome one_at_newest(const Request& request, const std::string& key) {
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
    Client(std::uint64_t seed, std::uint64_t keys, bool has_checkpoints)
        : engine_(seed), keys_(keys), has_checkpoints_(has_checkpoints) {}

    Request next(const World& world, bool may_clear = true) {
        using Kind = Request::Kind;
        Request request;
        // The rare kinds are looked at as often as the others.
        constexpr std::array<std::uint64_t, 12> looked_at{0,   400, 550, 700, 800, 850,
                                                          900, 950, 970, 985, 995, 998};
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
                       : kind < 998 ? Kind::clear
                                    : Kind::begin_at;
        // There is seldom something to put back.
        if (may_clear && !world.taken.empty() && below(4) == 0) request.kind = Kind::put_back;
        if (world.frozen && below(3) != 0) request.kind = Kind::unfreeze;
        std::uint64_t slot = below(below(20) == 0 ? 40 : 4);
        if (request.kind == Kind::put_back) {
            if (world.taken.empty()) return next(world, may_clear);
            const auto& [place, pair] = *world.taken.begin();
            request.number = last_of_[place];
            request.keys = {pair.first};
            return request;
        }
        request.checkpoint = world.newest + (has_checkpoints_ && below(40) == 0 ? 1 : 0);
        if (request.kind == Kind::begin_at)
            request.checkpoint = static_cast<std::uint32_t>(has_checkpoints_ ? below(world.newest + 5) : 0);
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
    bool has_checkpoints_;
    std::uint64_t requests_ = 0;
    std::map<std::uint64_t, std::uint64_t> last_of_;
};

class StoreRecoveryTest : public testing::Test {
  protected:
    static constexpr std::uint64_t pool_bytes = limits::pool_bytes_min;
    static constexpr std::uint64_t replies_max = 512;  // of the one session

    ~StoreRecoveryTest() override { shm::Segment::remove(image_.name()); }

    void begin() {
        server_.reset();
        shm::Segment segment = shm::nameless_segment(pool_bytes);
        shm::Pool::format(segment, shm::test_identity(), {.size = 2}).value();
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
        copy_replies(replies);
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
    /// Only of what is in use, as the memory itself tells: all of it is too much to copy so often.
    void copy_replies(ReplyMemory& replies) const {
        const auto copy = [&](const void* to, std::size_t bytes) {
            const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(to) - replies.data());
            std::memcpy(replies.data() + offset, reply_memory_ + offset, bytes);
        };
        const auto& header = *reinterpret_cast<const ReplyMemoryHeader*>(reply_memory_);
        copy(replies.data(),
             ReplyMemory::bytes_at_first() +
                 sizeof(ErasedRecord) * std::min<std::uint64_t>(header.erased, erased_records_max));
        copy(&replies.session(0), sizeof(SessionRecord) * header.sessions);
        copy(&replies.reply(0), sizeof(CachedReply) * replies_max);
        std::uint32_t statuses = 0;
        for (std::uint64_t i = 0; i < replies_max; ++i)
            statuses = std::max(statuses, replies.reply(i).statuses);
        copy(&replies.statuses(1), sizeof(StatusRecord) * statuses);
    }
    static void compare(const Model& found, const Model& wanted, const char* where) {
        for (const auto& [key, value] : wanted)
            ASSERT_TRUE(found.contains(key) && found.at(key) == value)
                << key << (found.contains(key) ? " has another value" : " is missing") << where;
        for (const auto& [key, value] : found)
            ASSERT_TRUE(wanted.contains(key)) << key << " should not be there" << where;
    }
    void check_contents(const Server& server, const World& world) {
        ASSERT_NO_FATAL_FAILURE(compare(server.contents(world.newest), world.pairs, ""));
        if (world.newest == world.first) return;
        compare(server.contents(world.newest - 1), world.pairs_before, " at the checkpoint before");
        ASSERT_EQ(server.store().pool().keys_at(world.newest), world.pairs.size());
        ASSERT_EQ(server.store().pool().keys_at(world.newest - 1), world.pairs_before.size());
    }
    void check(Server& server, World world, const Request& request, Client client) {
        ++recoveries_;
        ASSERT_EQ(server.inconsistency(), "");
        const Outcome expected = world.execute(request);
        ASSERT_EQ(server.execute(request), expected) << "the request is executed once";
        ASSERT_NO_FATAL_FAILURE(check_contents(server, world));
        if (request.kind != Request::Kind::put_back) {
            ASSERT_EQ(server.execute(request), expected) << "and has one answer";
        }
        for (int i = 0; i < 30; ++i) {
            const Request next = client.next(world);
            ASSERT_EQ(server.execute(next), world.execute(next));
        }
        ASSERT_NO_FATAL_FAILURE(check_contents(server, world)) << "it goes on wrongly";
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
    const std::uint64_t wanted = shm::recoveries_wanted(600);
    std::map<int, std::uint64_t> by_kind;
    const auto is_enough = [&] { return recoveries_ >= wanted && by_kind.size() == 13; };
    while (!is_enough() && recoveries_ < 10 * wanted && !HasFatalFailure()) {
        begin();
        Client client(chance_.number(), std::array<std::uint64_t, 3>{30, 400, 1800}[chance_.below(3)],
                      chance_.below(2) == 0);
        const std::uint64_t unseen = chance_.below(4000);
        const std::uint64_t until = recoveries_ + 150;
        for (std::uint64_t i = 0; recoveries_ < until && i < unseen + 400 && !HasFatalFailure(); ++i) {
            const Request request = client.next(world_, i >= unseen);
            if (i < unseen) {
                ASSERT_EQ(server_->execute(request), world_.execute(request));
                if (i % 100 == 0) {
                    ASSERT_NO_FATAL_FAILURE(check_contents(*server_, world_));
                }
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
    EXPECT_EQ(by_kind.size(), 13u);
}

/// They have their reply in two parts, that they have begun and what came of it.
TEST_F(StoreRecoveryTest, ABroadcastIsExecutedOnceWhereverItIsKilled) {
    begin();
    Client client(chance_.number(), 30, false);
    constexpr std::array kinds{Request::Kind::bput, Request::Kind::berase, Request::Kind::berase};
    for (std::uint64_t i = 0; i < kinds.size(); ++i) {
        const Request request{
            .kind = kinds[i], .number = (i + 1) << wire::slot_bits | 5, .keys = {"b1"}, .value = "v"};
        shm::StorePoints points({{pool_memory_, pool_bytes}, {reply_memory_, ReplyMemory::bytes()}}, [&] {
            if (HasFatalFailure()) return;
            if (const auto server = recover()) check(*server, world_, request, client);
        });
        Outcome outcome;
        points_ += points.run([&] { outcome = server_->execute(request); });
        ASSERT_EQ(outcome, world_.execute(request));
    }
    EXPECT_GT(recoveries_, 30U);
}

}  // namespace
}  // namespace ddict::store
