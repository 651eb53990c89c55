// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/boot_clock.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "os/small_file.h"

namespace ddict::os {
namespace {

constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;
constexpr ino_t first_time_namespace = 0xEFFFFFFA;  // of the kernel, the same for ever: the host's own

Error not_known(std::string_view why) {
    std::string text = "the time namespace of this process: ";
    return Error(Errc::system, text.append(why));
}

/// The number at the beginning of a text, which is then behind it.
bool take_number(std::string_view& text, std::int64_t& number) {
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return false;
    text.remove_prefix(begin);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return error == std::errc();
}

/// 0 if the kernel does not say.
ino_t number_of(const char* name_space) {
    struct stat status {};
    return ::stat(name_space, &status) == 0 ? status.st_ino : 0;
}

}  // namespace

Result<std::int64_t> boot_clock_ahead_ticks() {
    const ino_t own = number_of("/proc/self/ns/time");
    if (own == first_time_namespace) return std::int64_t{0};
    std::array<char, 256> buffer;
    const ssize_t bytes = read_small_file("/proc/self/timens_offsets", buffer);
    if (bytes == -ENOENT) return std::int64_t{0};  // no such namespaces (before Linux 5.6), or no /proc
    if (bytes < 0) return not_known("/proc/self/timens_offsets cannot be read");
    std::string_view text(buffer.data(), static_cast<std::size_t>(bytes));
    // "boottime  SECONDS  NANOSECONDS"
    constexpr std::string_view name = "boottime";
    const std::size_t line = text.find(name);
    if (line == std::string_view::npos) return not_known("the kernel does not say how it is shifted");
    text.remove_prefix(line + name.size());
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    if (!take_number(text, seconds) || !take_number(text, nanoseconds))
        return not_known("the kernel does not say how it is shifted");
    // What the kernel tells is the shift of the namespace that this process's children will be in.
    if (number_of("/proc/self/ns/time_for_children") != own)
        return not_known("it has made another one for its children");
    const std::int64_t ticks_per_second = ::sysconf(_SC_CLK_TCK);
    const std::int64_t tick = nanoseconds_per_second / ticks_per_second;
    if (nanoseconds % tick != 0) return not_known("it is shifted by a part of a clock tick");
    return seconds * ticks_per_second + nanoseconds / tick;
}

}  // namespace ddict::os
