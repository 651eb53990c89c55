// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// For the tests of the transport: an end that notes what it is told, and one that answers.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "samehost/transport.h"

namespace ddict::samehost::testing {

/// Every wait of a test ends after this.
inline constexpr std::chrono::seconds test_timeout{30};

std::vector<std::byte> pattern(std::size_t size, std::uint64_t number);
/// The name of a transport that a message's header begins with, by which it claims the connection.
LinkName name_in(Bytes header);
/// A path for a socket of this test, that nothing is at.
std::string socket_path(const std::string& name);

/// A transport with all that it needs. Notes what it is told; payloads are kept, or fetched.
class End : public TransportEvents {
  public:
    struct Message {
        std::vector<std::byte> header;
        std::vector<std::byte> payload;  // if it came in memory
        std::uint64_t token = 0;
        std::uint64_t bytes = 0;
    };

    End();
    virtual ~End() = default;
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    void on_message(Bytes header, const IncomingPayload& payload) override;
    void on_payload_received(std::uint64_t tag, bool ok) override { received.emplace_back(tag, ok); }
    void on_payload_sent(std::uint64_t tag, bool ok) override { sent.emplace_back(tag, ok); }
    void on_peer_lost(PeerId peer, const Error& why) override { lost.emplace_back(peer, why); }

    /// One turn, with a look at the sockets.
    unsigned turn();
    /// Turns until done(), of the others too; false if that takes too long.
    bool run_until(const std::function<bool()>& done, const std::vector<End*>& others = {});
    /// A message whose header begins with the name of the transport, by which the other end claims it.
    void introduce_to(PeerId peer);

    os::Poller poller;
    os::WaitPolicy waiting{std::chrono::microseconds(50)};
    std::unique_ptr<Transport> transport;
    std::vector<Message> messages;
    std::vector<std::pair<std::uint64_t, bool>> received;
    std::vector<std::pair<std::uint64_t, bool>> sent;
    std::vector<std::pair<PeerId, Error>> lost;
};

/// Runs in a process of its own until it is killed: accepts, claims, and sends everything back.
[[noreturn]] void serve_echo(const std::string& path);

/// A process that runs `body`; killed at the end.
class Child {
  public:
    explicit Child(const std::function<void()>& body);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    void kill(int signal) const;
    /// Its exit status; 1000 plus the signal that killed it.
    int wait();
    pid_t pid() const { return pid_; }

  private:
    pid_t pid_;
};

/// Of this process: from now on the kernel refuses this system call with this error. False if it cannot be
/// arranged.
bool refuse_system_call(int number, int error);
/// Of this process: from now on the kernel refuses to read the memory of others (EPERM), as in many
/// containers. False if it cannot be arranged.
bool forbid_reading_memory_of_others();

}  // namespace ddict::samehost::testing
