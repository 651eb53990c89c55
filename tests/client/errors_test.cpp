// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What errors say: why, and of which key, manager and node, also where they are found in this process.
#include <ddict/array.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class ErrorsTest : public SharedDictionaryTest {
  protected:
    static bool says(const Error& error, const std::string& words) {
        return error.message().find(words) != std::string::npos;
    }
    static void expect_named(const Error& error, Errc code, Operation operation, const std::string& key,
                             std::uint32_t manager) {
        EXPECT_EQ(error.code, code) << error.message();
        EXPECT_EQ(error.operation, operation) << error.message();
        EXPECT_EQ(std::string(error.key.data(), error.key_bytes_shown), key) << error.message();
        EXPECT_EQ(error.manager, manager) << error.message();
        EXPECT_EQ(error.node.data(), dict_->manager_nodes()[manager]) << error.message();
        EXPECT_NE(error.detail[0], '\0') << error.message();
    }
    static std::span<const std::byte> bytes_of(std::string_view text) {
        return std::as_bytes(std::span(text.data(), text.size()));
    }
};

// ---- what the others have, when one does not answer ----

TEST_F(ErrorsTest, AStoppedManagerIsNamedAndTheOthersGiveWhatTheyHave) {
    for (int i = 0; i < 300; ++i)
        dict_->put(i, i);
    const ManagerStats silent = dict_->stats(1);
    const std::uint64_t others = dict_->size() - dict_->manager(1).size();
    const auto began = steady_clock::now();
    ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
    // With the default deadline of 30 s.
    const Partial<std::vector<ManagerStats>> stats = by_message_->partial_stats();
    const Partial<std::uint64_t> size = by_message_->partial_size();
    const Partial<std::vector<int>> keys = by_message_->partial_keys<int>();
    const std::vector<ManagerHealth> health = by_message_->health();
    const Result<Dictionary> newcomer = Dictionary::try_attach(dict_->serialize());
    const auto took = steady_clock::now() - began;
    kill(silent.pid, SIGCONT);
    EXPECT_LT(took, 20s) << "each is bounded by its own timeout";
    EXPECT_TRUE(newcomer) << newcomer.error().message();
    EXPECT_EQ(stats.value.size(), managers - 1);
    EXPECT_EQ(size.value, others);
    EXPECT_EQ(keys.value.size(), others);
    for (const auto* missing : {&stats.missing, &size.missing, &keys.missing}) {
        ASSERT_EQ(missing->size(), 1u);
        EXPECT_EQ(missing->front().manager, 1u);
        EXPECT_EQ(missing->front().node, silent.node);
        EXPECT_EQ(missing->front().error.code, Errc::timeout);
        EXPECT_EQ(missing->front().error.manager_state, ManagerState::silent);
    }
    for (const ManagerHealth& one : health)
        EXPECT_EQ(one.alive(), one.manager != 1);
    EXPECT_TRUE(dict_->partial_stats().complete());
    EXPECT_EQ(dict_->partial_keys<int>().value.size(), 300u);
}

// ---- why ----

/// It listens for a tenth of its time longer, and leaves the processor to those it waits for.
TEST_F(ErrorsTest, AWaitSleepsWhileItListensForASilentManager) {
    const auto processor_time = [] {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const std::string key = key_on(1);
    const View view = by_message_->within(1s);
    static_cast<void>(view.try_get<int>(key));
    const ManagerStats silent = dict_->stats(1);
    ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
    const auto began = processor_time();
    const Error waited = view.try_wait_for<int>(key).error();
    const auto used = processor_time() - began;
    kill(silent.pid, SIGCONT);
    EXPECT_EQ(waited.manager_state, ManagerState::silent) << waited.message();
    EXPECT_LT(used, 20ms);
}

/// Processes that compute, all on the first of this process's processors, with a manager and this thread.
class CrowdedProcessor {
  public:
    CrowdedProcessor(pid_t manager, unsigned crowd) : manager_(manager) {
        ::sched_getaffinity(0, sizeof before_, &before_);
        cpu_set_t one;
        CPU_ZERO(&one);
        for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
            if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &one);
        }
        ::sched_setaffinity(0, sizeof one, &one);
        ::sched_setaffinity(manager, sizeof one, &one);
        const pid_t parent = ::getpid();
        for (unsigned i = 0; i < crowd; ++i) {
            const pid_t child = ::fork();
            if (child != 0) {
                crowd_.push_back(child);
                continue;
            }
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (volatile unsigned turns = 0; ::getppid() == parent;)
                turns = turns + 1;
            ::_exit(0);
        }
    }
    ~CrowdedProcessor() {
        for (const pid_t child : crowd_) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        ::sched_setaffinity(0, sizeof before_, &before_);
        ::sched_setaffinity(manager_, sizeof before_, &before_);
    }
    CrowdedProcessor(const CrowdedProcessor&) = delete;
    CrowdedProcessor& operator=(const CrowdedProcessor&) = delete;

  private:
    pid_t manager_;
    cpu_set_t before_{};
    std::vector<pid_t> crowd_;
};

