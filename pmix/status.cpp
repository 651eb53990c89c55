// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "pmix/status.h"

#include <string>

#include <pmix.h>

namespace ddict::pmix {

namespace {

// What the status means to somebody who starts a dictionary; empty if PMIx's own name for it must do.
std::string_view meaning(pmix_status_t status) {
    switch (status) {
        case PMIX_ERR_TIMEOUT:
            return "a node launcher did not come in time; see whether all nodes of the job are up";
        case PMIX_ERR_UNREACH:
        case PMIX_ERR_LOST_CONNECTION:
            return "the PMIx server of this node does not answer; the job step has probably ended";
        case PMIX_ERR_PARTIAL_SUCCESS:
        case PMIX_ERR_PROC_TERM_WO_SYNC:
            return "a node launcher has died meanwhile; its own output says why";
        case PMIX_ERR_NOT_SUPPORTED:
            return "this PMIx launcher cannot do it; srun --mpi=pmix can";
        default:
            return {};
    }
}

}  // namespace

Error to_error(pmix_status_t status, std::string_view doing) {
    const Errc code = status == PMIX_ERR_TIMEOUT ? Errc::timeout : Errc::system;
    const char* const words = PMIx_Error_string(status);
    std::string text = "PMIx: ";
    text.append(doing).append(": ");
    if (const std::string_view known = meaning(status); !known.empty())
        text.append(known).append(" (").append(words).append(")");
    else
        text.append(words);
    return Error(code, text).set_operation(Operation::launch);
}

}  // namespace ddict::pmix
