// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How structures and enumerations without a codec are told apart: by a number, beside their size. It is made
// of the name of the type with its namespaces, the same by every compiler, or is one that the program
// declares, which then outlives a change of the name:
//
//     template <> inline constexpr std::uint16_t ddict::structure_number<Particle> = 7;   // 0 to 255
//
// Unnamed namespaces and functions are no part of the name. Two names have the same number once in 7936
// cases: where that matters, or where an argument of a template is an enumerator, declare one. docs/values.md
// has the rule, for programs in other languages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <ddict/value_type.h>

namespace ddict {

namespace detail {

template <class T>
constexpr std::string_view signature() {
    return __PRETTY_FUNCTION__;  // "... [with T = X; ...]" or "... [T = X]"
}

/// The name of a type, as this compiler writes it, without the unnamed namespaces and the functions that it
/// is in.
template <class T>
constexpr std::string_view type_name() {
    std::string_view text = signature<T>();
    text.remove_prefix(text.find("T = ") + 4);
    std::size_t end = 0;
    std::size_t begin = 0;
    int depth = 0;
    for (; end < text.size() && !(depth == 0 && (text[end] == ';' || text[end] == ']')); ++end) {
        const char c = text[end];
        if (c == '<' || c == '(' || c == '[' || c == '{') ++depth;
        if (c == '>' || c == ')' || c == ']' || c == '}') --depth;
        const bool inner = c == ')' || c == '}' || c == ']';
        if (depth == 0 && inner && text.substr(end + 1, 2) == "::") begin = end + 3;
    }
    return text.substr(begin, end - begin);
}

/// Reads a name as compilers differ in writing it, and makes one number of it.
class NameHash {
  public:
    constexpr explicit NameHash(std::string_view name) {
        for (std::size_t at = 0; at < name.size();)
            at = take(name, at);
        end_of_integer();
    }
    constexpr std::uint32_t value() const { return hash_; }

  private:
    static constexpr bool is_word(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    }
    /// From one word, or one sign, to the next.
    constexpr std::size_t take(std::string_view name, std::size_t at) {
        for (const std::string_view unnamed : {"{anonymous}::", "(anonymous namespace)::"}) {
            if (name.substr(at, unnamed.size()) == unnamed) return at + unnamed.size();
        }
        if (name[at] == ' ') return at + 1;
        if (!is_word(name[at])) {
            end_of_integer();
            add(name[at]);
            return at + 1;
        }
        std::size_t end = at;
        while (end < name.size() && is_word(name[end]))
            ++end;
        word(name.substr(at, end - at));
        return end;
    }
    /// "long unsigned int" and "unsigned long" are one type, and 3 and 3UL one number.
    constexpr void word(std::string_view text) {
        if (text == "unsigned") {
            is_unsigned_ = in_integer_ = true;
        } else if (text == "signed" || text == "int") {
            in_integer_ = true;
        } else if (text == "long") {
            in_integer_ = true;
            bytes_ = sizeof(long);
        } else if (text == "short") {
            in_integer_ = true;
            bytes_ = sizeof(short);
        } else if (text == "double" && bytes_ == sizeof(long)) {
            in_integer_ = false;
            bytes_ = sizeof(int);
            add_all("long double ");
        } else {
            if (text == "char" && in_integer_) bytes_ = 1;
            const bool is_char = text == "char" && in_integer_;
            end_of_integer();
            if (is_char) return;
            if (text[0] >= '0' && text[0] <= '9') {
                while (text.back() == 'U' || text.back() == 'L' || text.back() == 'u' || text.back() == 'l')
                    text.remove_suffix(1);
            }
            add_all(text);
            add(' ');
        }
    }
    constexpr void end_of_integer() {
        if (!in_integer_) return;
        add_all(is_unsigned_ ? "uint" : "int");
        add(static_cast<char>('0' + bytes_));
        add(' ');
        in_integer_ = is_unsigned_ = false;
        bytes_ = sizeof(int);
    }
    constexpr void add_all(std::string_view text) {
        for (const char c : text)
            add(c);
    }
    constexpr void add(char c) { hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 16777619u; }  // FNV-1a

    std::uint32_t hash_ = 2166136261u;
    std::size_t bytes_ = sizeof(int);
    bool in_integer_ = false;
    bool is_unsigned_ = false;
};

}  // namespace detail

/// Of a structure whose name, with its namespaces, this is: "physics::Particle".
constexpr std::uint16_t structure_number_of(std::string_view name) {
    constexpr std::uint32_t declared = declared_structure_max + 1;
    return static_cast<std::uint16_t>(declared +
                                      detail::NameHash(name).value() % (structure_count - declared));
}

/// The number of a structure or an enumeration. Specialise it to declare one of 0 to 255.
template <class T>
inline constexpr std::uint16_t structure_number = structure_number_of(detail::type_name<T>());

}  // namespace ddict
