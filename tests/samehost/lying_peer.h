// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The other end of a connection, as a program that keeps to no rule: it has the memory, and writes there what
// it likes.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "samehost/channel.h"
#include "samehost/handshake.h"

namespace ddict::samehost::testing {

class LyingPeer {
  public:
    /// Nothing if it cannot connect.
    static std::optional<LyingPeer> connect(const std::string& path, const LinkName& name = {}) {
        Result<Channel::Made> made = Channel::make();
        if (!made) return std::nullopt;
        Result<os::UnsharedDescriptor> socket = meet(path, name, made->memory);
        if (!socket) return std::nullopt;
        void* const memory =
            ::mmap(nullptr, Channel::bytes, PROT_READ | PROT_WRITE, MAP_SHARED, made->memory.fd(), 0);
        if (memory == MAP_FAILED) return std::nullopt;
        return LyingPeer(*std::move(socket), std::move(made->memory), static_cast<std::byte*>(memory));
    }
    LyingPeer(LyingPeer&& other) noexcept
        : socket_(std::move(other.socket_)),
          memory_(std::move(other.memory_)),
          bytes_(std::exchange(other.bytes_, nullptr)) {}
    LyingPeer& operator=(LyingPeer&&) = delete;
    ~LyingPeer() {
        if (bytes_ != nullptr) ::munmap(bytes_, Channel::bytes);
    }

    int socket() const { return socket_.fd(); }
    int memory() const { return memory_.fd(); }
    /// All that is shared.
    std::span<std::byte> all() { return {bytes_, Channel::bytes}; }
    /// How far each side is, and what each lays open.
    std::span<std::byte> front() { return all().first(Channel::bytes - 2 * ring_bytes); }
    /// The ring that the other end reads.
    std::span<std::byte> ring() { return all().last(2 * ring_bytes).first(ring_bytes); }

  private:
    LyingPeer(os::UnsharedDescriptor socket, os::FileDescriptor memory, std::byte* bytes)
        : socket_(std::move(socket)), memory_(std::move(memory)), bytes_(bytes) {}

    os::UnsharedDescriptor socket_;
    os::FileDescriptor memory_;
    std::byte* bytes_;
};

}  // namespace ddict::samehost::testing
