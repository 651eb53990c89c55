// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-manager: started by the node launcher, never by hand.
//
//   ddict-manager --pool NAME --directory NAME --control-fd N [--shared-address ADDRESS]... [--cpus 0-3,8]
//       [--prefault 1] [--huge-pages 1] [--tell-sessions 1]
//   ddict-manager --probe       prints what UCX offers on this node, as JSON
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "manager/server.h"
#include "os/cpus.h"
#include "os/descriptors.h"
#include "os/network_interfaces.h"

namespace {

constexpr int usage_error = 2;

int probe() {
    const auto summary = ddict::ucx::available_transports(
        {.leave_out = ddict::os::dead_end_interfaces(ddict::os::network_interfaces(), {}), .towards = {}});
    if (!summary) {
        std::cerr << "ddict-manager: " << summary.error().message() << '\n';
        return 1;
    }
    nlohmann::json report{{"ucx_version", summary->version},
                          {"transports", nlohmann::json::array()},
                          {"refused_settings", summary->refused_settings}};
    for (const auto& device : summary->usable) {
        report["transports"].push_back({{"transport", device.transport}, {"device", device.device}});
    }
    std::cout << report.dump() << '\n' << std::flush;
    return std::cout ? 0 : 1;
}

constexpr std::string_view help =
    "Holds a part of a dictionary. ddict-launch starts it, on each node; by hand only:\n"
    "\n"
    "  ddict-manager --probe              what UCX offers on this node, as JSON\n"
    "  ddict-manager --help, --version\n";

int usage() {
    std::cerr << "ddict-manager is started by ddict-launch; see ddict-manager --help\n";
    return usage_error;
}

/// The exit status of a call by hand; nothing if it is none.
std::optional<int> run_by_hand(std::string_view word) {
    if (word == "--probe") return probe();
    if (word == "--help" || word == "-h") {
        std::cout << help << std::flush;
    } else if (word == "--version") {
        std::cout << "ddict-manager " DDICT_VERSION "\n" << std::flush;
    } else {
        return std::nullopt;
    }
    return std::cout ? 0 : 1;
}

/// What the kernel takes for rt_sigaction. All but the handler is zero in each of its layouts.
struct KernelAction {
    void (*handler)(int);
    unsigned long rest[8];
};

/// Whoever ends a job, or wants its programs to save, signals all its processes. The end of a manager is the
/// node launcher's to order, after the clients' last words: by the control socket, or by its own death, which
/// closes that socket. A fault of the manager's own and abort() end it all the same. By system call, since
/// glibc keeps two of the numbers to itself. UCX has a handler for SIGHUP; those of faults may be a
/// sanitizer's, and stay.
void ignore_signals() {
    constexpr std::size_t mask_bytes = 8;
    for (int number = 1; number <= SIGRTMAX; ++number) {
        KernelAction action{};
        const bool read = ::syscall(SYS_rt_sigaction, number, nullptr, &action, mask_bytes) == 0;
        const bool handled = action.handler != SIG_DFL && number != SIGHUP;
        if (!read || handled || number == SIGCHLD) continue;
        action = {SIG_IGN, {}};
        ::syscall(SYS_rt_sigaction, number, &action, nullptr, mask_bytes);
    }
    // Until now the node launcher has kept them all away.
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Before anything else: what is allocated and started from here on is there. It serves elsewhere, too.
void bind_to(std::string_view cpus) {
    const auto numbers = ddict::os::parse_cpus(cpus);
    const auto bound = numbers ? ddict::os::bind_to_cpus(*numbers) : ddict::Result<void>();
    if (!bound) std::cerr << "ddict-manager: not bound: " << bound.error().message() << '\n';
}

bool parse(int argc, char** argv, ddict::manager::ServerOptions& options) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        const std::string_view value = argv[i + 1];
        if (option == "--pool") {
            options.pool = value;
        } else if (option == "--directory") {
            options.directory = value;
        } else if (option == "--shared-address") {
            options.shared_addresses.emplace_back(value);
        } else if (option == "--cpus") {
            bind_to(value);
        } else if (option == "--prefault") {
            options.fills_pool = value == "1";
        } else if (option == "--tell-sessions") {
            options.tells_sessions = value == "1";
        } else if (option == "--huge-pages") {
            options.huge_pages = value == "1";
        } else if (option == "--control-fd") {
            std::from_chars(value.data(), value.data() + value.size(), options.control_fd);
        } else {
            return false;
        }
    }
    return argc % 2 == 1 && !options.pool.empty() && !options.directory.empty() && options.control_fd >= 0;
}

}  // namespace

int main(int argc, char** argv) {
    ddict::os::ensure_standard_descriptors();
    if (argc == 2) {
        if (const std::optional<int> status = run_by_hand(argv[1])) return *status;
    }
    ddict::manager::ServerOptions options;
    if (!parse(argc, argv, options)) return usage();

    ignore_signals();
    // A client is a descriptor or two, and a manager does not select(): what the system allows, it takes.
    if (rlimit files{}; ::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    ::fcntl(options.control_fd, F_SETFD, FD_CLOEXEC);
    // A folder that a process stays in cannot be unmounted.
    [[maybe_unused]] const int moved = ::chdir("/");
    try {
        auto server = ddict::manager::Server::open(options);
        if (server) return (*server)->run();
        const ddict::Errc code = server.error().code;
        const bool is_hopeless = code == ddict::Errc::protocol || code == ddict::Errc::incompatible;
        ddict::manager::Server::report_failure(options.control_fd, server.error().message(), is_hopeless);
    } catch (const std::exception& error) {
        ddict::manager::Server::report_failure(options.control_fd,
                                               std::string("it ran into ") + error.what());
    }
    return 1;
}
