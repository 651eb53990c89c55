// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where the files of checkpoints are: in the file system, or in a store of the program's own.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <ddict/checkpoint_store.h>
#include <ddict/result.h>

#include "base/bytes.h"

namespace ddict::persist {

/// A path in the file system; with a store, the name of an object there, or what such names begin with.
struct Place {
    template <class P>
    requires std::convertible_to<P, std::filesystem::path> Place(P&& where, CheckpointStore* in = nullptr)
        : path(std::forward<P>(where)), store(in) {}
    Place in(const std::filesystem::path& below) const { return Place(path / below, store); }

    std::filesystem::path path;
    CheckpointStore* store;
};

/// A file that is written from its beginning to its end.
class Output {
  public:
    virtual ~Output() = default;
    virtual Result<void> write(Bytes bytes) = 0;
    /// Whether cut() works.
    virtual bool can_cut() const = 0;
    /// The next write goes to this offset: what was written behind it is as if it never had been.
    virtual Result<void> cut(std::uint64_t offset) = 0;
    /// Returns when all is on the medium.
    virtual Result<void> finish() = 0;
};
/// Must not be there. After an error it is worth nothing, and is left.
Result<std::unique_ptr<Output>> create_output(const Place& file);

/// A file that is there. By any number of threads at once.
class Input {
  public:
    virtual ~Input() = default;
    virtual Result<std::uint64_t> size() const = 0;
    /// All of them; protocol where the file ends before.
    virtual Result<void> read(std::uint64_t offset, MutableBytes bytes) const = 0;
};
/// Errors: protocol if it is not there.
Result<std::shared_ptr<const Input>> open_input(const Place& file);

}  // namespace ddict::persist
