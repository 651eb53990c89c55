// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Why there is no connection to a manager, in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <ddict/error.h>

#include "wire/messages.h"

namespace ddict {

/// Nothing was heard from the manager for silence_until_lost.
Error silent();
/// Its answer to a hello.
Error refused_hello(const wire::ReplyHeader& header, std::uint32_t own_ucx_version);

/// A manager without an open connection that was waited for long enough.
struct Unreachable {
    const std::optional<Error>& trouble;  // why the last connection broke, or could not be made
    bool says_hello = false;              // it is connected, and does not answer
    bool was_opened = false;              // it has answered before
    std::string over;                     // the transports and devices that are tried, if that is known
    std::string back;  // the devices among which it chooses for its answer, if there are several
};
Error describe(const Unreachable& manager);

}  // namespace ddict
