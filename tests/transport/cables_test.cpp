// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A cable that is pulled, or put back, just while a worker starts on the network. In a network namespace of
// this program's own.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <iostream>

#include "tests/own_host/run_tests.h"
#include "tests/transport/fake_network.h"

namespace ddict::transport::testing {
namespace {

bool ip(const char* command) {
    return std::system((std::string("ip ") + command).c_str()) == 0;
}
const auto pull = [] { ASSERT_TRUE(ip("link set cable0 down")); };
const auto put_back = [] { ASSERT_TRUE(ip("link set cable0 up")); };

struct Cables : ::testing::Test {
    void SetUp() override { put_back(); }

    /// A worker that other hosts are to reach, while whose start `meanwhile` happens.
    std::unique_ptr<Worker> started_while(const std::function<void()>& meanwhile) {
        const StartNetwork start = network.joined_as("one");
        return Worker::create({.start_network =
                                   [=](os::Poller& poller, os::WaitPolicy& waiting) {
                                       meanwhile();
                                       return start(poller, waiting);
                                   },
                               .on_network = true})
            .value();
    }

    FakeNetwork network;
};

TEST_F(Cables, ThatAreThereAllTheTimeLeadOut) {
    const auto worker = started_while([] {});
    EXPECT_FALSE(worker->began_without_network());
    pull();
    EXPECT_FALSE(worker->began_without_network()) << "it listens there, whatever comes";
    EXPECT_FALSE(Worker::is_network_there());
}

TEST_F(Cables, ThatAreOutAtTheStartDoNot) {
    pull();
    const auto worker = started_while([] {});
    EXPECT_TRUE(worker->began_without_network());
    put_back();
    EXPECT_TRUE(worker->began_without_network());
    EXPECT_TRUE(Worker::is_network_there());
}

/// UCX may have looked before, or after.
TEST_F(Cables, ThatArePulledWhileItStartsAreNotReliedOn) {
    const auto worker = started_while(pull);
    put_back();
    EXPECT_TRUE(worker->began_without_network());
}

TEST_F(Cables, ThatArePutBackWhileItStartsAreNotReliedOn) {
    pull();
    EXPECT_TRUE(started_while(put_back)->began_without_network());
}

/// As on a host of containers, whose interfaces come and go.
TEST_F(Cables, OfOthersThatComeAndGoDoNoHarm) {
    const auto worker = started_while([] { ASSERT_TRUE(ip("link add other0 type veth peer name other1")); });
    EXPECT_FALSE(worker->began_without_network());
    EXPECT_FALSE(started_while([] { ASSERT_TRUE(ip("link delete other0")); })->began_without_network());
}

}  // namespace
}  // namespace ddict::transport::testing

int main(int argc, char** argv) {
    // Who is not root is so in a user namespace of its own.
    const int kinds = ::geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
    if (::unshare(kinds) != 0 ||
        std::system("ip link set lo up && ip link add cable0 type veth peer name wall0 && "
                    "ip link set wall0 up && ip address add 198.18.0.1/24 dev cable0") != 0) {
        std::cerr << "a network namespace with a cable in it cannot be made here\n";
        return 1;
    }
    return ddict::testing::run_all_tests(argc, argv);
}
