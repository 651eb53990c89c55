// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/connection_guard.h"

#include <fcntl.h>
#include <linux/tcp.h>  // more of tcp_info than <netinet/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "base/comma_list.h"
#include "base/limits.h"
#include "manager/peer_users.h"
#include "os/network_interfaces.h"

namespace ddict::manager {
namespace {

// UCX answers a connection by one of its own to the peer, and does not survive it if there is no descriptor
// for that: one is kept free for each connection that came this lately.
constexpr std::int64_t answered_ms_max = 2'000;
// A connection that has sent less than UCX's first message for so long is closed where descriptors are short:
// a client sends that at once.
constexpr std::uint64_t first_message_bytes = 42;
constexpr std::int64_t idle_ms_max = 3'000;
// Such connections are looked for at most this often.
constexpr std::int64_t make_place_again_ms = 100;

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

/// Descriptors below this one may be given to connections; the others are for watches of processes and what
/// is opened in passing.
int first_reserved_descriptor() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT32_MAX) return INT32_MAX;
    const auto limit = static_cast<int>(files.rlim_cur);
    return limit - std::clamp(limit / 8, 8, 64);
}

bool is_tcp(int socket) {
    int type = 0;
    int domain = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           (domain == AF_INET || domain == AF_INET6);
}

void bound_silence(int socket) {
    const unsigned milliseconds = static_cast<unsigned>(limits::silence_of_peer_max.count());
    ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

/// The connection has ended, and reading from it will say so.
bool says_peer_has_left(int error) {
    switch (error) {
        case EPIPE:
        case ECONNRESET:
        case ECONNABORTED:
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case EHOSTDOWN:
        case ENETUNREACH:
        case ENETDOWN:
            return true;
        default:
            return false;
    }
}

std::uint64_t cookie_of(int socket) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return ::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

bool has_begun(int socket) {
    tcp_info info{};
    socklen_t size = sizeof info;
    return ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
           info.tcpi_bytes_received >= first_message_bytes;
}

std::vector<ucx::IpNetwork> own_addresses() {
    std::vector<ucx::IpNetwork> own;
    for (const std::string& text : os::host_addresses().value_or(std::vector<std::string>())) {
        if (const auto address = ucx::IpNetwork::parse(text)) own.push_back(*address);
    }
    return own;
}

}  // namespace

Result<PermittedHosts> PermittedHosts::parse(const std::string& text) {
    PermittedHosts hosts{.all = false};
    for (const std::string& word : split_list(text)) {
        if (word == "all") {
            hosts.all = true;
        } else if (const auto network = ucx::IpNetwork::parse(word)) {
            hosts.networks.push_back(*network);
        } else {
            addrinfo hints{};
            hints.ai_socktype = SOCK_STREAM;
            addrinfo* found = nullptr;
            if (const int error = ::getaddrinfo(word.c_str(), nullptr, &hints, &found); error != 0)
                return Error(Errc::invalid_argument,
                             "'" + word + "' in DDICT_ALLOW_HOSTS is no host: " + ::gai_strerror(error));
            const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
            for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
                if (const auto address = ucx::IpNetwork::of(at->ai_addr)) hosts.networks.push_back(*address);
            }
        }
    }
    return hosts;
}

ConnectionGuard& ConnectionGuard::instance() {
    static ConnectionGuard guard;
    return guard;
}

ConnectionGuard::ConnectionGuard()
    : spare_fd_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

ConnectionGuard::Refused ConnectionGuard::take_refused() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_fd_, &count, sizeof count);
    const std::lock_guard lock(mutex_);
    return std::exchange(refused_, {});
}

void ConnectionGuard::permit(PermittedHosts hosts) {
    const std::lock_guard lock(mutex_);
    permitted_ = std::move(hosts);
}

void ConnectionGuard::note(std::uint64_t Refused::*counter, const sockaddr* from) {
    {
        const std::lock_guard lock(mutex_);
        ++(refused_.*counter);
        if (counter == &Refused::stranger) {
            const auto address = ucx::IpNetwork::of(from);
            refused_.stranger_from = address ? address->text() : "an unknown address";
        }
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_fd_, &one, sizeof one);
}

bool ConnectionGuard::is_permitted(const sockaddr* address) {
    const auto peer = ucx::IpNetwork::of(address);
    const std::lock_guard lock(mutex_);
    if (!peer || permitted_.all || peer->is_loopback()) return true;
    const auto holds = [&](const ucx::IpNetwork& network) { return network.contains(*peer); };
    if (std::any_of(permitted_.networks.begin(), permitted_.networks.end(), holds) ||
        std::any_of(own_.begin(), own_.end(), holds))
        return true;
    own_ = own_addresses();  // they may have changed
    return std::any_of(own_.begin(), own_.end(), holds);
}

