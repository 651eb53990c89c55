// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The handle: the string that lets a process attach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "base/secret.h"
#include "cluster/directory.h"
#include "cluster/persist_settings.h"

namespace ddict {

/// What a process needs to attach. Holds the secret: treat the string like a password.
struct Handle {
    static constexpr std::size_t shared_addresses_max = 64;

    std::uint64_t dictionary_id = 0;  // random; also tells one generation of a dictionary from the next
    Secret secret{};
    std::uint32_t ucx_version = 0;  // that the managers run with: major << 16 | minor
    std::uint32_t managers = 0;
    std::uint32_t nodes = 0;
    std::string name;
    PersistSettings persist;
    std::vector<DirectoryEntry> seeds;  // a few managers, from which the rest of the directory is fetched
    std::vector<std::string> shared_addresses;  // of several nodes each: their interfaces lead nowhere

    /// "ddict3." + base64url + "." + 8 hex digits of XXH32 over what stands before the last dot.
    std::string serialize() const;
    /// bad_handle if it is garbage or was cut; incompatible if another version of ddict wrote it.
    static Result<Handle> parse(std::string_view text);
};

}  // namespace ddict
