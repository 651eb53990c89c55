// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A tunnel whose client lies in its ring, and frames that neither the entrance nor the exit has sent: under
// the right number too, as if from each other. Both must neither fall nor keep anything of it afterwards.
#include <unistd.h>

#include <deque>
#include <memory>
#include <optional>

#include "samehost/reason.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/nameless_socket.h"
#include "tests/samehost/lying_peer.h"
#include "tests/transport/fake_network.h"
#include "transport/tunnels.h"

namespace ddict::transport {
namespace {

constexpr Secret secret{std::byte{3}};
constexpr samehost::LinkName client_name{std::byte{9}};

/// A manager: claims what names itself, fetches, keeps or discards payloads, and answers.
class Manager : public TransportEvents {
  public:
    Manager(testing::FakeNetwork& network, const std::string& known_as, const std::string& path)
        : worker_(Worker::create({.start_network = network.joined_as(known_as),
                                  .listen_at = path,
                                  .on_network = true,
                                  .secret = secret})
                      .value()) {}

    void on_message(Bytes header, const IncomingPayload& payload) override {
        const Result<PeerId> claimed =
            worker_->connect(pack({.name = client_name, .path = {}, .ucx = {}}), {});
        if (claimed) peer_ = *claimed;
        if (payload.token == 0) return worker_->send(peer_, header);
        if (payload.bytes > 100'000 || outstanding_ > 64 || header.size() % 3 == 0)
            return worker_->discard_payload(payload.token);
        into_.emplace_back(payload.bytes);
        ++outstanding_;
        worker_->receive_payload(peer_, payload.token, into_.back(), 1);
    }
    void on_payload_received(std::uint64_t, bool) override { --outstanding_; }
    void on_payload_sent(std::uint64_t, bool) override { --outstanding_; }
    void on_peer_lost(PeerId peer, const Error&) override {
        if (peer == peer_) peer_ = no_peer;
    }

    void turn() { worker_->poll(*this); }
    void send(std::size_t bytes) {
        if (peer_ == no_peer) return;
        ++outstanding_;
        worker_->send(peer_, Bytes(payload_).first(40), Bytes(payload_).first(bytes % payload_.size() + 1),
                      2);
    }
    void close() {
        if (peer_ != no_peer) worker_->close(std::exchange(peer_, no_peer));
    }
    std::size_t tunnels() const { return worker_->tunnels(); }
    long outstanding() const { return outstanding_; }
    void forget() { into_.clear(); }

  private:
    std::unique_ptr<Worker> worker_;
    PeerId peer_ = no_peer;
    long outstanding_ = 0;
    std::deque<std::vector<std::byte>> into_;
    std::vector<std::byte> payload_ = std::vector<std::byte>(60'000);
};

class World {
  public:
    World() : entrance(network, "entrance", name), exit(network, "exit", {}), path(fuzz::nameless(name)) {}

    void turn() {
        entrance.turn();
        exit.turn();
    }
    /// Frames as of the tunnel that there is, or of another one.
    void deliver(fuzz::Input& input) {
        std::vector<std::byte> frame(32);
        frame[0] = std::byte{0xdd};
        frame[1] = static_cast<std::byte>(input.below(6));
        const std::uint64_t number = input.below(8) == 0 ? input.number() : number_;
        const std::uint64_t position = input.number();
        const std::uint64_t acknowledged = input.number();
        std::memcpy(&frame[8], &number, sizeof number);
        std::memcpy(&frame[16], &position, sizeof position);
        std::memcpy(&frame[24], &acknowledged, sizeof acknowledged);
        if (input.flip()) {  // a record, or the beginning of one
            const std::uint32_t content_bytes = input.below(4) == 0
                                                    ? input.take<std::uint32_t>()
                                                    : static_cast<std::uint32_t>(input.below(256));
            const std::uint16_t header_bytes = input.take<std::uint8_t>();
            Packer(frame)
                .put(content_bytes)
                .put(header_bytes)
                .put(input.take<std::uint8_t>())
                .put(std::uint8_t{0});
        }
        const auto rest = input.take_raw(input.below(256));
        frame.insert(frame.end(), rest.begin(), rest.end());
        network.find(input.flip() ? "entrance" : "exit")->deliver(frame);
    }
    void note_number() {
        const std::vector<std::byte>& last = network.last_message();
        if (last.size() >= 32) std::memcpy(&number_, &last[8], sizeof number_);
    }
    void end() {
        const auto is_clean = [&] {
            return entrance.tunnels() + exit.tunnels() == 0 &&
                   entrance.outstanding() + exit.outstanding() == 0;
        };
        for (int i = 0; i < 200 && !is_clean(); ++i)
            turn();
        network.find("entrance")->lose_all();
        network.find("exit")->lose_all();
        for (int i = 0; i < 100'000 && !is_clean(); ++i)
            turn();
        fuzz::require(is_clean());
        fuzz::require(network.find("entrance")->peers() + network.find("exit")->peers() == 0);
        entrance.forget();
        exit.forget();
    }

  private:
    const std::string name = "/dev/shm/ddict-fuzz-" + std::to_string(::getpid()) + "-socket";

  public:
    testing::FakeNetwork network{1};
    Manager entrance;
    Manager exit;
    const std::string path;

  private:
    std::uint64_t number_ = 0;
};

/// The first two records, if the input does not say otherwise, are a request and a message, as they should
/// be.
/// Whether the request is.
bool write_beginning(samehost::RingWriter& writer, fuzz::Input& input) {
    const auto what = input.below(8);
    std::vector<std::byte> request =
        pack_tunnel_request(secret, what == 0 ? samehost::LinkName{} : client_name, bytes_of("exit"));
    if (what == 1) request.resize(input.below(20));
    if (what == 2) request.resize(input.take<std::uint16_t>() % 16'000 + 21);
    writer.write(samehost::RecordKind::tunnel, 0, request);
    const std::vector<std::byte> message(40, std::byte{2});
    if (what != 3) writer.write(samehost::RecordKind::message, message.size(), message);
    return what > 2;
}

}  // namespace
}  // namespace ddict::transport

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ddict;
    using namespace ddict::transport;
    static World world;
    fuzz::Input input(data, size);
    static_cast<void>(samehost::unpack_reason(std::as_bytes(std::span(data, size))));
    {
        auto peer = samehost::testing::LyingPeer::connect(world.path, client_name);
        fuzz::require(peer.has_value());
        samehost::RingWriter writer(peer->ring().data(),
                                    *reinterpret_cast<samehost::RingControl*>(peer->front().data()));
        const bool is_sound = write_beginning(writer, input);
        for (int i = 0; i < (is_sound ? 100'000 : 200) && world.exit.tunnels() == 0; ++i) {
            world.turn();
            if (world.entrance.tunnels() != 0 && world.exit.tunnels() == 0) world.note_number();
        }
        fuzz::require(world.exit.tunnels() == (is_sound ? 1 : 0));
        while (!input.is_empty()) {
            switch (input.below(8)) {
                case 0:
                    fuzz::scribble(input, peer->ring());
                    break;
                case 1:
                    fuzz::scribble(input, peer->front());
                    break;
                case 2: {
                    const auto kind = static_cast<samehost::RecordKind>(input.below(11));
                    std::vector<std::byte> content(
                        input.flip() ? 0 : std::size_t{input.take<std::uint16_t>()} % 16'000);
                    const auto more = input.take_raw(input.below(256));
                    content.insert(content.begin(), more.begin(), more.end());
                    writer.write(kind, input.flip() ? input.below(256) : content.size(), content);
                    break;
                }
                case 3:
                    world.exit.send(input.take<std::uint16_t>());
                    break;
                case 4:
                    if (input.below(16) == 0) world.exit.close();
                    break;
                case 5:
                    world.deliver(input);
                    break;
                default:
                    world.turn();
            }
        }
    }
    world.end();
    return 0;
}
