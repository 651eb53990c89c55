// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What codecs share that is no template.
#include <ddict/codec.h>

#include <algorithm>

#include <ddict/operands.h>

#include "base/host_memory.h"

namespace ddict {

std::vector<std::byte> Codec<std::vector<bool>>::encode(const std::vector<bool>& values) {
    std::vector<std::byte> out(values.size());
    std::transform(values.begin(), values.end(), out.begin(),
                   [](bool value) { return value ? std::byte{1} : std::byte{0}; });
    return out;
}

Result<std::vector<bool>> Codec<std::vector<bool>>::decode(std::span<const std::byte> bytes) {
    std::vector<bool> values(bytes.size());
    std::transform(bytes.begin(), bytes.end(), values.begin(),
                   [](std::byte byte) { return byte != std::byte{0}; });
    return values;
}

namespace detail {

Result<std::span<std::byte>> BytesSink::prepare(std::uint64_t bytes, std::uint16_t value_type) {
    bytes_.resize(bytes);
    type_ = value_type;
    return std::span(bytes_);
}

Result<std::span<std::byte>> SpanSink::prepare(std::uint64_t bytes, std::uint16_t value_type) {
    if (const Result<void> fits = check_type(value_type, asked_); !fits) return fits.error();
    if (bytes % element_bytes_ != 0)
        return Error(Errc::wrong_type, "the size of the value is no multiple of the element asked for");
    bytes_ = bytes;
    value_type_ = value_type;
    if (!fits()) {
        Error error(Errc::invalid_argument, "the value is larger than the memory it was to go to");
        return error.set_bytes(bytes, buffer_.size());
    }
    return buffer_.first(static_cast<std::size_t>(bytes));
}

void append_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
    if (!can_be_read(bytes)) throw Exception(no_host_memory_to_send());
    out.insert(out.end(), bytes.begin(), bytes.end());
}

Result<ListHeader> ListHeader::read(std::span<const std::byte> in) {
    if (in.size() < bytes) return Error(Errc::wrong_type, "the value is too short for a list");
    const ListHeader header{number_at<std::uint16_t>(in, 0), number_at<std::uint64_t>(in, 8)};
    if (header.count > (in.size() - bytes) / 8)
        return Error(Errc::wrong_type, "the value is too short for the list that it says it is");
    return header;
}

}  // namespace detail
}  // namespace ddict