TEST_F(ErrorsTest, WhereProcessorsAreScarceAManagerThatAnswersIsNotSilent) {
    const std::string key = key_on(1);
    const View view = by_message_->within(50ms);
    static_cast<void>(by_message_->try_get<int>(key));
    // More than a handful, and the scheduler may keep the manager away for longer than any grace.
    const CrowdedProcessor crowd(dict_->stats(1).pid, 8);
    int silent = 0;
    for (int i = 0; i < 20; ++i) {
        const Error waited = view.try_wait_for<int>(key).error();
        EXPECT_TRUE(waited.manager_state == ManagerState::answered ||
                    waited.manager_state == ManagerState::silent)
            << waited.message();
        if (waited.manager_state == ManagerState::silent) ++silent;
    }
    EXPECT_LE(silent, 3) << "of 20";
}

TEST_F(ErrorsTest, OnlyAChangeThatWasSentIsInDoubt) {
    const std::string key = key_on(1);
    const ManagerStats silent = dict_->stats(1);
    const View view = by_message_->within(100ms);
    view.put(key, 1);
    ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
    const Error put = view.try_put(key, 1).error();
    const Error get = view.try_get<int>(key).error();
    const Error waited = view.try_wait_for<int>(key).error();
    const Error cleared = view.try_clear().error();
    const std::vector<ItemStatus> batch = view.try_multi_put(std::vector{std::pair(key, 1)});
    const ItemStatus read = view.try_multi_get<int>(std::vector{key})[0].status;
    Pending<void> pending = by_message_->put_async(key, 1);
    const Error under_way = pending.try_wait(steady_clock::now() + 50ms).error();
    kill(silent.pid, SIGCONT);
    pending.wait();
    const Error unsent = view.within(0ms).try_put(key, 1).error();
    for (const Error* error : {&put, &cleared, &under_way}) {
        EXPECT_EQ(error->code, Errc::timeout);
        EXPECT_TRUE(error->in_doubt) << error->message();
        EXPECT_TRUE(says(*error, "may or may not have taken effect")) << error->message();
    }
    for (const Error* error : {&get, &waited, &unsent}) {
        EXPECT_EQ(error->code, Errc::timeout);
        EXPECT_FALSE(error->in_doubt) << error->message();
        EXPECT_FALSE(says(*error, "may or may not")) << error->message();
    }
    EXPECT_TRUE(batch[0].code == Errc::timeout && batch[0].in_doubt);
    EXPECT_TRUE(read.code == Errc::timeout && !read.in_doubt) << "a get leaves no doubt";
    EXPECT_EQ(put.manager_state, ManagerState::silent);
    EXPECT_EQ(waited.manager_state, ManagerState::silent);
    EXPECT_TRUE(says(waited, "whether the key appeared is not known")) << waited.message();
    Error answered;
    EXPECT_TRUE(eventually(30s, [&] {  // on a busy machine its word may come too late
        answered = view.within(1s).try_wait_for<int>("nobody").error();
        return answered.manager_state == ManagerState::answered;
    }));
    EXPECT_EQ(answered.manager_state, ManagerState::answered) << answered.message();
    EXPECT_TRUE(says(answered, "the key did not appear in time")) << answered.message();
    EXPECT_TRUE(says(unsent, "before anything was sent")) << unsent.message();
}

