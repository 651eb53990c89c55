// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/manager_process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/limits.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/signals.h"

namespace ddict::launcher {

Result<ManagerProcess> ManagerProcess::start(const ManagerStart& start) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return Error(Errc::system, "no socket pair to be had: raise the limit of open files (ulimit -n)")
            .set_operation(Operation::launch);
    ManagerProcess process;
    process.manager_ = start.manager;
    process.takes_over_ = start.takes_over;
    process.control_ = os::FileDescriptor(ends[0]);
    const os::FileDescriptor theirs(ends[1]);
    const os::FileDescriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));

    os::SpawnOptions options;
    options.program = start.program;
    options.argv = {"ddict-manager", "--pool",       start.pool, "--directory",
                    start.directory, "--control-fd", "3"};
    for (const std::string& address : start.shared_addresses)
        options.argv.insert(options.argv.end(), {"--shared-address", address});
    if (!start.cpus.empty()) options.argv.insert(options.argv.end(), {"--cpus", os::format_cpus(start.cpus)});
    if (start.prefault) options.argv.insert(options.argv.end(), {"--prefault", "1"});
    if (start.tells_sessions) options.argv.insert(options.argv.end(), {"--tell-sessions", "1"});
    if (start.huge_pages) options.argv.insert(options.argv.end(), {"--huge-pages", "1"});
    options.environment = start.environment;
    // Its standard output is not for the launcher: that reads events there.
    options.standard_fds = {nothing.fd(), STDERR_FILENO, -1};
    options.passed_fd = theirs.fd();
    options.close_other_fds = true;
    // Until it ignores them itself: see manager/main.cpp.
    options.signal_mask = os::outside_signals();
    auto child = os::ChildProcess::start(options);
    if (!child) return child.error();
    process.child_ = *std::move(child);
    return process;
}

