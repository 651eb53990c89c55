// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

#include "tools/escapes.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds client_timeout{2};
constexpr timeval turn{.tv_sec = 0, .tv_usec = 200'000};  // after which the deadline is looked at
constexpr std::chrono::seconds look_interval{5};
constexpr int waiting_max = 16;
constexpr std::size_t request_bytes_max = 8192;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

/// All up to the empty line that ends a request's header; nothing if that does not come.
std::optional<std::string> read_request(int client, steady_clock::time_point deadline) {
    std::string request;
    std::array<char, 1024> chunk;
    while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(client, chunk.data(), chunk.size(), 0);
        if (steady_clock::now() > deadline) return std::nullopt;
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        request.append(chunk.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        if (got <= 0 || request.size() > request_bytes_max) return std::nullopt;
    }
    return request;
}

void send_all(int client, std::string_view text, steady_clock::time_point deadline) {
    while (!text.empty() && steady_clock::now() < deadline) {
        const ssize_t sent = ::send(client, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (sent <= 0) return;  // it does not want it
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

struct Response {
    std::string_view status, type, body;
};

void send_response(int client, const Response& response, bool with_body) {
    send_all(client,
             "HTTP/1.1 " + std::string(response.status) + "\r\nContent-Type: " + std::string(response.type) +
                 "\r\nContent-Length: " + std::to_string(response.body.size()) +
                 "\r\nConnection: close\r\n\r\n" + std::string(with_body ? response.body : ""),
             steady_clock::now() + client_timeout);
}

/// Of a file; {0, 0} if there is none.
std::pair<std::uint64_t, std::uint64_t> id_of(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return {};
    return {info.st_dev, info.st_ino};
}

/// Blocks the signals that ask for an end while it exists.
class EndSignals {
  public:
    EndSignals() {
        sigset_t set;
        sigemptyset(&set);
        for (const int number : {SIGINT, SIGTERM, SIGHUP})
            sigaddset(&set, number);
        sigprocmask(SIG_BLOCK, &set, &before_);
        fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd_ < 0) fail("waiting for signals");
    }
    ~EndSignals() {
        ::close(fd_);
        sigprocmask(SIG_SETMASK, &before_, nullptr);
    }
    EndSignals(const EndSignals&) = delete;
    EndSignals& operator=(const EndSignals&) = delete;
    int fd() const { return fd_; }
    /// One has come: it has done its work.
    void take() const {
        signalfd_siginfo taken{};
        [[maybe_unused]] const ssize_t got = ::read(fd_, &taken, sizeof taken);
    }

  private:
    sigset_t before_{};
    int fd_ = -1;
};

}  // namespace

MetricsServer::MetricsServer(const std::string& where) {
    where.find('/') == std::string::npos ? listen_on_port(where) : listen_on_path(where);
}

MetricsServer::~MetricsServer() {
    if (listener_ >= 0) ::close(listener_);
    // Another may have its own there by now.
    if (!path_.empty() && id_of(path_) == file_) ::unlink(path_.c_str());
}

void MetricsServer::listen_on_port(const std::string& where) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(where.data(), where.data() + where.size(), port);
    if (error != std::errc() || end != where.data() + where.size())
        throw UsageError("'" + printable(where) + "' is neither a port nor a path with a '/' in it");
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0) fail("making a socket");
    const int yes = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), bytes) != 0 ||
        ::listen(listener_, waiting_max) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes) != 0)
        fail("listening on port " + where + " of 127.0.0.1");
    address_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/metrics";
}

void MetricsServer::listen_on_path(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw UsageError("a socket's path has at most " + std::to_string(sizeof address.sun_path - 1) +
                         " bytes");
    path.copy(address.sun_path, path.size());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0) fail("making a socket");
    const auto bind = [&] {
        const mode_t before = ::umask(0177);  // for this user alone, from the beginning
        const int failed = ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        ::umask(before);
        return failed == 0;
    };
    bool is_bound = bind();
    struct stat info {};
    if (!is_bound && errno == EADDRINUSE && ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) &&
        info.st_uid == ::geteuid()) {
        // One that was killed has left its socket, which nobody answers on.
        const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool is_left =
            ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
            errno == ECONNREFUSED;
        ::close(probe);
        if (is_left && ::unlink(path.c_str()) == 0) is_bound = bind();
        if (!is_bound) errno = EADDRINUSE;
    }
    if (!is_bound || ::listen(listener_, waiting_max) != 0) fail("listening on " + printable(path));
    path_ = path;
    file_ = id_of(path);
    address_ = "http+unix:" + path;
}

void MetricsServer::serve(const Text& text) {
    const EndSignals signals;
    auto next_look = steady_clock::now() + look_interval;
    for (;;) {
        std::array<pollfd, 2> fds{{{listener_, POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_look - steady_clock::now());
        const int ready =
            ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(0, left.count())));
        if (ready < 0 && errno != EINTR) fail("waiting for requests");
        if (ready > 0 && fds[1].revents != 0) return signals.take();
        if (steady_clock::now() >= next_look) {
            if (!text(MetricsFormat::prometheus)) return;
            next_look = steady_clock::now() + look_interval;
        }
        if (ready <= 0 || fds[0].revents == 0) continue;
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) continue;  // it has gone again
        ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &turn, sizeof turn);
        ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &turn, sizeof turn);
        const bool goes_on = answer(client, text);
        ::close(client);
        if (!goes_on) return;
    }
}

bool MetricsServer::answer(int client, const Text& text) {
    const std::optional<std::string> request = read_request(client, steady_clock::now() + client_timeout);
    if (!request) return true;
    const std::string line = request->substr(0, request->find("\r\n"));
    const bool is_head = line.starts_with("HEAD ");
    if (!is_head && !line.starts_with("GET ")) {
        send_response(client, {"405 Method Not Allowed", "text/plain", "only GET\n"}, true);
        return true;
    }
    const std::size_t begin = is_head ? 5 : 4;
    const std::string path = line.substr(begin, line.find(' ', begin) - begin);
    if (path != "/metrics" && !path.starts_with("/metrics?")) {
        send_response(client, {"404 Not Found", "text/plain", "there is /metrics\n"}, !is_head);
        return true;
    }
    const bool is_open = request->find("application/openmetrics-text") != std::string::npos;
    const auto body = text(is_open ? MetricsFormat::openmetrics : MetricsFormat::prometheus);
    if (!body) {
        send_response(client, {"503 Service Unavailable", "text/plain", "the dictionary has ended\n"},
                      !is_head);
        return false;
    }
    send_response(client,
                  {"200 OK",
                   is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                           : "text/plain; version=0.0.4; charset=utf-8",
                   *body},
                  !is_head);
    return true;
}

}  // namespace ddict::tools
