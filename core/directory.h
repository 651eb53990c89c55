// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The directory: manager id -> node, process and UCX address. And the handle: the string that lets a process
// attach.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "core/transport.h"
#include "core/wire.h"

namespace ddict {

struct DirectoryEntry {
    std::uint32_t manager = 0;
    std::string node;                // host name
    ProcessIdentity process;         // of the manager
    std::uint64_t pool_bytes = 0;    // what its pool can hold at the most
    std::vector<std::byte> address;  // of its UCX worker
};

void pack(const DirectoryEntry& entry, std::vector<std::byte>& out);
/// Reads one entry; Unpacker::good() is false afterwards if there was none.
DirectoryEntry unpack_directory_entry(Unpacker& in);

/// Read access to a directory, wherever it is kept.
class DirectoryView {
  public:
    virtual ~DirectoryView() = default;
    virtual std::uint32_t manager_count() const = 0;
    /// Requires manager < manager_count().
    virtual Result<DirectoryEntry> entry(std::uint32_t manager) const = 0;
};

/// What a process needs to attach. Holds the secret: treat the string like a password.
struct Handle {
    static constexpr std::size_t shared_addresses_max = 64;

    std::uint64_t dictionary_id = 0;  // random; also tells one generation of a dictionary from the next
    wire::Secret secret{};
    std::uint32_t ucx_version = 0;  // that the managers run with: major << 16 | minor
    std::uint32_t managers = 0;
    std::uint32_t nodes = 0;
    std::string name;
    std::vector<DirectoryEntry> seeds;  // a few managers, from which the rest of the directory is fetched
    std::vector<std::string> shared_addresses;  // of several nodes each: their interfaces lead nowhere

    /// "ddict1." + base64url + "." + 8 hex digits of XXH32 over what stands before the last dot.
    std::string serialize() const;
    /// bad_handle if it is garbage or was cut; incompatible if another version of ddict wrote it.
    static Result<Handle> parse(std::string_view text);
};

/// Sixteen lower-case hex digits: how the id is written in the names of segments and files.
std::string hex(std::uint64_t id);

}  // namespace ddict
