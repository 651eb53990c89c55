// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A place of one's own for checkpoints, below their format: an object store, a database, a file of HDF5. A
// class that derives from CheckpointStore and is given to Dictionary::set_checkpoint_store() gets, in place
// of the file system, the very files of docs/checkpoint_format.md as named objects, with their checksums; the
// object that makes others a checkpoint, "commit", is written last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ddict/result.h>

namespace ddict {

/// Objects have names such as "steps/000012/manager-000003.ddict": parts of letters, digits and "-_.%",
/// between slashes, which need not mean folders. One process at a time saves under one dictionary's name.
/// Threads: several call at once (SaveOptions::threads, LoadOptions::threads), each for objects of its own.
/// Errors: whatever the class returns reaches the caller of save() or load(); not_found says for certain that
/// there is no such object, and is nothing else.
class CheckpointStore {
  public:
    /// An object that is being written. If it is destroyed without commit(), it must not be there.
    class Object {
      public:
        virtual ~Object() = default;
        /// The next bytes; a few MiB at a time.
        virtual Result<void> write(std::span<const std::byte> bytes) = 0;
        /// From when this returns, the object is there, whole, and outlives this process.
        virtual Result<void> commit() = 0;

      protected:
        Object() = default;
        Object(const Object&) = default;
        Object& operator=(const Object&) = default;
    };

    virtual ~CheckpointStore() = default;
    /// Begins a new object. Errors: busy if there is one of this name.
    virtual Result<std::unique_ptr<Object>> create(const std::string& name) = 0;
    /// How many bytes it has. Errors: not_found.
    virtual Result<std::uint64_t> size(const std::string& name) = 0;
    /// Fills all of `into` from this offset on; never asked for more than there is.
    virtual Result<void> read(const std::string& name, std::uint64_t offset, std::span<std::byte> into) = 0;
    /// The names of all objects that begin with this, in any order; none is no error.
    virtual Result<std::vector<std::string>> list(const std::string& prefix) = 0;
    /// No error if it is not there.
    virtual Result<void> remove(const std::string& name) = 0;

  protected:
    CheckpointStore() = default;
    CheckpointStore(const CheckpointStore&) = default;
    CheckpointStore& operator=(const CheckpointStore&) = default;
};

/// What a dictionary and its program own together; made of the std::shared_ptr of a store, or of nullptr.
/// (A class of its own, so that <ddict/dictionary.h> need not know std::shared_ptr.)
class SharedCheckpointStore : public std::shared_ptr<CheckpointStore> {
  public:
    using std::shared_ptr<CheckpointStore>::shared_ptr;
    SharedCheckpointStore(std::shared_ptr<CheckpointStore> store) : shared_ptr(std::move(store)) {}
};

}  // namespace ddict