TEST_F(ErrorsTest, ARefusalSaysWhy) {
    const std::string key = key_on(2);
    dict_->bput(key, "for all");
    for (const Error& error : {dict_->try_put(key, 1).error(), dict_->try_erase(key).error(),
                               dict_->try_append(key, "x").error(), dict_->try_pop(key).error()}) {
        EXPECT_EQ(error.code, Errc::invalid_argument);
        EXPECT_TRUE(says(error, "stored by a broadcast")) << error.message();
    }
    dict_->start_batch_put();
    dict_->put(key, 1);
    const BatchReport report = dict_->try_end_batch_put().value();
    ASSERT_EQ(report.failures.size(), 1u);
    EXPECT_TRUE(says(report.failures[0].error, "stored by a broadcast"));
    dict_->berase(key);
    dict_->put(key, "text");
    EXPECT_TRUE(says(dict_->try_berase(key).error(), "no broadcast has stored"));
    EXPECT_TRUE(says(dict_->try_fetch_add(key).error(), "stored: text, asked: int64"));
    EXPECT_TRUE(says(dict_->try_append(key, std::vector{1}).error(), "stored: text, asked: vector of int32"));
    EXPECT_TRUE(
        says(dict_->append_bytes(bytes_of(key), bytes_of("x"), type_list).error(), "appended to: list"));
    dict_->put_bytes(bytes_of(key), bytes_of("four"), Codec<double>::type).value();
    EXPECT_TRUE(says(dict_->try_fetch_add<double>(key).error(), "has 4 bytes, not the 8 of a number"));
}

TEST_F(ErrorsTest, ABroadcastNamesTheNodeOfTheManagerThatFails) {
    const View full = dict_->manager(1);
    for (std::size_t bytes = 8 << 20; bytes >= 64 << 10; bytes /= 2) {
        for (int i = 0; full.try_put("fill" + std::to_string(bytes + static_cast<std::size_t>(i)),
                                     std::vector<std::byte>(bytes));
             ++i) {
        }
    }
    const std::string key = key_on(0);
    const Dictionary stranger = Dictionary::attach(dict_->serialize(), {.local_reads = false});
    const Error error = stranger.try_bput(key, std::vector<std::byte>(4 << 20)).error();
    expect_named(error, Errc::no_space, Operation::broadcast_put, key, 1);
}

// ---- where ----

/// Bytes that say they are a list and are none: seen when they have come.
TEST_F(ErrorsTest, AValueThatCannotBeReadIsNamed) {
    using List = std::vector<std::string>;
    const std::string key = key_on(1);
    dict_->put_bytes(bytes_of(key), bytes_of("no list"), type_list).value();
    const auto expect = [&](const Error& error, Operation operation) {
        expect_named(error, Errc::wrong_type, operation, key, 1);
    };
    expect(dict_->try_get<List>(key).error(), Operation::get);
    expect(by_message_->try_get<List>(key).error(), Operation::get);
    expect(dict_->try_wait_for<List>(key).error(), Operation::wait_for);
    expect(dict_->get_async<List>(key).try_wait().error(), Operation::get);
    try {
        dict_->multi_get<List>(std::vector{key});
        ADD_FAILURE() << "it was read";
    } catch (const Exception& thrown) {
        expect(thrown.error(), Operation::batch_get);
    }
    Cursor cursor = dict_->cursor({.values = true});
    ASSERT_TRUE(cursor.next().value());
    expect(cursor.value_as<List>().error(), Operation::scan);
}

TEST_F(ErrorsTest, AFrozenValueThatCannotBeReadIsNamed) {
    const std::string key = key_on(2);
    const auto expect = [&](const Error& error, Errc code) {
        expect_named(error, code, Operation::view, key, 2);
    };
    dict_->put(key, std::vector{1.5});
    dict_->freeze();
    const FrozenValue vector = dict_->view_frozen(key);
    EXPECT_EQ(vector.elements<double>()[0], 1.5);
    expect(vector.try_elements<int>().error(), Errc::wrong_type);
    expect(vector.try_text().error(), Errc::wrong_type);
    expect(array_in<double>(vector).error(), Errc::wrong_type);
    dict_->unfreeze();
    expect(vector.try_bytes().error(), Errc::invalid_argument);
    expect(vector.try_elements<double>().error(), Errc::invalid_argument);
    expect(dict_->try_view_frozen(key).error(), Errc::invalid_argument);
    dict_->put(key, "text");
    dict_->freeze();
    EXPECT_EQ(dict_->view_frozen(key).text(), "text");
    dict_->unfreeze();
}

