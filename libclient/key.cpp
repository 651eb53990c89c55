// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/key.h>

#include <cstring>
#include <optional>

namespace ddict {
namespace detail {

std::optional<NumberKey> NumberKey::of(std::span<const std::byte> bytes, std::uint16_t type) {
    std::optional<NumberKey> number;
    const auto take = [&]<class T>(T value) {
        if (type != Codec<T>::type || bytes.size() != sizeof value) return;
        std::memcpy(&value, bytes.data(), sizeof value);
        number.emplace(value);
    };
    take(std::int8_t{}), take(std::int16_t{}), take(std::int32_t{}), take(std::int64_t{});
    take(std::uint8_t{}), take(std::uint16_t{}), take(std::uint32_t{}), take(std::uint64_t{});
    take(float{}), take(double{});
    return number;
}

Error no_number_key(std::uint64_t bytes, std::uint16_t type) {
    return Error(Errc::invalid_argument, "a key of type " + type_in_words(type) + " has other than " +
                                             bytes_in_words(bytes) + ": as many as the number has");
}

Error wrong_key(KeyBytes key, std::string_view asked) {
    return Error(Errc::wrong_type, "the key is " + in_words(key) + ", asked: " + std::string(asked));
}

}  // namespace detail

AnyKey::AnyKey(KeyBytes key)
    : type_(key.type()), bytes_(reinterpret_cast<const char*>(key.data()), key.size()) {}

AnyKey AnyKey::of_type(std::span<const std::byte> bytes, std::uint16_t type) {
    if (const auto number = detail::NumberKey::of(bytes, type)) return AnyKey(number->view());
    if (detail::is_number_type(type)) throw Exception(detail::no_number_key(bytes.size(), type));
    return AnyKey(KeyBytes(bytes, type));
}

std::string AnyKey::in_words() const {
    return ddict::in_words(view());
}

int AnyKey::compare(const AnyKey& other) const noexcept {
    if (type_ != other.type_) return type_ < other.type_ ? -1 : 1;
    return bytes_.compare(other.bytes_);
}

}  // namespace ddict
