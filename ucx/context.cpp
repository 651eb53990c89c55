// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/context.h"

#include <dlfcn.h>
#include <signal.h>
#include <ucs/config/global_opts.h>
#include <ucs/debug/debug.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "core/hash.h"
#include "core/limits.h"
#include "core/wire.h"
#include "ucx/status.h"
#include "ucx/worker.h"

namespace ddict::ucx {
namespace {

struct Envelope {
    std::uint32_t magic = 0x61636464;  // "ddca"
    std::uint32_t ucx_version = 0;
    std::uint64_t checksum = 0;  // XXH3 of the address behind it
};
static_assert(sizeof(Envelope) == 16);

/// UCX installs handlers for SIGSEGV and the like when it is loaded, to print a backtrace. They are not ours
/// to put into the user's process: given back, unless the user asked for them or somebody has replaced them
/// since.
void give_back_signal_handlers() {
    if (std::getenv("UCX_HANDLE_ERRORS") != nullptr) return;
    Dl_info ucs{};
    if (::dladdr(reinterpret_cast<void*>(&ucs_debug_disable_signal), &ucs) == 0) return;
    for (const int number : {SIGILL, SIGSEGV, SIGBUS, SIGFPE}) {
        struct sigaction action {};
        Dl_info owner{};
        if (::sigaction(number, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) == 0) continue;
        if (::dladdr(reinterpret_cast<void*>(action.sa_sigaction), &owner) == 0) continue;
        if (owner.dli_fbase == ucs.dli_fbase) ucs_debug_disable_signal(number);
    }
}

/// UCX logs to stdout, at level "warn", what our callers get as an Error anyway: a peer that has just died is
/// routine. The environment is read when the library is loaded, so the option itself is set; only if it is
/// the default.
void quiet_log() {
    if (std::getenv("UCX_LOG_LEVEL") != nullptr) return;
    std::array<char, 32> level{};
    if (ucs_global_opts_get_value("LOG_LEVEL", level.data(), level.size()) != UCS_OK) return;
    if (std::strcmp(level.data(), "WARN") == 0) ucs_global_opts_set_value("LOG_LEVEL", "FATAL");
}

void settle_library() {
    static const bool done = [] {
        give_back_signal_handlers();
        quiet_log();
        return true;
    }();
    static_cast<void>(done);
}

struct ConfigDeleter {
    void operator()(ucp_config_t* config) const noexcept { ucp_config_release(config); }
};

/// Not used unless asked for by name:
/// - xpmem: a write to the memory of a process that has just died is a SIGBUS in the writer; sysv and posix
///   memory lives as long as it is mapped. So a killed client could take a manager with it.
/// - posix: UCX fills its segment, some megabytes, before it removes its name; of ten clients that are killed
///   at random moments one leaves its segment in /dev/shm. sysv does the same work without a name.
ucs_status_t leave_out_transports(ucp_config_t* config) {
    const std::string text = printed(
        [config](std::FILE* stream) { ucp_config_print(config, stream, nullptr, UCS_CONFIG_PRINT_CONFIG); });
    if (text.find("UCX_TLS=all\n") == std::string::npos) return UCS_OK;
    return ucp_config_modify(config, "TLS", "^xpmem,posix");
}

/// An option of the TCP transport, unless the user has set it.
ucs_status_t set_for_tcp(ucp_config_t* config, const std::string& option, const char* value) {
    if (std::getenv(("UCX_TCP_" + option).c_str()) != nullptr) return UCS_OK;
    // UCX 1.13 knows the option of a transport without the transport's name, later releases with it.
    const ucs_status_t status = ucp_config_modify(config, option.c_str(), value);
    return status != UCS_OK ? status : ucp_config_modify(config, ("TCP_" + option).c_str(), value);
}

/// - TCP connects in the caller's time, and to a host that is down that takes seconds to minutes, in which a
///   manager would serve nobody: CONN_NB.
/// - UCX takes several events of its sockets from the kernel at once. If the first shows that a peer is lost,
///   and UCX closes its other socket too, an event of that one among the rest makes UCX abort by an assertion
///   (`ep->conn_state != UCT_TCP_EP_CONN_STATE_CLOSED`; seen once in about 2,000 connections that broke):
///   MAX_POLL, one event at a time. It costs a call of the kernel for each message when several are there.
ucs_status_t set_up_tcp(ucp_config_t* config) {
    const ucs_status_t status = set_for_tcp(config, "CONN_NB", "y");
    return status != UCS_OK ? status : set_for_tcp(config, "MAX_POLL", "1");
}

/// The pieces in which shared memory takes a message. A value of 8 KiB, which many are, is by our headers and
/// its key too long for UCX's own choice, 8256 bytes, and then takes four times as long.
ucs_status_t take_eight_kibibytes_whole(ucp_config_t* config) {
    for (const char* name : {"UCX_SYSV_SEG_SIZE", "UCX_POSIX_SEG_SIZE", "UCX_MM_SEG_SIZE", "UCX_SEG_SIZE"}) {
        if (std::getenv(name) != nullptr) return UCS_OK;
    }
    constexpr std::size_t bytes = 8192 + 64 + sizeof(wire::RequestHeader) + limits::key_bytes_max;
    const std::string text = std::to_string((bytes + 63) / 64 * 64);
    return ucp_config_modify(config, "MM_SEG_SIZE", text.c_str());
}

}  // namespace

std::uint32_t runtime_version() {
    unsigned major = 0;
    unsigned minor = 0;
    unsigned release = 0;
    ucp_get_version(&major, &minor, &release);
    return (major << 16) | minor;
}

Result<ContextHandle> make_context() {
    settle_library();
    ucp_config_t* raw_config = nullptr;
    if (const ucs_status_t status = ucp_config_read(nullptr, nullptr, &raw_config); status != UCS_OK) {
        return to_error(status, "reading UCX's configuration");
    }
    const std::unique_ptr<ucp_config_t, ConfigDeleter> config(raw_config);
    if (const ucs_status_t status = leave_out_transports(config.get()); status != UCS_OK) {
        return to_error(status, "choosing UCX's transports");
    }
    if (const ucs_status_t status = set_up_tcp(config.get()); status != UCS_OK) {
        return to_error(status, "setting up UCX's TCP");
    }
    if (const ucs_status_t status = take_eight_kibibytes_whole(config.get()); status != UCS_OK) {
        return to_error(status, "setting UCX's segment size");
    }
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME;
    params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
    params.name = "ddict";
    ucp_context_h context = nullptr;
    if (const ucs_status_t status = ucp_init(&params, config.get(), &context); status != UCS_OK) {
        return to_error(status, "starting UCX");
    }
    return ContextHandle(context);
}

Result<WorkerHandle> make_worker(ucp_context_h context) {
    ucp_worker_params_t params{};
    params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE | UCP_WORKER_PARAM_FIELD_EVENTS;
    params.thread_mode = UCS_THREAD_MODE_SINGLE;
    params.events = UCP_WAKEUP_RX | UCP_WAKEUP_TX;
    ucp_worker_h worker = nullptr;
    if (const ucs_status_t status = ucp_worker_create(context, &params, &worker); status != UCS_OK) {
        return to_error(status, "creating a worker of UCX");
    }
    return WorkerHandle(worker);
}

Result<std::vector<std::byte>> make_address(ucp_worker_h worker) {
    ucp_address_t* address = nullptr;
    std::size_t size = 0;
    if (const ucs_status_t status = ucp_worker_get_address(worker, &address, &size); status != UCS_OK) {
        return to_error(status, "asking UCX for the worker's address");
    }
    const Bytes bytes(reinterpret_cast<const std::byte*>(address), size);
    Envelope envelope;
    envelope.ucx_version = runtime_version();
    envelope.checksum = hash_of(bytes);
    std::vector<std::byte> result;
    Packer(result).put(envelope);
    result.insert(result.end(), bytes.begin(), bytes.end());
    ucp_worker_release_address(worker, address);
    if (result.size() > limits::address_bytes_max) {
        return Error(Errc::system,
                     "UCX's address has " + std::to_string(result.size()) +
                         " bytes, more than ddict's limit; name fewer devices in UCX_NET_DEVICES");
    }
    return result;
}

Result<Bytes> open_address(Bytes bytes) {
    Unpacker in(bytes);
    const auto envelope = in.take<Envelope>();
    if (!in.good() || envelope.magic != Envelope{}.magic || bytes.size() > limits::address_bytes_max ||
        envelope.checksum != hash_of(in.rest())) {
        return Error(Errc::bad_handle, "the address of the peer is damaged");
    }
    if (envelope.ucx_version != runtime_version()) {
        const auto text = [](std::uint32_t version) {
            return std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
        };
        return Error(Errc::incompatible, "the peer runs UCX " + text(envelope.ucx_version) +
                                             ", this process UCX " + text(runtime_version()) +
                                             "; load the same on both sides");
    }
    return in.rest();
}

}  // namespace ddict::ucx
