// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/number.h>

#include <string>

namespace ddict::detail {

Error not_convertible(std::span<const std::byte> bytes, std::uint16_t stored, std::uint16_t asked) {
    std::string shown;
    if (const auto integer = number_as<std::int64_t>(bytes, stored)) {
        shown = " " + std::to_string(*integer);
    } else if (const auto large = number_as<std::uint64_t>(bytes, stored)) {
        shown = " " + std::to_string(*large);
    } else if (const auto fraction = number_as<double>(bytes, stored)) {
        shown = " " + std::to_string(*fraction);
    }
    return Error(Errc::wrong_type,
                 "stored: " + type_in_words(stored) + shown + ", asked: " + type_in_words(asked));
}

Result<std::span<std::byte>> NumberBuffer::prepare(std::uint64_t bytes, std::uint16_t stored) {
    if (bytes > sizeof bytes_) {
        return Error(Errc::wrong_type, "the value has " + bytes_in_words(bytes) + ": no number of type " +
                                           type_in_words(stored));
    }
    stored_ = stored;
    size_ = static_cast<std::size_t>(bytes);
    return std::span(bytes_).first(size_);
}

}  // namespace ddict::detail
