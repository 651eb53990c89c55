// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/context.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/comma_list.h"
#include "base/hash.h"
#include "base/limits.h"
#include "os/error.h"
#include "os/network_interfaces.h"
#include "ucx/library.h"
#include "ucx/settings.h"
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

/// Within a host others carry the messages (samehost/), and shared memory of UCX does harm: a killed process
/// can block the receive queue of another, segments stay behind or can be read by others, and each process
/// pays for it. So it is left out, also where the user lists it for a program's other libraries.
void leave_out_shared_memory(Settings& settings) {
    const std::vector<std::string> ours{"sysv", "posix", "xpmem", "cma", "knem"};
    const std::vector<std::string> groups{"mm", "sm", "shm"};
    const std::string chosen = settings.value("TLS");
    std::vector<std::string> names;
    if (chosen.empty() || chosen == "all" || chosen[0] == '^') {
        if (chosen.starts_with('^')) names = split_list(chosen.substr(1));
        names.insert(names.end(), ours.begin(), ours.end());
        settings.set("TLS", "^" + join_list(names));
        return;
    }
    for (const std::string& name : split_list(chosen)) {
        const bool left_out = std::count(ours.begin(), ours.end(), name) != 0 ||
                              std::count(groups.begin(), groups.end(), name) != 0;
        if (!left_out) names.push_back(name);
    }
    settings.set("TLS", names.empty() ? "tcp" : join_list(names));
}

/// - TCP connects in the caller's time, and to a host that is down that takes seconds to minutes, in which a
///   manager would serve nobody: CONN_NB.
/// - UCX takes several events of its sockets from the kernel at once. If the first shows that a peer is lost,
///   and UCX closes its other socket too, an event of that one among the rest makes UCX abort by an assertion
///   (`ep->conn_state != UCT_TCP_EP_CONN_STATE_CLOSED`; seen once in about 2,000 connections that broke):
///   MAX_POLL, one event at a time. It costs a call of the kernel for each message when several are there.
void set_up_tcp(Settings& settings) {
    if (!settings.set_by_variable("TCP_CONN_NB")) settings.set("TCP_CONN_NB", "y");
    if (!settings.set_by_variable("TCP_MAX_POLL")) settings.set("TCP_MAX_POLL", "1");
}

/// To remember what it has registered with a network card, UCX wants to be told of each munmap() in the whole
/// process, and takes a lock then, which another thread may hold at a fork(): the child hangs in its next
/// munmap(), for ever (seen with UCX 1.13 over TCP, which registers nothing, in about one of 5,000 children).
void leave_memory_alone(Settings& settings) {
    if (!settings.set_by_variable("RCACHE_ENABLE")) settings.set("RCACHE_ENABLE", "n");
}

/// UCX's own descriptors: epoll, eventfd, sockets to wake sleepers through; and what it opens in passing.
constexpr unsigned descriptors_of_worker = 14;
constexpr unsigned descriptors_of_interface = 2;  // a listener and an epoll descriptor
constexpr unsigned descriptors_of_port = 8;       // of InfiniBand

/// Chooses the network devices, if the user has not, and makes sure of the descriptors that they take.
Result<void> choose_network(Settings& settings, const DeviceOptions& options) {
    const auto variable = os::chosen_network_devices(settings.environment());
    const std::string chosen = variable ? variable->value : settings.value("NET_DEVICES");
    const std::vector<std::string> ports = os::infiniband_ports();
    std::size_t interfaces = 0;
    if (chosen.empty() || chosen == "all") {
        const Result<std::vector<Interface>> usable = usable_interfaces();
        if (!usable) return usable.error();
        const DeviceChoice choice = choose_devices(*usable, options);
        interfaces = choice.used.size();
        settings.set("NET_DEVICES", choice.all ? "all" : net_devices(choice, ports));
    } else {
        interfaces = 1 + static_cast<std::size_t>(std::count(chosen.begin(), chosen.end(), ','));
        if (interfaces > listed_devices_max)
            return Error(Errc::invalid_argument, (variable ? variable->name : "UCX_NET_DEVICES") + " lists " +
                                                     std::to_string(interfaces) + " devices, UCX takes " +
                                                     std::to_string(listed_devices_max) + " at the most");
    }
    return os::need_descriptors(descriptors_of_worker +
                                    descriptors_of_interface * static_cast<unsigned>(interfaces) +
                                    descriptors_of_port * static_cast<unsigned>(ports.size()),
                                "starting UCX");
}

// Those of this process have one thread of UCX in common, which the first of them starts.
std::atomic<unsigned> workers{0};

/// UCX aborts the process, which is somebody else's program, where that thread cannot be started.
Result<void> need_thread_of_ucx() {
    return workers > 0 ? Result<void>() : os::need_thread("starting UCX");
}

}  // namespace

void WorkerDeleter::operator()(ucp_worker_h worker) const noexcept {
    --workers;
    ucp_worker_destroy(worker);
}

std::uint32_t runtime_version() {
    unsigned major = 0;
    unsigned minor = 0;
    unsigned release = 0;
    ucp_get_version(&major, &minor, &release);
    return (major << 16) | minor;
}

Result<Context> make_context(const WorkerOptions& options) {
    restrain_library();
    if (const Result<void> able = need_thread_of_ucx(); !able) return able.error();
    Result<Settings> settings_read = Settings::read();
    if (!settings_read) return settings_read.error();
    Settings& settings = *settings_read;
    if (const Result<void> chosen = choose_network(settings, options.devices); !chosen) return chosen.error();
    leave_out_shared_memory(settings);
    set_up_tcp(settings);
    if (options.in_users_program) leave_memory_alone(settings);
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME;
    params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
    params.name = "ddict";
    ucp_context_h context = nullptr;
    if (const Result<void> started =
            call_ucx("starting UCX", [&] { return ucp_init(&params, settings.config(), &context); });
        !started)
        return started.error();
    return Context{ContextHandle(context), std::move(settings).refused()};
}

Result<WorkerHandle> make_worker(ucp_context_h context) {
    ucp_worker_params_t params{};
    params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE | UCP_WORKER_PARAM_FIELD_EVENTS;
    params.thread_mode = UCS_THREAD_MODE_SINGLE;
    params.events = UCP_WAKEUP_RX | UCP_WAKEUP_TX;
    ucp_worker_h worker = nullptr;
    const Result<void> created =
        call_ucx("creating a worker of UCX", [&] { return ucp_worker_create(context, &params, &worker); });
    if (!created && ::access("/proc/self", F_OK) != 0)
        return Error(Errc::system, "creating a worker of UCX: /proc is not mounted here, which UCX needs");
    if (!created) return created.error();
    ++workers;
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
                         " bytes, more than ddict's limit; name fewer devices in DDICT_UCX_NET_DEVICES");
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
