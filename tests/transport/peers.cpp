// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/transport/peers.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <ostream>
#include <random>
#include <thread>

#include "base/limits.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DDICT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DDICT_SANITIZED 1
#endif
#endif

namespace ddict::transport::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "partner %d: %s\n", static_cast<int>(::getpid()), what);
    std::_Exit(9);
}

void write_all(int fd, const void* data, std::size_t size) {
    if (::send(fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
        fail("cannot write to the channel");
}

void read_all(int fd, void* data, std::size_t size) {
    for (auto* at = static_cast<char*>(data); size > 0;) {
        const ssize_t got = ::read(fd, at, size);
        if (got <= 0) fail("the channel was closed");
        at += got;
        size -= static_cast<std::size_t>(got);
    }
}

void write_card(int fd, const Card& card) {
    const std::uint64_t size = card.address.size();
    write_all(fd, &size, sizeof size);
    write_all(fd, card.address.data(), card.address.size());
    write_all(fd, &card.identity, sizeof card.identity);
}

Card read_card(int fd) {
    Card card;
    std::uint64_t size = 0;
    read_all(fd, &size, sizeof size);
    card.address.resize(size);
    read_all(fd, card.address.data(), card.address.size());
    read_all(fd, &card.identity, sizeof card.identity);
    return card;
}

std::uint64_t processor_time_us() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto us = [](const timeval& time) {
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
    };
    return us(usage.ru_utime) + us(usage.ru_stime);
}

/// A partner that obeys.
class Obedient : public TransportEvents {
  public:
    Obedient(Worker& worker, PeerId peer) : worker_(worker), peer_(peer) {}

    void on_message(Bytes header, const IncomingPayload& payload) override {
        const auto what = header.empty() ? Order::echo : static_cast<Order>(header[0]);
        if (payload.present() && what == Order::drop && payload.token != 0)
            worker_.discard_payload(payload.token);
        if (what == Order::echo) echo(header, payload);
        if (what == Order::announce) {
            std::uint64_t size = 0;
            std::memcpy(&size, header.data() + 1, sizeof size);
            send_payload(order(Order::announce), pattern(size, size));
        }
        if (what == Order::usage) {
            std::vector<std::byte> answer = order(Order::usage, 9);
            const std::uint64_t us = processor_time_us();
            std::memcpy(answer.data() + 1, &us, sizeof us);
            worker_.send(peer_, answer);
        }
        if (what == Order::freeze) {
            // SIGKILL, or the death of the parent, is the only way out.
            for (;;)
                ::pause();
        }
        if (what == Order::quit) quit = true;
    }
    void on_payload_received(std::uint64_t tag, bool ok) override {
        auto at = payloads_.find(tag);
        if (ok) send_payload(at->second.first, std::move(at->second.second));
        payloads_.erase(tag);
    }
    void on_payload_sent(std::uint64_t tag, bool) override { outgoing_.erase(tag); }
    void on_peer_lost(PeerId, const Error&) override { quit = true; }

    bool quit = false;

  private:
    void echo(Bytes header, const IncomingPayload& payload) {
        std::vector<std::byte> copy(header.begin(), header.end());
        if (!payload.present()) {
            worker_.send(peer_, header);
        } else if (payload.token == 0) {
            send_payload(std::move(copy), {payload.in_memory.begin(), payload.in_memory.end()});
        } else {
            auto& [kept_header, buffer] = payloads_[++tag_];
            kept_header = std::move(copy);
            buffer.resize(payload.bytes);
            worker_.receive_payload(peer_, payload.token, buffer, tag_);
        }
    }
    void send_payload(std::vector<std::byte> header, std::vector<std::byte> payload) {
        auto& kept = outgoing_[++tag_];
        kept = std::move(payload);
        worker_.send(peer_, header, kept, tag_);
    }

    Worker& worker_;
    PeerId peer_;
    std::uint64_t tag_ = 0;
    std::map<std::uint64_t, std::pair<std::vector<std::byte>, std::vector<std::byte>>> payloads_;
    std::map<std::uint64_t, std::vector<std::byte>> outgoing_;
};

void obey(Worker& worker, PeerId peer) {
    Obedient events(worker, peer);
    while (!events.quit)
        worker.progress(events, Clock::now() + seconds(60));
    worker.stop(Clock::now() + seconds(5));
}

/// An order to echo that names this process.
std::vector<std::byte> signed_order(std::size_t size) {
    auto header = order(Order::echo, size);
    const auto pid = static_cast<std::int32_t>(::getpid());
    std::memcpy(header.data() + 1, &pid, sizeof pid);
    return header;
}

/// Asks for echoes as fast as it can, several at once, until it is killed.
void pester(Worker& worker, PeerId peer) {
    Observer events;
    std::mt19937_64 random(static_cast<std::uint64_t>(::getpid()));
    const std::size_t largest = random() % 2 == 0 ? 60 : 4000;
    std::vector<std::byte> payload(300'000);
    std::uint64_t payloads_out = 0;
    for (std::uint64_t asked = 0; events.lost.empty();) {
        while (asked - events.messages.size() < 8) {
            worker.send(peer, signed_order(16 + random() % largest));
            ++asked;
        }
        if (payloads_out == events.sent.size() && random() % 16 == 0) {
            auto header = signed_order(16);
            header[0] = static_cast<std::byte>(Order::drop);
            worker.send(peer, header, payload, ++payloads_out);
        }
        worker.progress(events, Clock::now() + seconds(5));
    }
}

/// Has the kernel kill this process after a random time on the processor: that is, while it does something.
void die_in_the_middle() {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGKILL;
    timer_t timer{};
    itimerspec when{};
    when.it_value.tv_nsec = 100'000 + static_cast<long>(std::random_device{}() % 20'000'000);
    if (::timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0) fail("timer_create");
    if (::timer_settime(timer, 0, &when, nullptr) != 0) fail("timer_settime");
}

/// Sends as fast as it can; nearly all its time is spent in writing to the other's receive queue.
void flood(Worker& worker, PeerId peer) {
    die_in_the_middle();
    Observer events;
    auto noise = order(Order::drop, 4000);
    for (std::uint64_t asked = 0; events.lost.empty();) {
        while (asked - events.messages.size() < 4) {
            for (int i = 0; i < 16; ++i)
                worker.send(peer, noise);
            worker.send(peer, signed_order(16));
            ++asked;
        }
        worker.progress(events, Clock::now() + seconds(5));
    }
}

void be_steady(Worker& worker, PeerId peer, int channel) {
    Observer events;
    bool stop = false;
    if (!worker.watch_fd(channel, [&] { stop = true; })) std::_Exit(1);
    double worst_ms = 0;
    std::uint64_t rounds = 0;
    for (; !stop && events.lost.empty(); ++rounds) {
        const auto begin = Clock::now();
        events.messages.clear();
        const auto ask = signed_order(16 + rounds % 300);
        worker.send(peer, ask);
        while (events.messages.empty() && !stop) {
            worker.progress(events, begin + seconds(3));
            if (Clock::now() - begin > seconds(3)) fail("stalled: no answer for 3 s");
        }
        if (!stop && events.messages[0].header != ask) fail("another answer than what was asked for");
        worst_ms =
            std::max(worst_ms, std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
    std::printf("steady partner: %llu rounds, worst %.1f ms\n", static_cast<unsigned long long>(rounds),
                worst_ms);
    std::fflush(stdout);
    if (!events.lost.empty()) fail("lost the test");
    worker.stop(Clock::now() + seconds(2));
}

}  // namespace

void PrintTo(const Way& way, std::ostream* out) {
    *out << way.name;
}

milliseconds test_timeout() {
#ifdef DDICT_SANITIZED
    return seconds(60);
#else
    return seconds(20);
#endif
}

std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed) {
    std::vector<std::byte> bytes(size);
    std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
    for (std::size_t i = 0; i < size; i += sizeof state) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        std::memcpy(bytes.data() + i, &state, std::min(sizeof state, size - i));
    }
    return bytes;
}

std::vector<std::byte> order(Order what, std::size_t size) {
    std::vector<std::byte> header(size);
    if (size != 0) header[0] = static_cast<std::byte>(what);
    return header;
}

void Observer::on_message(Bytes header, const IncomingPayload& payload) {
    Message message;
    message.header.assign(header.begin(), header.end());
    message.payload.assign(payload.in_memory.begin(), payload.in_memory.end());
    message.token = payload.token;
    message.bytes = payload.bytes;
    messages.push_back(std::move(message));
}

bool run_until(Worker& worker, TransportEvents& events, const std::function<bool()>& done) {
    const auto deadline = Clock::now() + test_timeout();
    while (!done() && Clock::now() < deadline)
        worker.progress(events, deadline);
    return done();
}

StartNetwork over_ucx() {
    return
        [](os::Poller& poller, os::WaitPolicy& waiting) { return ucx::Worker::create({}, poller, waiting); };
}

std::unique_ptr<Worker> make_worker(const Way& way) {
    static unsigned number = 0;
    WorkerOptions options;
    options.on_network = way.other_host;
    options.start_network = over_ucx();
    options.claim_timeout = std::chrono::hours(1);  // both ends connect, and use the connection of their own
    if (!way.other_host)
        options.listen_at =
            "/dev/shm/ddict-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number) + "-socket";
    if (way.other_host) ::setenv("UCX_TLS", "tcp", 1);
    auto worker = Worker::create(options);
    ::unsetenv("UCX_TLS");
    return std::move(worker.value());
}

std::uint64_t malformed(const Worker& worker) {
    const ucx::WorkerCounters* const of_ucx = worker.counters_of_ucx();
    return worker.counters_of_samehost().malformed + (of_ucx != nullptr ? of_ucx->malformed : 0);
}

Card card_of(const Worker& worker, std::uint64_t salt) {
    Card card;
    card.address = worker.address();
    card.identity = worker.identity();
    card.identity.host_key ^= salt;
    return card;
}

Partner::Partner(const Way& way, const Worker& to, const std::string& role) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
    channel_ = ends[0];
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    constexpr int channel_in_child = 100;
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], channel_in_child);
    std::vector<std::string> words{"partner", "--partner", role, std::to_string(::getpid()), way.name};
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ) != 0)
        fail("posix_spawn");
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    write_card(channel_, card_of(to, way.other_host ? 1 : 0));
    card = read_card(channel_);
    card.identity.host_key ^= way.other_host ? 2 : 0;
}

