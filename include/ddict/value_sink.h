// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ddict/result.h>

namespace ddict {

/// Where the value of a reply goes. The library asks for a buffer when it knows how much is needed, and then
/// writes the value into it, for large values straight from the network.
class ValueSink {
  public:
    /// A buffer of exactly `bytes` bytes, valid until the call it was given to returns. An error refuses the
    /// value (it is of another type, or a buffer is too small): the call then fails with that error. So
    /// does a std::exception, as Errc::system.
    ///
    /// May be asked again during the same call, with another size or type: the value changed while it was
    /// being read. Then only the last buffer counts, and what was given before is not touched any more; it
    /// may hold anything, and so may the last one if the call fails.
    virtual Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) = 0;

    /// Of get_bytes, wait_for_bytes, broadcast_get_bytes and start_get: prepare() may return less than the
    /// value has. The rest of it then goes here, valid for as long: so what comes before an array and its
    /// elements are received each where it belongs.
    virtual std::span<std::byte> rest() { return {}; }

  protected:
    ~ValueSink() = default;
};

}  // namespace ddict
