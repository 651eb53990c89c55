// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/handshake.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "os/error.h"
#include "os/process_watch.h"

namespace ddict::samehost {
namespace {

// Connections that wait to be accepted; the kernel has a limit of its own (net.core.somaxconn).
constexpr int backlog = 4096;
constexpr mode_t for_this_user_alone = 0600;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return Error(Errc::invalid_argument, "the path of a socket may have " +
                                                 std::to_string(sizeof address.sun_path - 1) +
                                                 " bytes: " + path);
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

const sockaddr* general(const sockaddr_un& address) noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
}

os::FileDescriptor open_socket() {
    return os::FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

Result<os::FileDescriptor> make_socket() {
    os::FileDescriptor socket = open_socket();
    if (!socket.is_open()) return os::error_of(errno, "making a socket to speak within the node");
    return socket;
}

/// Memory for one descriptor that goes with a message.
struct Passing {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec data{};
    msghdr message{};

    Passing(void* bytes, std::size_t size) : data{bytes, size} {
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
    }
};

/// Needs no memory: whoever connects must not be able to bring that about.
Error nonsense(const char* why) noexcept {
    return Error(Errc::protocol, why);
}

}  // namespace

Result<LinkName> make_link_name() {
    LinkName name;
    if (::getrandom(name.data(), name.size(), 0) != static_cast<ssize_t>(name.size()))
        return os::error_of(errno, "asking the kernel for random bytes");
    return name;
}

Result<os::FileDescriptor> listen_at(const std::string& path) {
    const Result<sockaddr_un> address = address_of(path);
    if (!address) return address.error();
    Result<os::FileDescriptor> socket = make_socket();
    if (!socket) return socket.error();
    const std::string listening = "listening at " + path;
    // The file gets the mode of the socket, less the umask.
    if (::fchmod(socket->fd(), for_this_user_alone) != 0) return os::error_of(errno, listening);
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
    const bool bound = ::bind(socket->fd(), general(*address), sizeof *address) == 0;
    if (!bound && errno == ENOSPC)
        return Error(Errc::system, listening + ": no space, or no inode, is left there (df -i /dev/shm)");
    if (!bound || ::listen(socket->fd(), backlog) != 0) return os::error_of(errno, listening);
    return socket;
}

Result<os::UnsharedDescriptor> meet(const std::string& path, const LinkName& name,
                                    const os::FileDescriptor& memory) {
    const Result<sockaddr_un> address = address_of(path);
    if (!address) return address.error();
    auto socket = os::UnsharedDescriptor::make([] { return open_socket(); });
    // A filter of system calls.
    if (!socket.is_open() && (errno == EAFNOSUPPORT || errno == EPERM || errno == EACCES))
        return Error(
            Errc::not_found,
            std::string("this process may make no socket to speak within the node: ") + std::strerror(errno));
    if (!socket.is_open()) return os::error_of(errno, "making a socket to speak within the node");
    const std::string connecting = "connecting to " + path;
    int connected = 0;
    do {
        connected = ::connect(socket.fd(), general(*address), sizeof *address);
    } while (connected != 0 && errno == EINTR);
    if (connected != 0) {
        switch (errno) {
            case ENOENT:
            case EACCES:
            case EPERM:
                return Error(Errc::not_found, connecting + ": " + std::strerror(errno));
            case ECONNREFUSED:
                return Error(Errc::manager_lost, "its process has ended: nobody listens at " + path)
                    .set_state(ManagerState::ended);
            case EAGAIN:
                return Error(Errc::busy, "too many processes are connecting to " + path);
            default:
                return os::error_of(errno, connecting);
        }
    }
    const Result<pid_t> peer = peer_of(socket.fd());
    if (!peer) return peer.error();
    Handshake handshake;
    handshake.name = name;
    Passing passing(&handshake, sizeof handshake);
    cmsghdr* const control = CMSG_FIRSTHDR(&passing.message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = memory.fd();
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
    ssize_t sent = 0;
    do {
        sent = ::sendmsg(socket.fd(), &passing.message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent == static_cast<ssize_t>(sizeof handshake)) return socket;
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return why_closed(*peer, end_told_within);
    if (sent < 0 && (errno == ETOOMANYREFS || errno == EAGAIN))
        return Error(Errc::busy, "too many processes are connecting to " + path);
    return os::error_of(errno, connecting);
}

Result<pid_t> peer_of(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return os::error_of(errno, "asking who is at the other end of a connection");
    if (peer.uid != ::geteuid())
        return Error(Errc::access_denied,
                     "the process at the other end is of another user, uid " + std::to_string(peer.uid));
    return peer.pid;
}

Error why_closed(pid_t peer, std::chrono::milliseconds time) {
    const os::FileDescriptor watch = peer > 0 ? os::open_pidfd(peer) : os::FileDescriptor();
    const bool is_gone = !watch.is_open() && peer > 0 && errno == ESRCH;
    pollfd end{.fd = watch.fd(), .events = POLLIN, .revents = 0};
    const int told = watch.is_open() ? ::poll(&end, 1, static_cast<int>(time.count())) : -1;
    if (is_gone || told == 1)
        return Error(Errc::manager_lost, "its process has ended").set_state(ManagerState::ended);
    if (told == 0 && time.count() > 0)
        return Error(Errc::busy,
                     "its process lives and closes new connections: it has no file descriptor left for them "
                     "(ulimit -n), as a rule");
    return Error(Errc::manager_lost, "it has closed the connection, or its process has ended");
}

Result<std::optional<Introduction>> read_introduction(int socket) {
    Handshake handshake;
    Passing passing(&handshake, sizeof handshake);
    const ssize_t got = ::recvmsg(socket, &passing.message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return std::optional<Introduction>();
    // As many as there is space for with alignment, which may be more than one.
    std::array<os::FileDescriptor, 4> passed;
    std::size_t count = 0;
    for (cmsghdr* at = CMSG_FIRSTHDR(&passing.message); got > 0 && at != nullptr;
         at = CMSG_NXTHDR(&passing.message, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t i = 0; i < (at->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
            os::FileDescriptor one(fd);
            if (count < passed.size()) passed[count++] = std::move(one);
        }
    }
    if (got < 0) return nonsense(std::strerror(errno));
    if (got != static_cast<ssize_t>(sizeof handshake))
        return nonsense("it ended, or began with half a message");
    if (handshake.magic != Handshake::magic_of_this_version) return nonsense("it speaks something else");
    if ((passing.message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || count != 1)
        return nonsense("it must hand over one descriptor, and this process have one to spare");
    return std::optional<Introduction>(Introduction{handshake.name, std::move(passed[0])});
}

}  // namespace ddict::samehost
