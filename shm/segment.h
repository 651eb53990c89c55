// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Named shared memory of this host, as it lies in /dev/shm. Readable and writable by this user alone.
//
// A segment comes into being whole: its memory is reserved, and it is locked by its creator, before its name
// appears. A process that is killed at any instruction of create() leaves nothing behind. The lock (flock)
// ends with the creator's Segment, or with its process however that ends, and so tells whether the owner
// still lives. It is not passed on to programs that the creator starts; a fork without exec shares it.
//
// A dictionary's directory segment is created before, and removed after, all its other segments: so a segment
// without a living directory segment is stale, unless it is kept (kept_dictionary.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ddict/result.h>

namespace ddict::shm {

/// "ddict-<16 hex digits>-m<manager>"
std::string pool_segment_name(std::uint64_t dictionary_id, std::uint32_t manager);
/// "/dev/shm/ddict-<16 hex digits>-m<manager>-socket": where the manager of this pool listens for processes
/// of its host.
std::string socket_path(const std::string& pool_segment_name);
/// Takes the socket's name away; false if there is none.
bool remove_socket(const std::string& pool_segment_name);
/// "ddict-<16 hex digits>-m<manager>-replies": what that manager has to remember beside its pool.
std::string reply_segment_name(const std::string& pool_segment_name);
/// "ddict-<16 hex digits>-directory"
std::string directory_segment_name(std::uint64_t dictionary_id);
/// "ddict-<16 hex digits>-kept": says that the pools are to stay (kept_dictionary.h).
std::string kept_segment_name(std::uint64_t dictionary_id);

/// What is to be said of memory before it is touched: from which NUMA domain it comes.
using Preparation = std::function<void(std::byte* data, std::uint64_t bytes)>;

enum class Access { read_only, read_write };

class Segment {
  public:
    /// A new segment of zeros. no_space with need and have if /dev/shm is too full: nothing stays, and there
    /// will be no SIGBUS later. invalid_argument if the name is taken or is no name, or bytes is 0.
    /// `prepare` is called before any of its memory is there, with where it is mapped for the time of the
    /// call.
    static Result<Segment> create(const std::string& name, std::uint64_t bytes,
                                  const Preparation& prepare = {});
    /// The same, but of its memory only the first bytes are reserved: the others are to be reserved by
    /// reserve() before anybody touches them.
    static Result<Segment> create_sparse(const std::string& name, std::uint64_t bytes,
                                         std::uint64_t reserved_bytes, const Preparation& prepare = {});
    /// Maps all of an existing segment. dictionary_gone if there is none; access_denied if it is another
    /// user's.
    static Result<Segment> open(const std::string& name, Access access);
    /// Takes the name away; memory that is mapped stays so. False if there is no such name.
    static bool remove(const std::string& name);
    /// Gives a segment of this user a second name; its memory stays one. dictionary_gone if there is none of
    /// the first name, invalid_argument if the second is taken.
    static Result<void> add_name(const std::string& name, const std::string& second);

    /// Unmaps, and gives up the lock; the name stays.
    ~Segment();
    Segment(Segment&& other) noexcept;
    Segment& operator=(Segment&& other) noexcept;

    /// Writing to a segment opened read_only is a SIGSEGV.
    std::byte* data() const noexcept;
    std::uint64_t size() const noexcept;
    const std::string& name() const noexcept;

    /// Makes the segment larger; data() may move. Nothing if it is large enough. On no_space it stays as it
    /// was. Requires that it was created by this object.
    Result<void> grow(std::uint64_t bytes);
    /// Reserves [from, to) of a sparse segment; what is reserved already stays as it is. no_space. Several
    /// threads may.
    Result<void> reserve(std::uint64_t from, std::uint64_t to) const;
    /// So many bytes from the beginning are reserved, as far as this object knows: it was created so, all of
    /// it was there when it was opened, or it has reserved them.
    std::uint64_t reserved_bytes() const noexcept;
    /// What is not there of a sparse one, whoever has reserved the rest. A system call.
    std::uint64_t missing_bytes() const;
    /// Whether the Segment that created it, or that owns it now, still exists, in whatever process. Two
    /// system calls.
    bool has_owner() const;
    /// Makes this object the owner of a segment whose creator is gone. busy if there is another owner;
    /// dictionary_gone if the name is, or has become another segment's.
    Result<void> own();

  private:
    struct State;
    explicit Segment(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// A part of a segment, mapped to be written by others than its owner: a mistake there harms nothing else of
/// it. Keeps no descriptor.
class SegmentPart {
  public:
    /// dictionary_gone if there is no such segment; access_denied if it is another user's, or must not be
    /// written; protocol if it is too small; system.
    static Result<SegmentPart> open(const std::string& name, std::uint64_t offset, std::uint64_t bytes);
    ~SegmentPart();
    SegmentPart(SegmentPart&& other) noexcept;
    SegmentPart& operator=(SegmentPart&& other) noexcept;

    std::byte* data() const noexcept;

  private:
    struct State;
    explicit SegmentPart(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Removes all segments and sockets of this user whose dictionary has no owner any more, and is not kept: a
/// step that was killed could not. Returns their names. Any number of processes may do it at any time.
std::vector<std::string> remove_stale_segments();

/// What /dev/shm has left.
Result<std::uint64_t> shared_memory_free_bytes();

}  // namespace ddict::shm
