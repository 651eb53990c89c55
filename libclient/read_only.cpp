// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/read_only.h"

#include <cstdint>
#include <numeric>
#include <vector>

#include "libclient/attachment.h"
#include "wire/verbs.h"

namespace ddict::client {
namespace {

/// Of pairs, or of whether they may change.
bool is_refused(const Request& request) {
    const wire::Effect effect = wire::rule_of(request.verb).effect;
    return effect == wire::Effect::pairs || effect == wire::Effect::items ||
           (request.verb == wire::Verb::freeze && request.argument == wire::freeze_off);
}

}  // namespace

Result<void> check_not_read_only(const Handle& handle) {
    if (!handle.persist.read_only) return {};
    return Error(Errc::frozen, "the dictionary is read-only: restore() and advance() alone change it");
}

Result<void> check_permitted(const Handle& handle, const Request& request) {
    if (!handle.persist.read_only || request.is_of_restore || !is_refused(request)) return {};
    return check_not_read_only(handle);
}

Result<void> tell_all_to_restore(Attachment& attachment, Request request) {
    std::vector<std::uint32_t> managers(attachment.manager_count());
    std::iota(managers.begin(), managers.end(), 0);
    request.is_of_restore = true;
    return attachment.call_each(managers, request, {.timeout = attachment.timeout()},
                                [](std::uint32_t, const Reply&, Bytes) {});
}

Result<void> set_frozen_to_restore(Attachment& attachment, bool frozen) {
    if (!attachment.handle().persist.read_only) return {};
    Request freeze;
    freeze.verb = wire::Verb::freeze;
    freeze.argument = frozen ? wire::freeze_on : wire::freeze_off;
    return tell_all_to_restore(attachment, freeze);
}

}  // namespace ddict::client
