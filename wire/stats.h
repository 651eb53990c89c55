// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ddict/stats.h>

#include "base/bytes.h"

namespace ddict {

void pack(const ManagerStats& stats, std::vector<std::byte>& out);
bool unpack(Bytes in, ManagerStats& stats);

}  // namespace ddict
