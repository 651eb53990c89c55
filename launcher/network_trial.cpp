// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/network_trial.h"

#include <netdb.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/hash.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::uint32_t nodes_all_tried_max = 16;
constexpr std::size_t visitors_max = 256;  // that are being answered at a time
constexpr int backlog = 128;

struct AddressInfoDeleter {
    void operator()(addrinfo* info) const { freeaddrinfo(info); }
};
using AddressInfo = std::unique_ptr<addrinfo, AddressInfoDeleter>;

AddressInfo resolve(const std::string& address, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return nullptr;
    return AddressInfo(found);
}

std::uint16_t port_of(int fd) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    std::array<char, NI_MAXSERV> text{};
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0 ||
        getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, text.data(), text.size(),
                    NI_NUMERICSERV) != 0)
        return 0;
    return static_cast<std::uint16_t>(std::stoul(text.data()));
}

std::uint64_t answer_of(std::uint64_t question, std::uint64_t secret) {
    const std::array<std::uint64_t, 2> both{question, secret};
    return hash_of(Bytes(reinterpret_cast<const std::byte*>(both.data()), sizeof both));
}

std::uint64_t random_number() {
    std::uint64_t number = 0;
    // A short count, on an old kernel at boot, leaves a number that is less random: good enough here.
    [[maybe_unused]] const ssize_t got = getrandom(&number, sizeof number, 0);
    return number;
}

/// Somebody who tries this node.
struct Visitor {
    os::FileDescriptor socket;
    std::array<char, sizeof(std::uint64_t)> question{};
    std::size_t got = 0;
};

/// One address of another node that is being tried.
struct Attempt {
    TrialProblem target;  // why: empty while nothing is known
    std::uint64_t question = 0;
    std::uint64_t expected = 0;
    os::FileDescriptor socket;
    bool connected = false;
    std::array<char, sizeof(std::uint64_t)> answer{};
    std::size_t got = 0;

    bool over() const { return !socket.is_open(); }
    void end(std::string why) {
        target.why = std::move(why);
        socket.reset();
    }
    void start(const TrialAddress& address);
    void advance();
};

void Attempt::start(const TrialAddress& address) {
    const AddressInfo info = resolve(address.address, address.port);
    if (!info) return end("this is no address");
    socket = os::FileDescriptor(::socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) return end(std::strerror(errno));
    if (connect(socket.fd(), info->ai_addr, info->ai_addrlen) != 0 && errno != EINPROGRESS)
        end(std::strerror(errno));
}

void Attempt::advance() {
    if (!connected) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
        if (error != 0) return end(std::strerror(error));
        connected = true;
        // Eight bytes always fit into a socket that is new.
        if (send(socket.fd(), &question, sizeof question, MSG_NOSIGNAL) != sizeof question)
            return end(std::strerror(errno));
    }
    const ssize_t count = recv(socket.fd(), answer.data() + got, answer.size() - got, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count < 0) return end(std::strerror(errno));
    if (count == 0) return end("another process answers there, perhaps on another machine");
    got += static_cast<std::size_t>(count);
    if (got < answer.size()) return;
    const bool right = std::memcmp(answer.data(), &expected, sizeof expected) == 0;
    end(right ? "" : "another machine answers there");
}

}  // namespace

std::string format_trial_node(const TrialNode& node) {
    json addresses = json::array();
    for (const TrialAddress& address : node.addresses)
        addresses.push_back({address.interface, address.address, address.port});
    return json{{"node", node.node}, {"secret", node.secret}, {"addresses", addresses}}.dump(
        -1, ' ', false, json::error_handler_t::replace);
}

Result<TrialNode> parse_trial_node(std::string_view text) {
    const Error nonsense(Errc::protocol, "what another node says of its network makes no sense");
    const json object = json::parse(text, nullptr, false);
    try {
        TrialNode node;
        object.at("node").get_to(node.node);
        object.at("secret").get_to(node.secret);
        for (const json& address : object.at("addresses")) {
            const auto port = address.at(2).get<std::uint64_t>();
            if (port > UINT16_MAX) return nonsense;
            node.addresses.push_back({address.at(0), address.at(1), static_cast<std::uint16_t>(port)});
        }
        return node;
    } catch (const json::exception&) {
        return nonsense;
    }
}

std::vector<std::uint32_t> trial_partners(std::uint32_t self, std::uint32_t nodes) {
    std::set<std::uint32_t> partners;
    for (std::uint32_t distance = 1; distance < nodes;
         distance = nodes <= nodes_all_tried_max ? distance + 1 : distance * 2) {
        partners.insert((self + distance) % nodes);
        partners.insert((self + nodes - distance) % nodes);
    }
    return {partners.begin(), partners.end()};
}

struct NetworkTrial::State {
    TrialNode self;
    std::vector<os::FileDescriptor> listeners;
    std::vector<Visitor> visitors;

