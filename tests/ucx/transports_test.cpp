// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "ucx/worker.h"

namespace ddict::ucx {
namespace {

bool is_shared_memory(std::string_view transport) {
    constexpr std::array<std::string_view, 5> names{"sysv", "posix", "xpmem", "cma", "knem"};
    return std::find(names.begin(), names.end(), transport) != names.end();
}

TEST(Transports, AreListed) {
    const auto summary = available_transports();
    ASSERT_TRUE(summary) << summary.error().message();
    EXPECT_EQ(summary->version.substr(0, summary->version.find('.')),
              std::to_string(runtime_version() >> 16));
    bool tcp = false;
    for (const TransportDevice& usable : summary->usable) {
        std::printf("%s over %s\n", usable.transport.c_str(), usable.device.c_str());
        tcp = tcp || usable.transport == "tcp";
        EXPECT_FALSE(is_shared_memory(usable.transport)) << usable.transport;
    }
    EXPECT_TRUE(tcp);
}

TEST(Transports, AnImpossibleChoiceIsAnError) {
    ::setenv("UCX_NET_DEVICES", "no_such_device", 1);
    ::setenv("UCX_TLS", "tcp", 1);
    const auto summary = available_transports();
    os::Poller poller = os::Poller::create().value();
    os::WaitPolicy waiting(std::chrono::microseconds(50));
    const auto worker = Worker::create({}, poller, waiting);
    ::unsetenv("UCX_NET_DEVICES");
    ::unsetenv("UCX_TLS");
    EXPECT_FALSE(summary);
    ASSERT_FALSE(worker);
    std::printf("%s\n", worker.error().message().c_str());
}

/// Also where the user asks for it, for the sake of other libraries in the same program.
TEST(Transports, AreNeverSharedMemory) {
    for (const char* chosen : {"all", "sm", "shm,tcp", "sysv,posix,self,tcp", "^ib", "^sysv", "posix"}) {
        ::setenv("UCX_TLS", chosen, 1);
        const auto summary = available_transports();
        ::unsetenv("UCX_TLS");
        ASSERT_TRUE(summary) << chosen << ": " << summary.error().message();
        bool tcp = false;
        for (const TransportDevice& usable : summary->usable) {
            tcp = tcp || usable.transport == "tcp";
            EXPECT_FALSE(is_shared_memory(usable.transport)) << chosen << ": " << usable.transport;
        }
        EXPECT_TRUE(tcp) << chosen;
    }
}

}  // namespace
}  // namespace ddict::ucx
