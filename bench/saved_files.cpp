// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/saved_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bench/workload.h"
#include "os/file_descriptor.h"

namespace ddict::bench {

namespace fs = std::filesystem;

OwnFolder::OwnFolder(const std::string& parent)
    : path_(fs::path(parent) / ("ddict-bench-" + std::to_string(::getpid()))) {
    std::error_code error;
    if (!fs::create_directory(path_, error))
        throw std::runtime_error("cannot make the folder " + path_.string() + ": " + error.message());
}

OwnFolder::~OwnFolder() {
    std::error_code none;
    fs::remove_all(path_, none);
}

void write_and_sync(const fs::path& path, std::uint64_t bytes) {
    constexpr std::size_t block_bytes = 1 << 20;
    const std::vector<std::byte> block = Workload::value_letters(block_bytes);
    const os::FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    bool good = file.is_open();
    for (std::uint64_t left = bytes; good && left > 0;) {
        const ssize_t written = ::write(file.fd(), block.data(), std::min<std::uint64_t>(left, block_bytes));
        good = written > 0;
        if (good) left -= static_cast<std::uint64_t>(written);
    }
    good = good && ::fsync(file.fd()) == 0;
    const int error = errno;
    std::error_code none;
    fs::remove(path, none);
    if (!good) throw std::runtime_error("writing " + path.string() + ": " + std::strerror(error));
}

}  // namespace ddict::bench
