// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ddict/result.h>

#include "cluster/handle.h"
#include "rpc/request.h"

namespace ddict::client {

class Attachment;

/// frozen, if all changes are refused but those of a restore.
Result<void> check_not_read_only(const Handle& handle);
/// The same for one request. Managers cannot tell: while a client restores, they are not frozen.
Result<void> check_permitted(const Handle& handle, const Request& request);
/// The request to all managers, as a part of a restore.
Result<void> tell_all_to_restore(Attachment& attachment, Request request);
/// A dictionary that is read-only is frozen but while it is restored; others stay as they are.
Result<void> set_frozen_to_restore(Attachment& attachment, bool frozen);

}  // namespace ddict::client