void ManagerProcess::advance() {
    std::array<std::byte, control_packet_bytes_max> packet;
    // First its last words, then its death. A manager ended before this call has sent all it ever will.
    const auto status = child_.reap();
    while (control_.is_open()) {
        const ssize_t got = recv(control_.fd(), packet.data(), packet.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (got <= 0) {
            control_.reset();
            break;
        }
        on_packet(Bytes(packet).first(static_cast<std::size_t>(got)));
    }
    flush();
    if (!status) return;
    control_.reset();
    unsent_.clear();
    if (state_ == State::ended) return;
    if (how_.empty()) how_ = status->describe();
    state_ = told_to_stop_ ? State::ended : State::lost;
}

void ManagerProcess::on_packet(Bytes packet) {
    const Bytes payload = packet.subspan(1);
    switch (static_cast<Control>(packet[0])) {
        case Control::started:
            return on_started(payload);
        case Control::ready:
            return on_ready(payload);
        case Control::entry:
            return on_entry(payload);
        case Control::fill:
            return on_fill(payload);
        case Control::filled:
            filled_ = text_of(payload);
            return;
        case Control::session:
            sessions_.emplace_back(text_of(payload));
            return;
        case Control::summary:
            return on_summary(payload);
        case Control::hopeless:
            is_hopeless_ = true;
            [[fallthrough]];
        case Control::failed:
            return fail(text_of(payload));
        case Control::restart:
            how_ = payload.empty() ? "was asked to restart" : std::string(text_of(payload));
            ended_for_restart_ = true;
            return;
        case Control::stopped:
            state_ = State::ended;
            ended_by_client_ = true;
            is_to_be_kept_ = !payload.empty() && payload[0] != std::byte{0};
            return;
        default:
            return fail("sent a control message that makes no sense");
    }
}

void ManagerProcess::on_started(Bytes payload) {
    Unpacker in(payload);
    entry_ = unpack_directory_entry(in);
    ucx_version_ = in.take<std::uint32_t>();
    const bool sensible = in.good() && in.at_end() && number_of(entry_.shard) == manager_ &&
                          !entry_.address.empty() && entry_.address.size() <= limits::address_bytes_max;
    if (state_ != State::starting || !sensible) return fail("announced itself in a way that makes no sense");
    state_ = State::started;
}

void ManagerProcess::on_ready(Bytes payload) {
    if (state_ != State::started) return fail("was ready before it had started");
    if (takes_over_) {
        Unpacker in(payload);
        RecoveredPairs recovered;
        recovered.pairs = in.take<std::uint64_t>();
        recovered.missing = in.take<std::uint64_t>();
        if (!in.good() || !in.at_end())
            return fail("did not say, in a way that makes sense, what it has recovered");
        recovered_ = recovered;
    }
    state_ = State::ready;
}

void ManagerProcess::on_entry(Bytes payload) {
    Unpacker in(payload);
    DirectoryEntry entry = unpack_directory_entry(in);
    // Others may tell it before it has told that it is ready.
    if (in.good() && in.at_end()) entries_.push_back(std::move(entry));
}

void ManagerProcess::on_fill(Bytes payload) {
    Unpacker in(payload);
    const PoolFill fill = unpack_pool_fill(in);
    if (in.good() && in.at_end()) fill_ = fill;
}

void ManagerProcess::on_summary(Bytes payload) {
    Unpacker in(payload);
    const ManagerSummary summary = unpack_manager_summary(in);
    if (in.good() && in.at_end()) summary_ = summary;
}

bool ManagerProcess::announce(const DirectoryEntry& entry) {
    std::vector<std::byte> packed;
    pack(entry, packed);
    // What an older one of this shard would say is not worth waiting.
    const auto is_older = [&entry](const std::string& packet) {
        Unpacker in(bytes_of(packet));
        return in.take<Control>() == Control::entry && in.take<ShardId>() == entry.shard;
    };
    std::erase_if(unsent_, is_older);
    return tell(Control::entry, text_of(packed));
}

/// It is lost when it has ended, and not before: nobody else may write to its pool until then.
void ManagerProcess::fail(std::string_view how) {
    if (how_.empty()) how_ = how;
    child_.signal(SIGKILL);
}

bool ManagerProcess::tell(Control kind, std::string_view payload) {
    if (!control_.is_open()) return false;
    unsent_.push_back(std::string(1, static_cast<char>(kind)).append(payload));
    flush();
    return control_.is_open();
}

/// The socket takes a few hundred packets; a manager that is stopped reads none of them.
void ManagerProcess::flush() {
    while (control_.is_open() && !unsent_.empty()) {
        const std::string& packet = unsent_.front();
        if (send(control_.fd(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            unsent_.pop_front();
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            unsent_.clear();  // it is about to be found dead
        }
    }
}

void ManagerProcess::permit(const std::vector<std::string>& hosts) {
    std::string text;
    for (const std::string& host : hosts) {
        if (text.size() + host.size() + 2 > control_packet_bytes_max) {
            tell(Control::permit, text);
            text.clear();
        }
        text += (text.empty() ? "" : ",") + host;
    }
    if (!text.empty()) tell(Control::permit, text);
}

void ManagerProcess::stop() {
    told_to_stop_ = true;
    tell(Control::stop);
}

void ManagerProcess::kill() {
    told_to_stop_ = true;
    child_.signal(SIGKILL);
}

Result<std::string> find_manager_program(const std::string& asked_for) {
    namespace fs = std::filesystem;
    if (!asked_for.empty()) {
        const os::FoundProgram found = os::find_program(asked_for, os::environment_of_this_process());
        // This process goes to another folder, and may start it again there.
        if (found.error == 0) return fs::absolute(found.path).string();
        return Error(Errc::invalid_argument, "--manager-program (DDICT_MANAGER_PROGRAM): cannot run " +
                                                 asked_for + ": " + std::strerror(found.error))
            .set_operation(Operation::launch);
    }
    const fs::path folder = fs::path(os::own_program()).parent_path();
    for (const fs::path& candidate : {folder / "ddict-manager", folder / "../libexec/ddict/ddict-manager"}) {
        if (access(candidate.c_str(), X_OK) == 0) return candidate.string();
    }
    return Error(Errc::system, "no ddict-manager in " + folder.string() +
                                   ": install it beside ddict-launch, or name it with --manager-program")
        .set_operation(Operation::launch);
}

}  // namespace ddict::launcher
