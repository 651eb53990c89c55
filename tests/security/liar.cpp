// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// usage: liar UID GID KIND COUNT MANAGER <HANDLE
// Becomes another user, and sends COUNT messages that are no good to a manager of the handle, over TCP.
// Prints how many answers came. Kinds: secret id proof address version length session noise. The kind
// "handle" prints the handle with another secret instead.
#include <grp.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>

#include "base/hash.h"
#include "base/secret.h"
#include "cluster/handle.h"
#include "transport/worker.h"
#include "wire/messages.h"

namespace ddict {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Answers final : TransportEvents {
    void on_message(Bytes, const IncomingPayload&) override { ++count; }
    void on_payload_received(std::uint64_t, bool) override {}
    void on_payload_sent(std::uint64_t, bool) override {}
    void on_peer_lost(PeerId, const Error& why) override {
        std::cerr << "lost: " << why.message() << '\n';
        ++lost;
    }
    unsigned count = 0;
    unsigned lost = 0;
};

class Liar {
  public:
    Liar(const Handle& handle, const transport::Worker& worker) : handle_(handle), worker_(worker) {}

    std::vector<std::byte> message(const std::string& kind, std::uint64_t number) {
        wire::RequestHeader header;
        header.verb = wire::Verb::hello;
        header.request = number + 1;
        if (kind == "session") {
            header.verb = number % 2 == 0 ? wire::Verb::shutdown : wire::Verb::clear;
            header.session = random_();
            return bytes(header, {});
        }
        if (kind == "noise") {
            std::vector<std::byte> noise(random_() % 4000);
            for (std::byte& b : noise)
                b = static_cast<std::byte>(random_());
            return noise;
        }
        std::vector<std::byte> address = worker_.address();
        Secret secret = handle_.secret;
        wire::Hello hello{.dictionary_id = handle_.dictionary_id,
                          .proof = {},
                          .ucx_version = ucx::runtime_version(),
                          .process = worker_.identity(),
                          .address = address};
        if (kind == "secret") secret[number % secret.size()] ^= std::byte{1};
        if (kind == "id") ++hello.dictionary_id;
        std::vector<std::byte> value;
        if (kind == "proof") {  // made for another address, and all its checksums are right again
            value = wire::pack_proven(secret, header, hello);
            const std::vector<std::byte> changed = with_another_ucx_address(address, number);
            std::copy(changed.begin(), changed.end(),
                      value.end() - static_cast<std::ptrdiff_t>(address.size()));
            return bytes(header, value);
        }
        if (kind == "address") address[number % address.size()] ^= std::byte{0x10};  // the secret is right
        value = wire::pack_proven(secret, header, hello);
        if (kind == "version")
            header.version = static_cast<std::uint8_t>(wire::protocol_version + 1 + number % 250);
        if (kind == "length") value.resize(number % value.size());
        return bytes(header, value);
    }

  private:
    static std::vector<std::byte> with_another_ucx_address(Bytes packed, std::uint64_t number) {
        transport::Address address = transport::unpack(packed).value();
        std::vector<std::byte> ucx(address.ucx.begin(), address.ucx.end());
        constexpr std::size_t envelope = 16;
        ucx[envelope + number % (ucx.size() - envelope)] ^= static_cast<std::byte>(1 + number % 255);
        const std::uint64_t checksum = hash_of(Bytes(ucx).subspan(envelope));
        std::memcpy(ucx.data() + 8, &checksum, sizeof checksum);
        address.ucx = ucx;
        return transport::pack(address);
    }
    static std::vector<std::byte> bytes(wire::RequestHeader header, Bytes value) {
        std::vector<std::byte> message(sizeof header + value.size());
        std::memcpy(message.data(), &header, sizeof header);
        std::copy(value.begin(), value.end(), message.begin() + sizeof header);
        return message;
    }

    const Handle& handle_;
    const transport::Worker& worker_;
    std::mt19937_64 random_{std::random_device{}()};
};

int run(char** argv) {
    const auto gid = static_cast<gid_t>(std::strtoul(argv[2], nullptr, 10));
    const auto uid = static_cast<uid_t>(std::strtoul(argv[1], nullptr, 10));
    std::string text;
    std::getline(std::cin, text);
    if (::setgroups(0, nullptr) != 0 || ::setgid(gid) != 0 || ::setuid(uid) != 0) {
        std::perror("becoming another user");
        return 1;
    }
    ::setenv("DDICT_SAME_HOST", "0", 1);
    ::setenv("UCX_NET_DEVICES", "lo", 1);
    Handle handle = Handle::parse(text).value();
    const std::string kind = argv[3];
    if (kind == "handle") {
        handle.secret[5] ^= std::byte{1};
        std::cout << handle.serialize() << '\n';
        return 0;
    }
    const auto worker =
        transport::Worker::create({.start_network = [](os::Poller& poller, os::WaitPolicy& waiting) {
            return ucx::Worker::create({}, poller, waiting);
        }}).value();
    const std::uint64_t count = std::strtoull(argv[4], nullptr, 10);
    const auto& manager = handle.seeds.at(std::strtoul(argv[5], nullptr, 10));
    const PeerId peer = worker->connect(manager.address, manager.process).value();
    Answers answers;
    Liar liar(handle, *worker);
    const auto deadline = Clock::now() + seconds(120);
    for (std::uint64_t i = 0; i < count && answers.lost == 0; ++i) {
        worker->send(peer, liar.message(kind, i));
        if (i % 64 == 63) worker->progress(answers, Clock::now() + milliseconds(1));
        if (Clock::now() > deadline) return 1;
    }
    worker->stop(Clock::now() + seconds(20));
    std::cout << answers.count << '\n';
    return answers.lost == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ddict

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fputs("usage: liar UID GID KIND COUNT MANAGER <HANDLE\n", stderr);
        return 2;
    }
    return ddict::run(argv);
}
