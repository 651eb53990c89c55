// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A transport whose peer lies: in its ring, in what it says of itself, and with bytes that change. It must
// neither fall nor keep anything of the peer afterwards.
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <memory>

#include "samehost/transport.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/nameless_socket.h"
#include "tests/samehost/lying_peer.h"

namespace ddict::samehost {
namespace {

/// Claims the peer, and fetches, keeps or discards what it announces.
class Server : public TransportEvents {
  public:
    Server()
        : poller_(os::Poller::create().value()), transport_(Transport::create(poller_, waiting_).value()) {
        const std::string name = "/dev/shm/ddict-fuzz-" + std::to_string(::getpid()) + "-socket";
        fuzz::require(transport_->listen(name).has_value());
        path_ = fuzz::nameless(name);
    }
    ~Server() { transport_.reset(); }

    void on_message(Bytes header, const IncomingPayload& payload) override {
        if (const PeerId claimed = transport_->claim(LinkName{}); claimed != no_peer) peer_ = claimed;
        fuzz::require(payload.token == 0 || payload.in_memory.empty());
        if (payload.token == 0) return;
        if (payload.bytes > 100'000 || outstanding_ > 64 || header.size() % 3 == 0)
            return transport_->discard_payload(payload.token);
        into_.emplace_back(payload.bytes);
        ++outstanding_;
        transport_->receive_payload(peer_, payload.token, into_.back(), 1);
    }
    void on_payload_received(std::uint64_t, bool) override { --outstanding_; }
    void on_payload_sent(std::uint64_t, bool) override { --outstanding_; }
    void on_peer_lost(PeerId peer, const Error&) override {
        if (peer == peer_) peer_ = no_peer;
    }

    void turn() {
        poller_.wait(std::chrono::nanoseconds(0));
        transport_->poll(*this);
    }
    void send(std::size_t bytes) {
        if (peer_ == no_peer) return;
        ++outstanding_;
        transport_->send(peer_, Bytes(payload_).first(40), Bytes(payload_).first(bytes % payload_.size() + 1),
                         2);
    }
    void sleep() { static_cast<void>(transport_->prepare_to_sleep()); }
    void end() {
        for (int i = 0; i < 10'000 && (transport_->links() != 0 || outstanding_ != 0); ++i)
            turn();
        fuzz::require(transport_->links() == 0 && outstanding_ == 0);
        into_.clear();
    }

    const std::string& path() const { return path_; }

  private:
    std::string path_;
    os::Poller poller_;
    os::WaitPolicy waiting_{std::chrono::microseconds(50)};
    std::unique_ptr<Transport> transport_;
    PeerId peer_ = no_peer;
    long outstanding_ = 0;
    std::deque<std::vector<std::byte>> into_;
    std::vector<std::byte> payload_ = std::vector<std::byte>(40'000);
};

}  // namespace
}  // namespace ddict::samehost

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ddict;
    using namespace ddict::samehost;
    static Server server;
    {
        std::optional<testing::LyingPeer> peer = testing::LyingPeer::connect(server.path());
        fuzz::require(peer.has_value());
        server.turn();
        for (fuzz::Input input(data, size); !input.is_empty();) {
            switch (input.take<std::uint8_t>() % 8) {
                case 0:
                case 1:
                    fuzz::scribble(input, peer->ring());
                    break;
                case 2:
                    fuzz::scribble(input, peer->front());
                    break;
                case 3:
                    server.send(input.take<std::uint16_t>());
                    break;
                case 4: {
                    const auto bytes = input.take_bytes(input.take<std::uint8_t>() % 16);
                    static_cast<void>(
                        ::send(peer->socket(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
                    break;
                }
                case 5:
                    server.sleep();
                    break;
                default:
                    server.turn();
            }
        }
    }
    server.end();
    return 0;
}
