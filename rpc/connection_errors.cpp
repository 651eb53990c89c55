// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection_errors.h"

#include "base/limits.h"

namespace ddict {
namespace {

/// Trouble of this process or of its settings, which says nothing about the manager.
bool is_own_trouble(Errc code) {
    return code == Errc::system || code == Errc::bad_handle || code == Errc::incompatible;
}

/// Of one that has never answered. Managers answer nobody who does not prove to know the dictionary. What may
/// be cut off stands last: the devices, of which a node may have many.
Error unanswered(const std::string& over, const std::string& back) {
    return Error(
               Errc::manager_lost,
               "no answer to a hello for " + std::to_string(limits::silence_until_lost.count()) + " ms" +
                   (over.empty() ? "" : " over " + over) +
                   ": it or its node has ended, the handle is not of this dictionary, or the network fails " +
                   (back.empty() ? "there (DDICT_UCX_NET_DEVICES)"
                                 : "there or back (DDICT_UCX_NET_DEVICES; back: " + back + ")"))
        .set_state(ManagerState::silent);
}

}  // namespace

Error silent() {
    return Error(Errc::manager_lost, "nothing was heard from it for " +
                                         std::to_string(limits::silence_until_lost.count()) +
                                         " ms: it is stopped, or its node or the network is down")
        .set_state(ManagerState::silent);
}

Error refused_hello(const wire::ReplyHeader& header, std::uint32_t own_ucx_version) {
    Error error(static_cast<Errc>(header.status));
    error.set_state(ManagerState::answered);
    if (error.code == Errc::dictionary_gone) {
        error.set_detail("the manager at its address is of another dictionary");
    } else if (error.code == Errc::busy) {
        error.set_detail("the manager has as many sessions as it takes");
    } else if (error.code == Errc::incompatible) {
        error.set_detail("this client runs UCX " + std::to_string(own_ucx_version >> 16) + "." +
                         std::to_string(own_ucx_version & 0xffff) + ", the manager another version");
    }
    return error;
}

Error describe(const Unreachable& manager) {
    const std::optional<Error>& trouble = manager.trouble;
    const bool has_reason = trouble && trouble->code != Errc::timeout && trouble->detail[0] != '\0';
    if (!has_reason) return manager.was_opened ? silent() : unanswered(manager.over, manager.back);
    if (!manager.says_hello) {
        Error why = *trouble;
        if (!is_own_trouble(why.code)) why.code = Errc::manager_lost;
        return why;
    }
    Error why = silent();
    if (trouble->manager_state == ManagerState::silent) return why;
    return why.set_detail(std::string("it does not answer; before that: ") + trouble->detail.data());
}

}  // namespace ddict