/// With no descriptor for it, a waiting connection is taken out of the queue through the spare one.
int ConnectionGuard::accept_and_close(int listener) {
    const int spare = spare_fd_.exchange(-1);
    if (spare < 0) return -1;
    ::close(spare);
    const int socket = static_cast<int>(::syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (socket >= 0) ::close(socket);
    spare_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return socket;
}

/// Closes what is idle, and of what each other user of this host has more than its share the newest.
void ConnectionGuard::make_place() {
    const std::int64_t now = now_ms();
    const std::lock_guard lock(mutex_);
    if (now - made_place_at_ms_ < make_place_again_ms) return;
    made_place_at_ms_ = now;
    const PeerUsers users;
    const auto share = static_cast<std::size_t>(first_reserved_descriptor()) / 4;
    std::map<uid_t, std::size_t> taken;
    std::erase_if(accepted_, [&](const Accepted& accepted) {
        if (cookie_of(accepted.fd) != accepted.cookie) return true;
        const std::optional<uid_t> user = users.of(accepted.fd);
        const bool too_many = user && *user != ::geteuid() && *user != 0 && ++taken[*user] > share;
        const bool is_idle = now - accepted.at_ms >= idle_ms_max && !has_begun(accepted.fd);
        if (!too_many && !is_idle) return false;
        ::shutdown(accepted.fd, SHUT_RDWR);  // UCX closes it
        return true;
    });
}

/// False if descriptors are too short for the connection and the answer to it.
bool ConnectionGuard::take(int socket) {
    const std::int64_t now = now_ms();
    const std::lock_guard lock(mutex_);
    // The kernel gives the lowest number that is free, so that this many are in use.
    const auto unanswered =
        std::count_if(accepted_.begin(), accepted_.end(),
                      [now](const Accepted& accepted) { return now - accepted.at_ms < answered_ms_max; });
    if (socket + unanswered >= first_reserved_descriptor()) return false;
    bound_silence(socket);
    // Numbers are used again: the list is never longer than there are descriptors.
    std::erase_if(accepted_, [socket](const Accepted& old) { return old.fd == socket; });
    accepted_.push_back({socket, cookie_of(socket), now});
    return true;
}

int ConnectionGuard::accept(int listener, sockaddr* address, socklen_t* size) {
    const socklen_t capacity = size != nullptr ? *size : 0;
    for (;;) {
        if (size != nullptr) *size = capacity;
        const int socket = static_cast<int>(::syscall(SYS_accept4, listener, address, size, SOCK_CLOEXEC));
        if (socket < 0) {
            if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK || errno == EFAULT) return -1;
            if (errno == EMFILE || errno == ENFILE) {
                make_place();
                note(&Refused::crowded, nullptr);
                if (accept_and_close(listener) >= 0) continue;
            }
            // Of this one connection, or for the time being.
            errno = EAGAIN;
            return -1;
        }
        if (!is_tcp(socket)) return socket;
        if (!is_permitted(address)) {
            note(&Refused::stranger, address);
        } else if (take(socket)) {
            return socket;
        } else {
            make_place();
            note(&Refused::crowded, nullptr);
        }
        ::close(socket);
    }
}

int ConnectionGuard::connect(int socket, const sockaddr* address, socklen_t size) {
    if (is_tcp(socket)) bound_silence(socket);
    return static_cast<int>(::syscall(SYS_connect, socket, address, size));
}

ssize_t ConnectionGuard::send(int socket, const void* data, std::size_t bytes, int flags) {
    const ssize_t sent = ::syscall(SYS_sendto, socket, data, bytes, flags, nullptr, 0);
    if (sent >= 0 || !says_peer_has_left(errno)) return sent;
    const int error = errno;
    if (is_tcp(socket)) return static_cast<ssize_t>(bytes);
    errno = error;
    return -1;
}

}  // namespace ddict::manager

extern "C" {

int accept(int socket, sockaddr* address, socklen_t* size) {
    return ddict::manager::ConnectionGuard::instance().accept(socket, address, size);
}

int connect(int socket, const sockaddr* address, socklen_t size) {
    return ddict::manager::ConnectionGuard::connect(socket, address, size);
}

ssize_t send(int socket, const void* data, size_t bytes, int flags) {
    return ddict::manager::ConnectionGuard::send(socket, data, bytes, flags);
}
}