    Result<void> listen_on(const os::NetworkInterface& interface);
    void add_poll_entries(std::vector<pollfd>& fds) const;
    void admit();
    void serve();
};

Result<void> NetworkTrial::State::listen_on(const os::NetworkInterface& interface) {
    const std::string& address = interface.addresses.front();
    const AddressInfo info = resolve(address, 0);
    if (!info) return {};
    os::FileDescriptor socket(::socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.is_open())
        return Error(Errc::system, std::string("no socket to be had: ") + std::strerror(errno))
            .set_operation(Operation::launch);
    // An address that has gone meanwhile is none to try.
    if (bind(socket.fd(), info->ai_addr, info->ai_addrlen) != 0 || ::listen(socket.fd(), backlog) != 0)
        return {};
    self.addresses.push_back({interface.name, address, port_of(socket.fd())});
    listeners.push_back(std::move(socket));
    return {};
}

void NetworkTrial::State::add_poll_entries(std::vector<pollfd>& fds) const {
    for (const os::FileDescriptor& listener : listeners)
        fds.push_back({listener.fd(), POLLIN, 0});
    for (const Visitor& visitor : visitors)
        fds.push_back({visitor.socket.fd(), POLLIN, 0});
}

void NetworkTrial::State::admit() {
    for (const os::FileDescriptor& listener : listeners) {
        while (visitors.size() < visitors_max) {
            os::FileDescriptor socket(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!socket.is_open()) break;
            visitors.push_back({std::move(socket)});
        }
    }
}

void NetworkTrial::State::serve() {
    for (Visitor& visitor : visitors) {
        const ssize_t count = recv(visitor.socket.fd(), visitor.question.data() + visitor.got,
                                   visitor.question.size() - visitor.got, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count > 0) visitor.got += static_cast<std::size_t>(count);
        if (count > 0 && visitor.got < visitor.question.size()) continue;
        if (visitor.got == visitor.question.size()) {
            std::uint64_t question = 0;
            std::memcpy(&question, visitor.question.data(), sizeof question);
            const std::uint64_t answer = answer_of(question, self.secret);
            // Whoever has gone needs no answer.
            [[maybe_unused]] const ssize_t sent =
                send(visitor.socket.fd(), &answer, sizeof answer, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        visitor.socket.reset();
    }
    std::erase_if(visitors, [](const Visitor& visitor) { return !visitor.socket.is_open(); });
}

NetworkTrial::NetworkTrial(std::unique_ptr<State> state) : state_(std::move(state)) {}

NetworkTrial::~NetworkTrial() = default;

const TrialNode& NetworkTrial::self() const {
    return state_->self;
}

Result<std::unique_ptr<NetworkTrial>> NetworkTrial::listen(
    const std::string& node, const std::vector<os::NetworkInterface>& interfaces) {
    auto state = std::make_unique<State>();
    state->self.node = node;
    state->self.secret = random_number();
    for (const os::NetworkInterface& interface : interfaces) {
        if (interface.loopback || interface.addresses.empty()) continue;
        if (const auto listening = state->listen_on(interface); !listening) return listening.error();
    }
    return std::unique_ptr<NetworkTrial>(new NetworkTrial(std::move(state)));
}

void NetworkTrial::answer() {
    state_->admit();
    state_->serve();
}

std::vector<TrialProblem> NetworkTrial::run(const std::vector<TrialNode>& others,
                                            std::chrono::milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    std::vector<Attempt> attempts;
    for (const TrialNode& other : others) {
        for (const TrialAddress& address : other.addresses) {
            Attempt attempt;
            attempt.target = {other.node, address.interface, address.address, {}};
            attempt.question = random_number();
            attempt.expected = answer_of(attempt.question, other.secret);
            attempt.start(address);
            attempts.push_back(std::move(attempt));
        }
    }
    const auto open = [](const Attempt& attempt) { return !attempt.over(); };
    while (std::any_of(attempts.begin(), attempts.end(), open)) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) break;
        std::vector<pollfd> fds;
        for (const Attempt& attempt : attempts)
            fds.push_back({attempt.socket.fd(), static_cast<short>(attempt.connected ? POLLIN : POLLOUT), 0});
        state_->add_poll_entries(fds);
        poll(fds.data(), fds.size(), static_cast<int>(left));
        for (std::size_t i = 0; i < attempts.size(); ++i) {
            if (fds[i].revents != 0) attempts[i].advance();
        }
        answer();
    }
    std::vector<TrialProblem> problems;
    for (Attempt& attempt : attempts) {
        if (!attempt.over()) attempt.end("no answer within " + std::to_string(timeout.count()) + " ms");
        if (!attempt.target.why.empty()) problems.push_back(std::move(attempt.target));
    }
    return problems;
}

}  // namespace ddict::launcher
