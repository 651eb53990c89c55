// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The handle's seeds, kept up with: a manager that was started again has another address, which its node
// launcher tells the launcher in events, short lines. Both sides take nothing for granted of what comes.
// Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/directory.h"
#include "launcher/events.h"

namespace ddict::launcher {

/// The lines that tell of an entry of any length. `from` says whose they are.
std::vector<std::string> format_moved(const Event& from, const DirectoryEntry& entry);

/// The launcher's side.
///
/// Invariant: of a manager that is told of in part, at most limits::handle_bytes_max are kept.
class MovedManagers {
  public:
    /// Takes an Event::Kind::moved. `handle` with the entry in the place of an older one, once the entry is
    /// complete and `handle` has an older one; otherwise none. Parts that do not follow each other, or make
    /// no entry, are left out.
    std::optional<std::string> add(const Event& part, std::string_view handle);

  private:
    struct Entry {
        std::vector<std::byte> bytes;
        std::uint32_t parts = 0;  // that have come
    };
    std::map<ShardId, Entry> under_way_;
};

}  // namespace ddict::launcher
