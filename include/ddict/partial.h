// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What can be had of a dictionary some of whose managers do not answer: View::partial_size, partial_keys,
// partial_stats, ScanOptions::partial.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/error.h>

namespace ddict {

/// A manager that has not given its part.
struct MissingManager {
    std::uint32_t manager = Error::no_manager;
    std::string node{};  ///< empty if it could not be found out
    Error error{};       ///< why; names manager and node too
};

/// What the others have given.
template <class T>
struct Partial {
    T value{};
    std::vector<MissingManager> missing{};  ///< by manager id; empty if `value` is the whole
    bool complete() const noexcept { return missing.empty(); }
};

}  // namespace ddict
