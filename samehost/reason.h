// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include <ddict/error.h>

#include "base/bytes.h"

namespace ddict::samehost {

/// Why a tunnel ends, as its other end is told: code, state of the manager, text. docs/protocol.md has the
/// bytes.
std::vector<std::byte> pack_reason(const Error& why);
/// Nothing if it is none.
std::optional<Error> unpack_reason(Bytes packed);

}  // namespace ddict::samehost
