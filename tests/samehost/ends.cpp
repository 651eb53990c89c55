// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/samehost/ends.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace ddict::samehost::testing {

std::vector<std::byte> pattern(std::size_t size, std::uint64_t number) {
    std::vector<std::byte> made(size);
    std::uint64_t state = number * 0x9e37'79b9'7f4a'7c15 + 1;
    for (std::byte& byte : made) {
        state = state * 6364136223846793005 + 1442695040888963407;
        byte = static_cast<std::byte>(state >> 56);
    }
    return made;
}

LinkName name_in(Bytes header) {
    LinkName name{};
    std::memcpy(name.data(), header.data(), std::min(name.size(), header.size()));
    return name;
}

std::string socket_path(const std::string& name) {
    const std::string path = "/dev/shm/ddict-test-" + std::to_string(::getpid()) + "-" + name;
    ::unlink(path.c_str());
    return path;
}

End::End() : poller(os::Poller::create().value()), transport(Transport::create(poller, waiting).value()) {}

void End::on_message(Bytes header, const IncomingPayload& payload) {
    messages.push_back({.header = {header.begin(), header.end()},
                        .payload = {payload.in_memory.begin(), payload.in_memory.end()},
                        .token = payload.token,
                        .bytes = payload.bytes});
}

unsigned End::turn() {
    poller.wait(std::chrono::nanoseconds(0));
    return transport->poll(*this);
}

bool End::run_until(const std::function<bool()>& done, const std::vector<End*>& others) {
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        // Where the other side is another process, it may need this processor.
        const bool may_sleep = others.empty() && !transport->is_copying();
        if (turn() == 0 && may_sleep && !done() && transport->prepare_to_sleep())
            poller.wait(std::chrono::milliseconds(1));
        for (End* const other : others)
            other->turn();
    }
    return true;
}

void End::introduce_to(PeerId peer) {
    transport->send(peer, Bytes(transport->name()));
}

namespace {

/// Sends every message back to whom it came from: the header begins with the name of the sender's transport.
class Echo : public TransportEvents {
  public:
    explicit Echo(Transport& transport) : transport_(transport) {}

    void on_message(Bytes header, const IncomingPayload& payload) override {
        LinkName name;
        if (header.size() < name.size()) return;
        std::memcpy(name.data(), header.data(), name.size());
        if (const PeerId claimed = transport_.claim(name); claimed != no_peer) peers_[name] = claimed;
        const PeerId peer = peers_[name];
        if (!payload.present()) return transport_.send(peer, header);
        Kept& kept = kept_[++tag_];
        kept = {peer, {header.begin(), header.end()}, std::vector<std::byte>(payload.bytes)};
        if (payload.token != 0) return transport_.receive_payload(peer, payload.token, kept.payload, tag_);
        std::memcpy(kept.payload.data(), payload.in_memory.data(), payload.in_memory.size());
        transport_.send(peer, kept.header, kept.payload, tag_);
    }
    void on_payload_received(std::uint64_t tag, bool ok) override {
        const Kept& kept = kept_[tag];
        if (ok) {
            transport_.send(kept.peer, kept.header, kept.payload, tag);
        } else {
            kept_.erase(tag);
        }
    }
    void on_payload_sent(std::uint64_t tag, bool) override { kept_.erase(tag); }
    void on_peer_lost(PeerId peer, const Error&) override {
        std::erase_if(peers_, [&](const auto& one) { return one.second == peer; });
    }

  private:
    struct Kept {
        PeerId peer = no_peer;
        std::vector<std::byte> header;
        std::vector<std::byte> payload;
    };
    Transport& transport_;
    std::map<LinkName, PeerId> peers_;
    std::map<std::uint64_t, Kept> kept_;
    std::uint64_t tag_ = 0;
};

}  // namespace

void serve_echo(const std::string& path) {
    os::Poller poller = os::Poller::create().value();
    os::WaitPolicy waiting(std::chrono::microseconds(50));
    const std::unique_ptr<Transport> transport = Transport::create(poller, waiting).value();
    if (!transport->listen(path)) ::_exit(3);
    Echo echo(*transport);
    for (;;) {
        if (transport->poll(echo) != 0) continue;
        if (transport->is_copying() || !transport->prepare_to_sleep()) {
            poller.wait(std::chrono::nanoseconds(0));
        } else {
            poller.wait(std::chrono::milliseconds(100));
        }
        transport->tick(Transport::Clock::now());
    }
}

Child::Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(0);
}

Child::~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void Child::kill(int signal) const {
    ::kill(pid_, signal);
}

int Child::wait() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

bool refuse_system_call(int number, int error) {
    const std::array<sock_filter, 4> program{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog filter{.len = static_cast<unsigned short>(program.size()),
                            .filter = const_cast<sock_filter*>(program.data())};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool forbid_reading_memory_of_others() {
    return refuse_system_call(SYS_process_vm_readv, EPERM);
}

}  // namespace ddict::samehost::testing
