// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace ddict {

/// Where and how the clients of a dictionary persist it. All know it, by the handle.
struct PersistSettings {
    std::string path{};       // a folder, absolute; empty: nowhere
    std::uint32_t count = 0;  // how many checkpoints stay there; 0: all
    bool read_only = false;   // clients change nothing but by restoring another checkpoint
    friend bool operator==(const PersistSettings&, const PersistSettings&) = default;
};

}  // namespace ddict
