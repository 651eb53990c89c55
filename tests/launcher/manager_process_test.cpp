// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager that takes nothing in, since it is stopped, holds up nobody; and hears the newest when it goes
// on.
#include "launcher/manager_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "os/environment.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t shards = 8;

/// A program in a manager's place: it stops at once, and later writes what it is told into the file that it
/// is given as its pool.
class StoppedManagerTest : public testing::Test {
  protected:
    StoppedManagerTest() {
        std::ofstream(program_) << "#!/bin/sh\nkill -STOP $$\nexec cat <&3 >\"$2\"\n";
        chmod(program_.c_str(), 0700);
        manager_ = ManagerProcess::start({.manager = 0,
                                          .program = program_,
                                          .pool = heard_,
                                          .directory = "none",
                                          .environment = os::environment_of_this_process()})
                       .value();
    }
    ~StoppedManagerTest() override {
        manager_->kill();
        await([this] { return !manager_->running(); });
        unlink(program_.c_str());
        unlink(heard_.c_str());
    }

    template <class F>
    bool await(F holds) {
        for (const auto until = Clock::now() + 20s; !holds(); manager_->advance()) {
            if (Clock::now() > until) return false;
            pollfd fds[]{{manager_->control_fd(),
                          static_cast<short>(manager_->has_unsent() ? POLLIN | POLLOUT : POLLIN), 0},
                         {manager_->pidfd(), POLLIN, 0}};
            poll(fds, 2, 10);
        }
        return true;
    }
    void go_on() { syscall(SYS_pidfd_send_signal, manager_->pidfd(), SIGCONT, nullptr, 0); }
    static DirectoryEntry entry(std::uint32_t shard, std::uint32_t epoch) {
        DirectoryEntry entry;
        entry.shard = ShardId{shard};
        entry.epoch = Epoch{epoch};
        entry.address.assign(3000, std::byte{7});
        return entry;
    }
    /// The last epoch of each shard, in what it was told, and how much that was.
    std::map<std::uint32_t, std::uint32_t> heard(std::size_t& packets) const {
        std::ifstream file(heard_, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        std::map<std::uint32_t, std::uint32_t> epochs;
        Unpacker in(bytes_of(text));
        for (packets = 0; !in.at_end(); ++packets) {
            const auto kind = in.take<Control>();
            const DirectoryEntry entry = unpack_directory_entry(in);
            if (!in.good()) break;  // the file ends in the middle of it, so far
            EXPECT_EQ(kind, Control::entry);
            std::uint32_t& known = epochs[number_of(entry.shard)];
            EXPECT_GT(number_of(entry.epoch), known) << "in their order";
            known = number_of(entry.epoch);
        }
        return epochs;
    }

    const std::string program_ =
        std::filesystem::current_path() / ("manager-process-test-" + std::to_string(getpid()) + ".sh");
    const std::string heard_ =
        std::filesystem::current_path() / ("manager-process-test-" + std::to_string(getpid()) + ".heard");
    std::optional<ManagerProcess> manager_;
};

TEST_F(StoppedManagerTest, HoldsUpNobody) {
    const auto before = Clock::now();
    std::uint32_t epoch = 0;
    // Until its socket is full, and far beyond.
    for (std::uint32_t after_that = 0; after_that < 2000; ++epoch) {
        ASSERT_TRUE(manager_->announce(entry(epoch % shards, 1 + epoch / shards)));
        if (manager_->has_unsent()) ++after_that;
        ASSERT_LT(epoch, 100'000u) << "the socket is never full";
    }
    EXPECT_LT(Clock::now() - before, 1s);
    manager_->stop();
    EXPECT_LT(Clock::now() - before, 1s) << "nor when it is told to stop";
}

TEST_F(StoppedManagerTest, HearsTheNewestWhenItGoesOn) {
    std::uint32_t epoch = 0;
    for (std::uint32_t after_that = 0; after_that < 2000; ++epoch) {
        ASSERT_TRUE(manager_->announce(entry(epoch % shards, 1 + epoch / shards)));
        if (manager_->has_unsent()) ++after_that;
    }
    // A shell may stop itself a moment after this: until then the signal would be lost.
    EXPECT_TRUE(await([this] {
        go_on();
        return !manager_->has_unsent();
    }));
    std::size_t packets = 0;
    std::map<std::uint32_t, std::uint32_t> epochs;
    EXPECT_TRUE(await([&] {
        epochs = heard(packets);
        return epochs[(epoch - 1) % shards] == 1 + (epoch - 1) / shards;
    }));
    for (std::uint32_t last = epoch - shards; last < epoch; ++last)
        EXPECT_EQ(epochs[last % shards], 1 + last / shards) << "shard " << last % shards;
    EXPECT_LT(packets, epoch - 1500) << "what was overtaken is not told";
}

}  // namespace
}  // namespace ddict::launcher
