// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "os/file_descriptor.h"
#include "persist/format.h"

namespace ddict::persist {

/// Memory for one extent after the other.
class ExtentBuffer {
  public:
    MutableBytes of(std::size_t bytes);

  private:
    std::vector<std::byte> memory_;
};

/// One file of a checkpoint. Extents may be read by many threads at once. Errors: protocol, incompatible,
/// system; each names the file.
class FileReader {
  public:
    /// Reads all but the extents, and finds out that it is the very file that the commit file names.
    static Result<FileReader> open(const std::filesystem::path& folder, const Commit& commit,
                                   const CommittedFile& file);

    const CommittedFile& file() const noexcept { return file_; }
    std::span<const Extent> extents() const noexcept { return extents_; }
    /// The records of an extent, checked; they are in the buffer. Memory: the extent's bytes.
    Result<Bytes> read(const Extent& extent, ExtentBuffer& buffer) const;

  private:
    FileReader(std::filesystem::path path, os::FileDescriptor descriptor, const CommittedFile& file)
        : path_(std::move(path)), descriptor_(std::move(descriptor)), file_(file) {}
    Result<void> read_all_but_extents(const Commit& commit);

    std::filesystem::path path_;
    os::FileDescriptor descriptor_;
    CommittedFile file_;
    std::vector<Extent> extents_;
};

}  // namespace ddict::persist
