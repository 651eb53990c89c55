// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/status.h"

#include <cstdio>

namespace ddict::ucx {
namespace {

Errc code_of(ucs_status_t status) noexcept {
    switch (status) {
        case UCS_ERR_UNREACHABLE:
        case UCS_ERR_CONNECTION_RESET:
        case UCS_ERR_NOT_CONNECTED:
        case UCS_ERR_REJECTED:
        case UCS_ERR_ENDPOINT_TIMEOUT:
        case UCS_ERR_SHMEM_SEGMENT:  // the segment of a process that has just died
        case UCS_ERR_CANCELED:
            return Errc::manager_lost;
        case UCS_ERR_TIMED_OUT:
            return Errc::timeout;
        case UCS_ERR_INVALID_ADDR:
            return Errc::bad_handle;
        default:
            return Errc::system;
    }
}

const char* advice(ucs_status_t status) noexcept {
    switch (status) {
        case UCS_ERR_NO_DEVICE:
            return "; check DDICT_UCX_TLS and DDICT_UCX_NET_DEVICES (else UCX_TLS, UCX_NET_DEVICES): they "
                   "leave no usable "
                   "transport";
        case UCS_ERR_UNREACHABLE:
            return "; the two processes share no transport: compare DDICT_UCX_TLS and DDICT_UCX_NET_DEVICES "
                   "(else "
                   "UCX_TLS, UCX_NET_DEVICES)";
        case UCS_ERR_SHMEM_SEGMENT:
            return "; if this process may not map more (ulimit -v), raise that; if System V segments are "
                   "refused "
                   "here, UCX_TLS=^sysv does without them";
        case UCS_ERR_NO_RESOURCE:
        case UCS_ERR_NO_MEMORY:
            return "; check the limits of System V segments (kernel.shmmni; ipcs -m lists them), of open "
                   "files "
                   "and of locked memory";
        case UCS_ERR_UNSUPPORTED:
            return "; the two sides disagree on whether they share a host";
        default:
            return "";
    }
}

}  // namespace

Error peer_error(ucs_status_t status, std::string_view doing) noexcept {
    char text[sizeof(Error::detail)];
    std::snprintf(text, sizeof text, "%.*s: UCX says '%s'%s", static_cast<int>(doing.size()), doing.data(),
                  ucs_status_string(status), advice(status));
    const Error error(code_of(status), text);
    return status == UCS_ERR_UNREACHABLE ? Error(error).set_state(ManagerState::unreachable) : error;
}

Error to_error(ucs_status_t status, std::string_view doing) noexcept {
    Error error = peer_error(status, doing).set_state(ManagerState::unknown);
    if (error.code == Errc::manager_lost) error.code = Errc::system;
    return error;
}

Error lost_error(ucs_status_t status) noexcept {
    // There was a way.
    Error error = peer_error(status, "the connection was lost").set_state(ManagerState::unknown);
    error.code = Errc::manager_lost;
    return error;
}

}  // namespace ddict::ucx
