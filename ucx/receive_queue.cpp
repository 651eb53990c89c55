// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/receive_queue.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "os/error.h"

namespace ddict::ucx {
namespace {

using std::chrono::milliseconds;

// The control block: where to write next (its highest bit asks for a wake-up), the length and the address of
// the socket to wake the receiver with; in a cache line of its own, how much has been read, and the receiver.
constexpr std::size_t head_offset = 0;
constexpr std::size_t address_bytes_offset = 8;
constexpr std::size_t address_offset = 12;
constexpr std::size_t tail_offset = 128;
constexpr std::size_t pid_offset = 136;
constexpr std::size_t control_bytes = 192;
constexpr std::uint64_t armed_bit = std::uint64_t{1} << 63;

// The elements: flags (bit 0: written in this round, or not, alternating; bit 1: the message is in the
// element), the kind of the message, its length, where a longer one is. As many and as large as UCX makes
// them unless told otherwise.
constexpr std::uint64_t elements = 64;
constexpr std::size_t element_bytes = 128;
constexpr std::size_t kind_offset = 1;
constexpr std::size_t length_offset = 2;
constexpr std::size_t segment_bytes_offset = 12;
constexpr std::uint8_t round_flag = 1;
constexpr std::uint8_t inline_flag = 2;
// The last of the 32 kinds; UCX uses 28 of them at the most, and drops messages of the others.
constexpr std::uint8_t unused_kind = 31;

constexpr std::size_t queue_bytes = control_bytes + elements * element_bytes + 63;

// A write takes well below a microsecond of processor time; a writer may have to wait for a processor
// meanwhile.
constexpr milliseconds patience_after_death{100};
constexpr milliseconds patience_otherwise{2000};
// A hole counts as the dead's if it was first seen this soon after the death.
constexpr milliseconds death_lasts{1000};

template <class T>
T load(const std::byte* at) noexcept {
    T value;
    __atomic_load(reinterpret_cast<const T*>(at), &value, __ATOMIC_ACQUIRE);
    return value;
}

template <class T>
T plain(const std::byte* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/// The flag that an element has once it has been written in the round of this index.
std::uint8_t written_flag(std::uint64_t index) noexcept {
    return (index / elements) & 1;
}

}  // namespace

std::size_t ReceiveQueue::mapped_bytes() {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (queue_bytes + page - 1) / page * page;
}

bool ReceiveQueue::recognize(const void* memory, std::size_t bytes) {
    if (bytes != mapped_bytes()) return false;
    const auto* at = static_cast<const std::byte*>(memory);
    if ((plain<std::uint64_t>(at + head_offset) & ~armed_bit) != 0 ||
        plain<std::uint64_t>(at + tail_offset) != 0)
        return false;
    if (plain<std::int32_t>(at + pid_offset) != ::getpid()) return false;
    const auto address_bytes = plain<std::uint32_t>(at + address_bytes_offset);
    if (address_bytes < 3 || address_bytes > 110) return false;
    if (plain<std::uint16_t>(at + address_offset) != AF_UNIX) return false;
    const std::byte* first = at + control_bytes;
    const auto segment_bytes = plain<std::uint32_t>(first + segment_bytes_offset);
    for (std::uint64_t i = 0; i < elements; ++i) {
        const std::byte* element = first + i * element_bytes;
        if (plain<std::uint8_t>(element) != round_flag) return false;
        if (plain<std::uint32_t>(element + segment_bytes_offset) != segment_bytes || segment_bytes == 0)
            return false;
    }
    return true;
}

std::byte* ReceiveQueue::element(std::uint64_t index) const noexcept {
    return memory_ + control_bytes + (index % elements) * element_bytes;
}

std::uint64_t ReceiveQueue::first_hole() const noexcept {
    const std::uint64_t head = load<std::uint64_t>(memory_ + head_offset) & ~armed_bit;
    // What has been read since the tail was moved counts as written still: its place is not free for the next
    // round.
    std::uint64_t index = load<std::uint64_t>(memory_ + tail_offset);
    if (head - index > elements) return no_hole;
    for (; index < head; ++index) {
        if ((load<std::uint8_t>(element(index)) & round_flag) != written_flag(index)) return index;
    }
    return no_hole;
}

void ReceiveQueue::fill(std::uint64_t index) noexcept {
    std::byte* at = element(index);
    const auto flags = static_cast<std::uint8_t>(inline_flag | written_flag(index));
    *reinterpret_cast<volatile std::uint8_t*>(at + kind_offset) = unused_kind;
    *reinterpret_cast<volatile std::uint16_t*>(at + length_offset) = 0;
    __atomic_store_n(reinterpret_cast<std::uint8_t*>(at), flags, __ATOMIC_RELEASE);
}

Result<std::vector<ReceiveQueues::Mapping>> ReceiveQueues::mapped() {
    std::vector<Mapping> mappings;
    std::FILE* file = std::fopen("/proc/self/maps", "re");
    if (file == nullptr) {
        if (errno == ENOENT || errno == EACCES) return mappings;
        return os::error_of(errno, "reading /proc/self/maps");
    }
    char line[512];
    bool begins = true;  // a line may be longer than the buffer
    while (std::fgets(line, sizeof line, file) != nullptr) {
        unsigned long begin = 0;
        unsigned long end = 0;
        unsigned long inode = 0;
        char rights[5] = "";
        if (begins && std::sscanf(line, "%lx-%lx %4s %*x %*s %lu", &begin, &end, rights, &inode) == 4 &&
            std::strcmp(rights, "rw-s") == 0) {
            mappings.push_back({begin, end - begin, inode});
        }
        begins = std::strchr(line, '\n') != nullptr;
    }
    std::fclose(file);
    return mappings;
}

Result<ReceiveQueues> ReceiveQueues::find(const std::vector<Mapping>& mapped_before) {
    ReceiveQueues found;
    // Another thread may unmap what is not ours at any moment: the kernel reads it, and says so.
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (memory < 0) {
        if (errno == ENOENT || errno == EACCES) return found;
        return os::error_of(errno, "reading /proc/self/mem");
    }
    const Result<std::vector<Mapping>> mapped_now = mapped();
    std::vector<std::byte> copy(ReceiveQueue::mapped_bytes());
    for (const Mapping& mapping : mapped_now ? *mapped_now : std::vector<Mapping>{}) {
        if (std::find(mapped_before.begin(), mapped_before.end(), mapping) != mapped_before.end() ||
            mapping.bytes != copy.size())
            continue;
        const ssize_t got = ::pread(memory, copy.data(), copy.size(), static_cast<off_t>(mapping.begin));
        if (got == static_cast<ssize_t>(copy.size()) && ReceiveQueue::recognize(copy.data(), copy.size()))
            found.queues_.emplace_back(ReceiveQueue(reinterpret_cast<void*>(mapping.begin)));
    }
    ::close(memory);
    if (!mapped_now) return mapped_now.error();
    return found;
}

bool ReceiveQueues::any_hole() const noexcept {
    return std::any_of(queues_.begin(), queues_.end(), [](const Watched& watched) {
        return watched.queue.first_hole() != ReceiveQueue::no_hole;
    });
}

bool ReceiveQueues::ripe(Watched& watched, Clock::time_point now) const noexcept {
    const std::uint64_t hole = watched.queue.first_hole();
    if (hole != watched.hole) {
        watched.hole = hole;
        watched.since = now;
    }
    if (hole == ReceiveQueue::no_hole) return false;
    const bool after_death = last_death_ > watched.since - death_lasts;
    return now - watched.since >= (after_death ? patience_after_death : patience_otherwise);
}

}  // namespace ddict::ucx
