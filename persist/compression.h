// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Compressed extents: a frame of zstd each, by libzstd, where ddict is built with it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <ddict/result.h>

#include "base/bytes.h"

namespace ddict::persist {

/// For one thread. Memory: some MiB.
class Compressor {
  public:
    /// Takes what has been compressed, in pieces.
    using Write = std::function<Result<void>(Bytes)>;

    virtual ~Compressor() = default;
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;

    /// One frame of all these bytes, which nobody changes meanwhile. Returns its size, or 0 if it does not
    /// fit into `into`.
    virtual std::size_t compress(Bytes plain, MutableBytes into) noexcept = 0;

    // One frame of bytes that come in pieces: begin, add each, end. A piece may change while it is read: what
    // was read is compressed. Errors: system; those of `write`.
    virtual void begin() noexcept = 0;
    virtual Result<void> add(Bytes piece, const Write& write) = 0;
    virtual Result<void> end(const Write& write) = 0;

  protected:
    Compressor() = default;
};

/// Brings one frame, whose bytes come in pieces, into memory of the size that it ought to have. Trusts
/// nothing. For one thread. Memory: some MiB, and what the frame says that it needs, up to 8 MiB.
class Decompressor {
  public:
    virtual ~Decompressor() = default;
    Decompressor(const Decompressor&) = delete;
    Decompressor& operator=(const Decompressor&) = delete;

    /// False from when it is known that the frame is damaged, or of another size.
    virtual bool add(Bytes piece) noexcept = 0;
    /// The frame has ended, and the memory is full.
    virtual bool is_complete() const noexcept = 0;

  protected:
    Decompressor() = default;
};

/// Whether ddict is built with the library.
bool can_compress() noexcept;
// Null where it is not. Throw std::bad_alloc.
std::unique_ptr<Compressor> make_compressor();
std::unique_ptr<Decompressor> make_decompressor(MutableBytes into);

}  // namespace ddict::persist
