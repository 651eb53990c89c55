// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/lifeline.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/limits.h"

namespace ddict::launcher {
void LifelineWriter::open(os::FileDescriptor pipe, std::size_t waiting_bytes_max) {
    pipe_ = std::move(pipe);
    os::set_non_blocking(pipe_.fd());
    output_.emplace(pipe_.fd(), waiting_bytes_max);
}

void LifelineWriter::say(std::string_view lines) {
    if (output_) output_->add(lines);
}

void LifelineWriter::flush() {
    if (output_) output_->flush();
}

void LifelineWriter::end() {
    output_.reset();
    pipe_.reset();
}

LifelineReader::State LifelineReader::read_from(int fd, const std::function<void(std::string_view)>& take) {
    std::array<char, 64 * 1024> chunk;
    const ssize_t got = read(fd, chunk.data(), chunk.size());
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) return State::ended;
    if (got > 0) feed({chunk.data(), static_cast<std::size_t>(got)}, take);
    return State::open;
}

void LifelineReader::feed(std::string_view bytes, const std::function<void(std::string_view)>& take) {
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        if (!skipping_) rest_.append(bytes.substr(0, end));
        if (rest_.size() > limits::exchange_line_bytes_max) {
            is_cut_ = skipping_ = true;
            rest_.clear();
        }
        if (end == std::string_view::npos) return;
        if (!skipping_) take(rest_);
        skipping_ = false;
        rest_.clear();
        bytes.remove_prefix(end + 1);
    }
}

}  // namespace ddict::launcher
