// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/value_type.h>

#include <array>

namespace ddict {
namespace {

std::string element_in_words(int number) {
    constexpr std::array<const char*, 6> kinds{"", "int", "uint", "float", "", "complex"};
    const auto kind = static_cast<std::size_t>(number >> 4);
    if (number == 0x40) return "bool";
    if (number == element_structure) return "structure";
    if (kind < kinds.size() && *kinds[kind] != '\0') return kinds[kind] + std::to_string(8 << (number & 15));
    return "unknown element " + std::to_string(number);
}

}  // namespace

std::string type_in_words(std::uint16_t type) {
    if (type >= 0x8000) return "user type " + std::to_string(type & 0x7fff);
    if (type >= type_structure) {
        constexpr std::array<const char*, 4> kinds{"", "structure ", "vector of structure ",
                                                   "array of structure "};
        return kinds[type >> 13] + std::to_string(type & (structure_count - 1));
    }
    switch (type & 0xff00) {
        case type_bytes:
            if (type == type_bytes) return "bytes";
            if (type == type_text) return "text";
            break;
        case type_scalar:
            return element_in_words(type & 0xff);
        case type_vector:
            return "vector of " + element_in_words(type & 0xff);
        case type_array:
            return "array of " + element_in_words(type & 0xff);
        case type_list:
            return "list";
        case type_record:
            return "record";
        case type_map:
            return "map";
        default:
            break;
    }
    return "unknown type " + std::to_string(type);
}

namespace detail {

std::string bytes_in_words(std::uint64_t bytes) {
    return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

Error wrong_type(std::uint16_t stored, std::uint16_t asked, std::string_view name) {
    std::string text = "stored: " + type_in_words(stored) + ", asked: " + type_in_words(asked);
    if (!name.empty()) text.append(" (").append(name).append(")");
    return Error(Errc::wrong_type, text);
}

}  // namespace detail
}  // namespace ddict