// ---- what other programs have stored as bools ----

TEST_F(ErrorsTest, BoolsOfOthersAreMadeGoodOrRefused) {
    const std::string_view odd("\x00\x02\xff\x01", 4);
    dict_->put_bytes(bytes_of("bools"), bytes_of(odd), Codec<std::span<bool>>::type).value();
    std::array<bool, 4> buffer{};
    EXPECT_EQ(dict_->get_into("bools", std::span(buffer)), 4u);
    std::array<unsigned char, 4> raw{};
    std::memcpy(raw.data(), buffer.data(), raw.size());
    EXPECT_EQ(raw, (std::array<unsigned char, 4>{0, 1, 1, 1}));

    std::vector<std::byte> array(detail::ArrayHeader::bytes(1) + 4);
    const std::uint64_t extents[] = {4};
    detail::ArrayHeader::write(array, Shape::of(extents, 1).value(), 1);
    std::copy(bytes_of(odd).begin(), bytes_of(odd).end(), array.end() - 4);
    EXPECT_EQ(code_of(array_in<bool>(array)), Errc::wrong_type);
    dict_->put_bytes(bytes_of("array"), array, Codec<Array<bool>>::type).value();
    dict_->freeze();
    EXPECT_EQ(code_of(dict_->view_frozen("bools").try_elements<bool>()), Errc::wrong_type);
    EXPECT_EQ(code_of(array_in<bool>(dict_->view_frozen("array"))), Errc::wrong_type);
    dict_->unfreeze();
    dict_->put("bools", std::array{true, false});
    dict_->freeze();
    EXPECT_TRUE(dict_->view_frozen("bools").elements<bool>()[0]);
    dict_->unfreeze();
}

// ---- on a node without managers ----

/// The file of the directory that the pool of this manager belongs to.
std::string directory_segment_of(pid_t manager) {
    std::ifstream maps("/proc/" + std::to_string(manager) + "/maps");
    for (std::string line; std::getline(maps, line);) {
        const std::size_t begin = line.find("/dev/shm/ddict-");
        if (begin == std::string::npos || !line.ends_with("-m0")) continue;
        return line.substr(begin, line.size() - begin - std::strlen("-m0")) + "-directory";
    }
    return {};
}

/// A dictionary whose directory this node does not have: addresses come from the seeds.
TEST_F(ErrorsTest, ASeedThatHangsCostsItsShareOfTheTimeAndIsNamed) {
    Dictionary owner = Dictionary::create({.managers_per_node = 5, .total_mem = 40 << 20, .name = "far"});
    const std::string node = owner.manager_node(0);
    const std::string directory = directory_segment_of(owner.stats(0).pid);
    ASSERT_FALSE(directory.empty());
    const std::string hidden = "/dev/shm/hidden-from-errors_test-" + std::to_string(getpid());
    std::filesystem::rename(directory, hidden);
    std::vector<pid_t> seeds;
    for (const std::uint32_t manager : {0u, 1u, 3u})
        seeds.push_back(owner.stats(manager).pid);
    const Dictionary far = Dictionary::attach(owner.serialize());
    std::filesystem::rename(hidden, directory);
    ASSERT_TRUE(far.local_managers().empty()) << "the directory is still there";
    const View quick = far.within(900ms);
    kill(seeds[0], SIGSTOP);
    kill(seeds[1], SIGSTOP);
    const Result<void> put = quick.manager(4).try_put("key", 1);
    kill(seeds[2], SIGSTOP);
    const Result<void> lost = quick.manager(2).try_put("key", 1);
    for (const pid_t seed : seeds)
        kill(seed, SIGCONT);
    EXPECT_TRUE(put) << "the third seed knows: " << put.error().message();
    ASSERT_FALSE(lost);
    const Error& error = lost.error();
    EXPECT_EQ(error.code, Errc::timeout);
    EXPECT_EQ(error.operation, Operation::put);
    EXPECT_FALSE(error.in_doubt);
    EXPECT_TRUE(error.manager == 0 || error.manager == 1 || error.manager == 3) << error.message();
    EXPECT_EQ(error.node.data(), node);
    EXPECT_TRUE(says(error, "asked for the address of manager 2")) << error.message();
    EXPECT_TRUE(quick.manager(2).try_put("key", 1));
    owner.destroy();
}

}  // namespace
}  // namespace ddict
