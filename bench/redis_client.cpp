// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/redis_client.h"

#include <hiredis/hiredis.h>

#include <array>
#include <stdexcept>
#include <string_view>

#include "bench/repeat.h"
#include "bench/value_buffer.h"

namespace ddict::bench {
namespace {

struct ContextDeleter {
    void operator()(redisContext* context) const { redisFree(context); }
};
struct ReplyDeleter {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, ReplyDeleter>;

constexpr timeval timeout{.tv_sec = 20, .tv_usec = 0};

class RedisClient final : public Role {
  public:
    RedisClient(std::string socket, const Workload& workload, unsigned member, unsigned members)
        : socket_(std::move(socket)), workload_(workload), member_(member), members_(members) {}

    void prepare(const Phase& phase) override {
        if (!context_) connect();
        value_ = Workload::value_letters(phase.value_bytes);
        pairs_.assign(phase.group, 0);
        if (phase.task == Task::fill) return;
        Tally not_counted;
        work(phase, phase.warm_up, ~phase.number, not_counted);
    }

    std::string run(const Phase& phase, Tally& tally) override {
        if (phase.task != Task::fill) {
            work(phase, phase.operations, phase.number, tally);
            return {};
        }
        for (std::uint64_t pair = member_; pair < workload_.pairs(); pair += members_) {
            send_put(pair);
            take_put();
            ++tally.operations;
        }
        return {};
    }

  private:
    void connect() {
        context_.reset(redisConnectUnixWithTimeout(socket_.c_str(), timeout));
        if (!context_ || context_->err != 0) fail("connect to Redis");
        if (redisSetTimeout(context_.get(), timeout) != REDIS_OK) fail("set a timeout");
    }

    [[noreturn]] void fail(const char* what) const {
        throw std::runtime_error(std::string("cannot ") + what +
                                 (context_ ? std::string(": ") + context_->errstr : std::string()));
    }

    void work(const Phase& phase, std::uint64_t operations, std::uint64_t seed, Tally& tally) {
        Random random(seed * members_ + member_);
        const std::uint64_t batches = (operations + phase.group - 1) / phase.group;
        switch (phase.task) {
            case Task::get:
                return repeat(operations, phase.each, 1, tally, [&] {
                    const std::uint64_t pair = workload_.choose(random);
                    send_get(pair);
                    take_get(pair, phase.value_bytes);
                });
            case Task::put:
                return repeat(operations, phase.each, 1, tally, [&] {
                    send_put(workload_.choose(random));
                    take_put();
                });
            case Task::batch_get:
                return repeat(batches, phase.each, phase.group, tally, [&] {
                    for (std::uint64_t& pair : pairs_)
                        send_get(pair = workload_.choose(random));
                    for (const std::uint64_t pair : pairs_)
                        take_get(pair, phase.value_bytes);
                });
            case Task::batch_put:
                return repeat(batches, phase.each, phase.group, tally, [&] {
                    for (unsigned i = 0; i < phase.group; ++i)
                        send_put(workload_.choose(random));
                    for (unsigned i = 0; i < phase.group; ++i)
                        take_put();
                });
            default:
                throw std::logic_error("not a task of a client of Redis");
        }
    }

    template <std::size_t N>
    void send(const std::array<std::string_view, N>& words) {
        std::array<const char*, N> texts;
        std::array<std::size_t, N> lengths;
        for (std::size_t i = 0; i < N; ++i) {
            texts[i] = words[i].data();
            lengths[i] = words[i].size();
        }
        if (redisAppendCommandArgv(context_.get(), static_cast<int>(N), texts.data(), lengths.data()) !=
            REDIS_OK)
            fail("send to Redis");
    }

    static std::string_view text_of(std::span<const std::byte> bytes) {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    void send_get(std::uint64_t pair) {
        send(std::array{std::string_view("GET"), text_of(workload_.key(pair))});
    }
    void send_put(std::uint64_t pair) {
        Workload::stamp(value_, pair);
        send(std::array{std::string_view("SET"), text_of(workload_.key(pair)), text_of(value_)});
    }

    Reply take() {
        void* reply = nullptr;
        if (redisGetReply(context_.get(), &reply) != REDIS_OK || reply == nullptr) fail("receive from Redis");
        return Reply(static_cast<redisReply*>(reply));
    }
    void take_get(std::uint64_t pair, std::uint64_t value_bytes) {
        const Reply reply = take();
        if (reply->type != REDIS_REPLY_STRING) throw std::runtime_error("Redis has no value for a key");
        buffer_.copy_from(reply->str, reply->len);
        buffer_.check(pair, value_bytes);
    }
    void take_put() {
        const Reply reply = take();
        if (reply->type != REDIS_REPLY_STATUS) throw std::runtime_error("Redis did not store a value");
    }

    std::string socket_;
    const Workload& workload_;
    unsigned member_;
    unsigned members_;
    std::unique_ptr<redisContext, ContextDeleter> context_;
    ValueBuffer buffer_;
    std::vector<std::byte> value_;
    std::vector<std::uint64_t> pairs_;  // of a pipeline
};

}  // namespace

std::unique_ptr<Role> make_redis_client(const std::string& socket, const Workload& workload, unsigned member,
                                        unsigned members) {
    return std::make_unique<RedisClient>(socket, workload, member, members);
}

bool can_talk_to_redis() {
    return true;
}

}  // namespace ddict::bench
