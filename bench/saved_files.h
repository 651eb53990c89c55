// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Files that are written to be measured, and are gone afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace ddict::bench {

/// A folder of its own in the one that was given. Throws std::runtime_error if it cannot be made.
class OwnFolder {
  public:
    explicit OwnFolder(const std::string& parent);
    ~OwnFolder();
    OwnFolder(const OwnFolder&) = delete;
    OwnFolder& operator=(const OwnFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

  private:
    const std::filesystem::path path_;
};

/// As dd bs=1M conv=fsync does it; then the file is removed. Throws std::runtime_error.
void write_and_sync(const std::filesystem::path& path, std::uint64_t bytes);

}  // namespace ddict::bench