Partner::~Partner() {
    kill();
    ::close(channel_);
    // One that was killed leaves its socket.
    if (const auto address = unpack(card.address); address && !address->path.empty())
        ::unlink(address->path.c_str());
}

void Partner::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

int Partner::finish(const std::function<void()>& meanwhile) {
    ::shutdown(channel_, SHUT_WR);
    const auto deadline = Clock::now() + test_timeout();
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
        if (Clock::now() > deadline) return -1;
        meanwhile();
        std::this_thread::yield();
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void run_as_partner(int argc, char** argv) {
    if (argc != 5 || std::strcmp(argv[1], "--partner") != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != std::atoi(argv[3])) std::_Exit(0);
    constexpr int channel = 100;
    const Way way = std::strcmp(argv[4], same_host.name) == 0 ? same_host : tcp_between_hosts;
    std::unique_ptr<Worker> worker = make_worker(way);
    write_card(channel, card_of(*worker));
    const Card other = read_card(channel);
    const auto peer = worker->connect(other.address, other.identity);
    if (!peer) fail(peer.error().message().c_str());
    const std::string role = argv[2];
    if (role == "obey") obey(*worker, *peer);
    if (role == "pester") pester(*worker, *peer);
    if (role == "flood") flood(*worker, *peer);
    if (role == "steady") be_steady(*worker, *peer, channel);
    worker.reset();
    std::_Exit(0);
}

}  // namespace ddict::transport::testing
