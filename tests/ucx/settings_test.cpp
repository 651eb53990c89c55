// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which variables UCX obeys here: DDICT_UCX_* before UCX_*, which may be meant for the program's MPI.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "ucx/worker.h"

namespace ddict::ucx {
namespace {

/// What is set while one lives.
class Variables {
  public:
    explicit Variables(const std::map<std::string, std::string>& variables) : variables_(variables) {
        for (const auto& [name, value] : variables_)
            ::setenv(name.c_str(), value.c_str(), 1);
    }
    ~Variables() {
        for (const auto& [name, value] : variables_)
            ::unsetenv(name.c_str());
    }
    Variables(const Variables&) = delete;
    Variables& operator=(const Variables&) = delete;

  private:
    std::map<std::string, std::string> variables_;
};

Result<std::set<std::string>> transports_with(const std::map<std::string, std::string>& variables) {
    const Variables set(variables);
    const auto summary = available_transports();
    if (!summary) return summary.error();
    std::set<std::string> found;
    for (const TransportDevice& usable : summary->usable)
        found.insert(usable.transport + "/" + usable.device);
    return found;
}

std::string refusal_of(const std::map<std::string, std::string>& variables, Errc code) {
    const auto found = transports_with(variables);
    if (found) return "nothing was refused";
    EXPECT_EQ(found.error().code, code) << found.error().message();
    return found.error().message();
}

const std::set<std::string> loopback_alone{"tcp/lo"};

TEST(Settings, OfOnesOwnCountBeforeThoseOfAll) {
    const std::map<std::string, std::string> for_mpi{{"UCX_TLS", "rc"}, {"UCX_NET_DEVICES", "mlx5_7:1"}};
    EXPECT_NE(refusal_of(for_mpi, Errc::system).find("DDICT_UCX_TLS"), std::string::npos);
    auto both = for_mpi;
    both["DDICT_UCX_TLS"] = "tcp";
    both["DDICT_UCX_NET_DEVICES"] = "lo";
    EXPECT_EQ(transports_with(both).value(), loopback_alone);
}

TEST(Settings, OfOnesOwnNeedNoOthers) {
    EXPECT_EQ(transports_with({{"DDICT_UCX_TLS", "tcp"}, {"DDICT_UCX_NET_DEVICES", "lo"}}).value(),
              loopback_alone);
}

TEST(Settings, OfAllAreHeardWhereThereAreNoneOfOnesOwn) {
    EXPECT_EQ(transports_with({{"UCX_TLS", "tcp"}, {"UCX_NET_DEVICES", "lo"}}).value(), loopback_alone);
    EXPECT_EQ(transports_with({{"DDICT_UCX_TLS", "tcp"}, {"UCX_NET_DEVICES", "lo"}}).value(), loopback_alone);
}

TEST(Settings, AnEmptyOneUndoesThatOfAll) {
    const std::set<std::string> without = transports_with({}).value();
    EXPECT_TRUE(without.contains("tcp/lo"));
    EXPECT_EQ(transports_with({{"UCX_NET_DEVICES", "mlx5_7:1"}, {"DDICT_UCX_NET_DEVICES", ""}}).value(),
              without);
    EXPECT_EQ(transports_with({{"UCX_TLS", "rc"}, {"DDICT_UCX_TLS", ""}}).value(), without);
}

TEST(Settings, ThatUcxDoesNotTakeAreNamed) {
    for (const std::string variable :
         {"DDICT_UCX_RNDV_THRESH=many", "DDICT_UCX_LOG_FILE=somewhere", "DDICT_UCX_MEM_EVENTS=y"}) {
        const std::size_t equals = variable.find('=');
        const std::string why =
            refusal_of({{variable.substr(0, equals), variable.substr(equals + 1)}}, Errc::invalid_argument);
        EXPECT_NE(why.find(variable), std::string::npos) << why;
    }
    // What UCX alone knows of, in its own words.
    const std::string why = refusal_of({{"UCX_RNDV_THRESH", "many"}}, Errc::system);
    EXPECT_NE(why.find("RNDV_THRESH"), std::string::npos) << why;
    EXPECT_NE(why.find("'many'"), std::string::npos) << why;
}

/// The ports that this process listens at.
std::set<unsigned> ports() {
    std::set<unsigned> found;
    for (int fd = 0; fd < 1024; ++fd) {
        int listens = 0;
        socklen_t bytes = sizeof listens;
        sockaddr_in address{};
        socklen_t address_bytes = sizeof address;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && listens != 0 &&
            ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_bytes) == 0 &&
            address.sin_family == AF_INET)
            found.insert(ntohs(address.sin_port));
    }
    return found;
}

/// Those of a single transport, which UCX reads apart from the others.
TEST(Settings, OfTcpAreHeardToo) {
    const Variables set({{"UCX_TCP_PORT_RANGE", "23000-23099"},
                         {"DDICT_UCX_TCP_PORT_RANGE", "24000-24099"},
                         {"UCX_TLS", "tcp"},
                         {"UCX_NET_DEVICES", "lo"}});
    os::Poller poller = os::Poller::create().value();
    os::WaitPolicy waiting(std::chrono::microseconds(50));
    const auto worker = Worker::create({}, poller, waiting);
    ASSERT_TRUE(worker) << worker.error().message();
    const std::set<unsigned> listening = ports();
    ASSERT_FALSE(listening.empty());
    for (const unsigned port : listening)
        EXPECT_TRUE(port >= 24000 && port < 24100) << port;
}

}  // namespace
}  // namespace ddict::ucx
