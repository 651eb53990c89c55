// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "persist/format.h"
#include "persist/place.h"

namespace ddict::persist {

/// Memory for one extent after the other, in large pages where they are to be had: what copies to and from it
/// need not look at so many.
class ExtentBuffer {
  public:
    /// Its contents are whatever they are. Throws std::bad_alloc.
    MutableBytes of(std::size_t bytes);

  private:
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };
    std::unique_ptr<std::byte[], Free> memory_;
    std::size_t size_ = 0;
};

/// The few files that were read last: a checkpoint may have thousands, and a process may have 1024 open.
/// Threads: any number at once.
class OpenFiles {
  public:
    static constexpr std::size_t files_max = 8;

    /// Errors: system; protocol where there is no such file.
    Result<std::shared_ptr<const Input>> open(const Place& file);

  private:
    struct Entry {
        std::filesystem::path path;
        CheckpointStore* store;
        std::shared_ptr<const Input> input;
    };

    std::mutex mutex_;
    std::deque<Entry> recent_;  // at most files_max, the oldest first
};

/// One file of a checkpoint. Extents may be read by many threads at once. Errors: protocol, incompatible,
/// system; each names the file.
class FileReader {
  public:
    /// Reads all but the extents, and finds out that it is the very file that the commit file names. Every
    /// read opens the file by way of `files`, which may be shared with other readers.
    static Result<FileReader> open(const Place& folder, const Commit& commit, const CommittedFile& file,
                                   std::shared_ptr<OpenFiles> files = std::make_shared<OpenFiles>());

    const CommittedFile& file() const noexcept { return file_; }
    std::span<const Extent> extents() const noexcept { return extents_; }
    /// The records of an extent, checked; they are in the buffer. Memory: the extent's bytes as they are when
    /// not compressed.
    Result<Bytes> read(const Extent& extent, ExtentBuffer& buffer) const;

  private:
    FileReader(Place place, std::shared_ptr<OpenFiles> files, const CommittedFile& file)
        : place_(std::move(place)), files_(std::move(files)), file_(file) {}
    Result<Bytes> read_plain(const Input& input, const Extent& extent, ExtentBuffer& buffer) const;
    Result<Bytes> read_compressed(const Input& input, const Extent& extent, ExtentBuffer& buffer) const;
    Error damaged(const Extent& extent, const char* what) const;
    Result<void> read_all_but_extents(const Input& input, const Commit& commit);

    Place place_;
    std::shared_ptr<OpenFiles> files_;
    CommittedFile file_;
    std::vector<Extent> extents_;
};

}  // namespace ddict::persist
