// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <ddict/dictionary.h>

namespace ddict::client {

/// The checkpoint that a call is for: the one asked for, or the dictionary object's own. If that is the
/// newest, it is found out which that is now, so that all of the call is at one. Errors: those of
/// newest_checkpoint_id().
inline Result<std::uint32_t> chosen_checkpoint(const Dictionary& dictionary,
                                               const std::optional<std::uint32_t>& asked) {
    const std::uint32_t id = asked.value_or(dictionary.checkpoint_id());
    return id == newest_checkpoint ? dictionary.try_newest_checkpoint_id() : Result<std::uint32_t>(id);
}

}  // namespace ddict::client
