// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How strangers introduce themselves: the hello of a client to a manager, and the handshake of a process of
// the same host, which brings a descriptor.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "samehost/handshake.h"
#include "tests/fuzz/fuzz_target.h"
#include "wire/messages.h"

using namespace ddict;

namespace {

/// What is accepted are these bytes and no others; and a proof is of all of it.
void read_hello(fuzz::Input& input) {
    Secret secret{};
    wire::RequestHeader header;
    header.verb = input.flip() ? wire::Verb::hello : wire::Verb::goodbye;
    header.request = input.take<std::uint16_t>();
    const std::size_t changed_at = input.take<std::uint16_t>();
    const auto change = input.take<std::uint8_t>();
    const Bytes bytes = input.take_rest();
    wire::Hello hello;
    if (!wire::unpack(bytes, hello)) return;
    fuzz::require(!hello.address.empty() && hello.address.size() <= limits::address_bytes_max);
    fuzz::require(hello.address.data() >= bytes.data() &&
                  hello.address.data() + hello.address.size() <= bytes.data() + bytes.size());
    std::vector<std::byte> again;
    wire::pack(hello, again);
    fuzz::require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));

    std::vector<std::byte> proven = wire::pack_proven(secret, header, hello);
    fuzz::require(header.value_bytes == proven.size() && wire::unpack(proven, hello));
    fuzz::require(equal_in_constant_time(hello.proof, wire::proof_of(secret, header, hello)));
    proven[changed_at % proven.size()] ^= static_cast<std::byte>(change);
    const bool is_proven = wire::unpack(proven, hello) &&
                           equal_in_constant_time(hello.proof, wire::proof_of(secret, header, hello));
    fuzz::require(is_proven == (change == 0));
}

int descriptors_of_this_process() {
    // The lowest number that is free: it grows with each that stays open.
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return fd;
}

/// Sends bytes, and so many copies of a descriptor with them.
void send(int socket, Bytes bytes, std::size_t descriptors) {
    constexpr std::size_t descriptors_max = 8;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * descriptors_max)> control{};
    iovec data{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (descriptors != 0) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors);
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
        for (std::size_t i = 0; i < descriptors; ++i)
            std::memcpy(CMSG_DATA(head) + i * sizeof socket, &socket, sizeof socket);
    }
    static_cast<void>(::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

void read_handshake(fuzz::Input& input) {
    const int before = descriptors_of_this_process();
    {
        int ends[2];
        fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        const os::FileDescriptor theirs(ends[0]);
        const os::FileDescriptor ours(ends[1]);
        const std::size_t descriptors = input.below(9);
        samehost::Handshake handshake;
        std::vector<std::byte> bytes(sizeof handshake);
        if (input.flip()) std::memcpy(bytes.data(), &handshake, sizeof handshake);
        const Bytes more = input.take_rest();
        const std::size_t over = std::min(more.size(), sizeof handshake.name);
        std::copy_n(more.begin(), over, bytes.end() - static_cast<std::ptrdiff_t>(sizeof handshake.name));
        bytes.insert(bytes.end(), more.begin() + static_cast<std::ptrdiff_t>(over), more.end());
        if (more.size() == 1) bytes.resize(std::to_integer<std::size_t>(more[0]) % bytes.size());
        send(theirs.fd(), bytes, descriptors);
        const auto introduction = samehost::read_introduction(ours.fd());
        // What follows the handshake is not read with it.
        const bool is_good = bytes.size() >= sizeof handshake && descriptors == 1 &&
                             std::memcmp(bytes.data(), handshake.magic.data(), handshake.magic.size()) == 0;
        const bool is_nothing = bytes.empty();  // a stream carries no empty message
        fuzz::require(introduction.has_value() == (is_good || is_nothing));
        if (introduction.has_value()) fuzz::require(introduction->has_value() == is_good);
        if (is_good) {
            fuzz::require((*introduction)->memory.is_open());
            fuzz::require(std::memcmp((*introduction)->name.data(), bytes.data() + handshake.magic.size(),
                                      sizeof handshake.name) == 0);
        }
    }
    fuzz::require(descriptors_of_this_process() == before);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    if (input.flip()) {
        read_hello(input);
    } else {
        read_handshake(input);
    }
    return 0;
}
