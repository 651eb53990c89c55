// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Two ends for the tests of the worker: an Observer that notes events, and Partner, another process with a
// worker of its own that does what headers tell it. A test binary that uses Partner calls run_as_partner()
// first in main().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rpc/transport.h"
#include "transport/worker.h"

namespace ddict::transport::testing {

using Clock = std::chrono::steady_clock;

/// How two processes talk in a test.
struct Way {
    const char* name;
    bool other_host;  // each takes the other for a process of another host
};
void PrintTo(const Way& way, std::ostream* out);
inline constexpr Way same_host{"same_host", false};
inline constexpr Way tcp_between_hosts{"tcp_between_hosts", true};

/// Every wait of a test ends after this; longer under sanitizers.
std::chrono::milliseconds test_timeout();

/// Bytes that depend on the seed and on their place.
std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed);

/// What a partner is told by the first byte of a header.
enum class Order : char {
    echo = 'e',      // send the header back, and the payload if there is one
    drop = 'd',      // discard the payload
    ignore = 'i',    // keep the payload announced, never fetch it
    announce = 'a',  // send a payload of the size that follows (8 bytes)
    freeze = 'f',    // stop polling for ever
    usage = 'u',     // answer with the microseconds of processor time used
    quit = 'q',      // end in good order
};
std::vector<std::byte> order(Order what, std::size_t size = 1);

/// Notes all events. Payloads are fetched at once if fetch is set.
class Observer : public TransportEvents {
  public:
    struct Message {
        std::vector<std::byte> header;
        std::vector<std::byte> payload;  // if it came in memory
        std::uint64_t token = 0;
        std::uint64_t bytes = 0;
    };
    void on_message(Bytes header, const IncomingPayload& payload) override;
    void on_payload_received(std::uint64_t tag, bool ok) override { received.emplace_back(tag, ok); }
    void on_payload_sent(std::uint64_t tag, bool ok) override { sent.emplace_back(tag, ok); }
    void on_peer_lost(PeerId peer, const Error& why) override { lost.emplace_back(peer, why); }

    std::vector<Message> messages;
    std::vector<std::pair<std::uint64_t, bool>> received;
    std::vector<std::pair<std::uint64_t, bool>> sent;
    std::vector<std::pair<PeerId, Error>> lost;
};

/// Runs the worker until done() or the test's timeout is over; returns done().
bool run_until(Worker& worker, TransportEvents& events, const std::function<bool()>& done);

/// How UCX is started here.
StartNetwork over_ucx();
/// A worker of this process that others can reach by this way.
std::unique_ptr<Worker> make_worker(const Way& way);
/// What has come to it that breaks the rules.
std::uint64_t malformed(const Worker& worker);

/// What another process needs to connect; `salt` makes a process of this host look like one of another.
struct Card {
    std::vector<std::byte> address;
    ProcessIdentity identity;
};
Card card_of(const Worker& worker, std::uint64_t salt = 0);

/// Another process, started by executing this test binary again.
class Partner {
  public:
    /// role: "obey" (orders), "pester" (asks for echoes of random sizes for ever), "flood" (sends without a
    /// pause, and is killed in the middle of it), "steady" (asks for echoes until told to stop, checks each,
    /// and fails if one takes too long).
    Partner(const Way& way, const Worker& to, const std::string& role = "obey");
    ~Partner();  // kills it
    Partner(const Partner&) = delete;
    Partner& operator=(const Partner&) = delete;

    Result<PeerId> connect(Worker& worker) const { return worker.connect(card.address, card.identity); }
    void kill();
    /// Waits for a partner that ends by itself or, if it is "steady", because of this; meanwhile calls
    /// `meanwhile`. Its exit status, or -1 after the test's timeout.
    int finish(const std::function<void()>& meanwhile = [] {});
    bool running() const { return pid_ > 0; }
    pid_t pid() const { return pid_; }

    Card card;

  private:
    pid_t pid_ = -1;
    int channel_ = -1;
};

/// If this process was started as a partner: runs as one and exits.
void run_as_partner(int argc, char** argv);

}  // namespace ddict::transport::testing
