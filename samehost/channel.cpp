// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "os/error.h"

namespace ddict::samehost {
namespace {

// Without these, the other end could take memory away that is mapped: to touch it would be a SIGBUS.
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

bool reserve_pages(const os::FileDescriptor& memory) noexcept {
    int done = 0;
    do {
        done = ::fallocate(memory.fd(), 0, 0, Channel::bytes);
    } while (done != 0 && errno == EINTR);
    return done == 0 || errno == EOPNOTSUPP;
}

Error not_a_channel(const std::string& why) {
    return Error(Errc::protocol, "the memory of a connection within the node is refused: " + why);
}

}  // namespace

/// The beginning of the memory. The rings follow.
struct Channel::Front {
    std::array<RingControl, 2> rings;  // by the side that writes
    alignas(cache_line_bytes) std::array<EndFacts, 2> facts;
};

Result<Channel::Made> Channel::make() {
    static_assert(sizeof(Front) <= bytes - 2 * ring_bytes);
    os::FileDescriptor memory(::memfd_create("ddict-connection", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.is_open()) {
        // A filter of system calls, or a kernel without it.
        if (errno == EPERM || errno == EACCES || errno == ENOSYS)
            return Error(Errc::not_found, std::string("this process may not make memory to share "
                                                      "(memfd_create): ") +
                                              std::strerror(errno));
        return os::error_of(errno, "making memory to share with a process of this node");
    }
    rlimit largest_file{};
    if (::getrlimit(RLIMIT_FSIZE, &largest_file) == 0 &&
        largest_file.rlim_cur < bytes)  // or SIGXFSZ would come
        return Error(Errc::not_found, "this process may not make files of " + std::to_string(bytes) +
                                          " bytes (ulimit -f), as memory to share is one");
    // A page that the kernel did not have at the first touch would be a SIGBUS: take them now.
    if (::ftruncate(memory.fd(), bytes) != 0 || !reserve_pages(memory) ||
        ::fcntl(memory.fd(), F_ADD_SEALS, seals) != 0)
        return os::error_of(errno, "making memory to share with a process of this node");
    Result<Channel> channel = map_checked(memory);
    if (!channel) return channel.error();
    return Made{*std::move(channel), std::move(memory)};
}

Result<Channel> Channel::map(const os::FileDescriptor& memory) {
    const int sealed = ::fcntl(memory.fd(), F_GET_SEALS);
    if (sealed < 0) return not_a_channel("it is no memory file");
    if ((sealed & seals) != seals) return not_a_channel("its size may change");
    if ((sealed & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) return not_a_channel("it cannot be written");
    struct stat status {};
    if (::fstat(memory.fd(), &status) != 0)
        return os::error_of(errno, "asking for the size of shared memory");
    if (status.st_size != static_cast<off_t>(bytes))
        return not_a_channel("it has " + std::to_string(status.st_size) + " bytes, not " +
                             std::to_string(bytes));
    if (!reserve_pages(memory))
        return os::error_of(errno, "reserving memory shared with a process of this node");
    return map_checked(memory);
}

/// Not for children of fork(): they must not speak in their parents' name.
Result<Channel> Channel::map_checked(const os::FileDescriptor& memory) {
    void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(), 0);
    if (mapped == MAP_FAILED) return os::error_of(errno, "mapping memory shared with a process of this node");
    Channel channel(mapped);
    if (::madvise(mapped, bytes, MADV_DONTFORK) != 0)
        return os::error_of(errno, "keeping shared memory from children of fork()");
    return channel;
}

Channel::Channel(Channel&& from) noexcept : front_(std::exchange(from.front_, nullptr)) {}

Channel& Channel::operator=(Channel&& from) noexcept {
    std::swap(front_, from.front_);
    return *this;
}

Channel::~Channel() {
    if (front_ != nullptr) ::munmap(front_, bytes);
}

std::byte* Channel::ring_written_by(Side side) noexcept {
    return reinterpret_cast<std::byte*>(front_) + bytes - 2 * ring_bytes +
           static_cast<std::size_t>(side) * ring_bytes;
}

RingWriter Channel::writer(Side of) noexcept {
    return {ring_written_by(of), front_->rings[static_cast<std::size_t>(of)]};
}

RingReader Channel::reader(Side of) noexcept {
    return {ring_written_by(other(of)), front_->rings[static_cast<std::size_t>(other(of))]};
}

EndFacts& Channel::facts(Side of) noexcept {
    return front_->facts[static_cast<std::size_t>(of)];
}

}  // namespace ddict::samehost
