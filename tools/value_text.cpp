// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/value_text.h"

#include <ddict/codec.h>

#include <array>
#include <charconv>
#include <cmath>
#include <complex>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tools/escapes.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

using Bytes = std::span<const std::byte>;

// ---- numbers that are none ----

/// Where the bits of a NaN are that its text has to tell, and what they are in the usual one.
template <class Float>
struct NanBits;
template <>
struct NanBits<float> {
    using Word = std::uint32_t;
    static constexpr Word mask = 0x7fffff, usual = 0x400000;
};
template <>
struct NanBits<double> {
    using Word = std::uint64_t;
    static constexpr Word mask = 0xfffffffffffff, usual = 0x8000000000000;
};
/// Of the ten bytes of x86 and of the lower half where it has sixteen.
template <>
struct NanBits<long double> {
    using Word = std::uint64_t;
    static constexpr Word mask = ~Word{0}, usual = Word{3} << 62;
};

template <class Float>
std::string nan_text(Float number) {
    using Bits = NanBits<Float>;
    typename Bits::Word word = 0;
    std::memcpy(&word, &number, sizeof word);
    const std::string sign = __builtin_signbit(number) != 0 ? "-" : "";
    if ((word & Bits::mask) == Bits::usual) return sign + "nan";
    std::array<char, 20> digits{};
    const auto written = std::to_chars(digits.begin(), digits.end(), word & Bits::mask, 16);
    return sign + "nan(0x" + std::string(digits.begin(), written.ptr) + ")";
}

template <class Float>
std::optional<Float> nan_of(std::string_view text) {
    using Bits = NanBits<Float>;
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    typename Bits::Word payload = Bits::usual;
    if (text != "nan") {
        if (!text.starts_with("nan(0x") || !text.ends_with(')')) return std::nullopt;
        const std::string_view digits = text.substr(6, text.size() - 7);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), payload, 16);
        if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
        if (payload == 0 || (payload & ~Bits::mask) != 0) return std::nullopt;
    }
    Float number =
        negative ? -std::numeric_limits<Float>::quiet_NaN() : std::numeric_limits<Float>::quiet_NaN();
    typename Bits::Word word = 0;
    std::memcpy(&word, &number, sizeof word);
    word = (word & ~Bits::mask) | payload;
    std::memcpy(&number, &word, sizeof word);
    return number;
}

// ---- one scalar ----

template <class Number>
std::string text_of(Number number) {
    if constexpr (std::is_same_v<Number, bool>) {
        return number ? "true" : "false";
    } else {
        if constexpr (std::is_floating_point_v<Number>) {
            if (number != number) return nan_text(number);
        }
        std::array<char, 64> digits{};
        const auto written = std::to_chars(digits.begin(), digits.end(), number);
        return {digits.begin(), written.ptr};
    }
}

// The standard library has no text for these where extensions of the language are off.
__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;
constexpr std::uint16_t type_int128 = type_scalar | 0x14;
constexpr std::uint16_t type_uint128 = type_scalar | 0x24;

std::string text_of(Uint128 number) {
    std::string digits;
    do {
        digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(number % 10)));
        number /= 10;
    } while (number != 0);
    return digits;
}

std::string text_of(Int128 number) {
    const auto bits = static_cast<Uint128>(number);
    return number < 0 ? "-" + text_of(Uint128{0} - bits) : text_of(bits);
}

template <class Part>
std::string text_of(std::complex<Part> number) {
    return "(" + text_of(number.real()) + "," + text_of(number.imag()) + ")";
}

[[noreturn]] void refuse(std::string_view text, std::uint16_t type, const char* hint = "") {
    throw UsageError("'" + printable(text) + "' is not a value of type " + type_in_words(type) + hint);
}

std::string in_lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lower;
}

/// All of the text is the number, whose type is the one to be named if it is not.
template <class Number>
void read(std::string_view text, Number& number, std::uint16_t type) {
    if constexpr (std::is_same_v<Number, bool>) {
        const std::string word = in_lower_case(text);
        if (word != "true" && word != "false" && word != "1" && word != "0")
            refuse(text, type, ": true or false");
        number = word == "true" || word == "1";
    } else {
        std::string digits = in_lower_case(text);
        if (digits.size() > 1 && digits[0] == '+' && digits[1] != '-') digits.erase(0, 1);
        if constexpr (std::is_floating_point_v<Number>) {
            if (const std::optional<Number> nan = nan_of<Number>(digits)) {
                number = *nan;
                return;
            }
        }
        const char* const last = digits.data() + digits.size();
        auto [end, error] = std::from_chars(digits.data(), last, number);
        if constexpr (std::is_same_v<Number, long double>) {
            // Where it is denormal, the standard library takes it for one that is too small.
            number = std::strtold(digits.c_str(), nullptr);
            if (number != 0 && std::isfinite(number)) error = std::errc();
        }
        if (error == std::errc::result_out_of_range) refuse(text, type, ": it does not fit");
        if (error != std::errc() || end != last || number != number)
            refuse(text, type,
                   std::is_integral_v<Number> ? ": a whole number in decimal" : ": a number in decimal");
    }
}

/// Signed numbers are read by their absolute value, of which a negative one may have one more.
void read(std::string_view text, Uint128& number, std::uint16_t type) {
    const bool is_signed = type == type_int128;
    std::string_view digits = text;
    const bool negative = is_signed && digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    const Uint128 largest = is_signed ? (~Uint128{0} >> 1) + (negative ? 1 : 0) : ~Uint128{0};
    if (digits.empty()) refuse(text, type, ": a whole number in decimal");
    number = 0;
    for (const char digit : digits) {
        if (digit < '0' || digit > '9') refuse(text, type, ": a whole number in decimal");
        const auto value = static_cast<unsigned>(digit - '0');
        if (number > (largest - value) / 10) refuse(text, type, ": it does not fit");
        number = number * 10 + value;
    }
    if (negative) number = Uint128{0} - number;
}

void read(std::string_view text, Int128& number, std::uint16_t type) {
    Uint128 bits = 0;
    read(text, bits, type);
    number = static_cast<Int128>(bits);
}

template <class Part>
void read(std::string_view text, std::complex<Part>& number, std::uint16_t type) {
    const std::size_t comma = text.find(',');
    if (!text.starts_with('(') || !text.ends_with(')') || comma == text.npos)
        refuse(text, type, ": one is written (1.5,-2)");
    std::array<Part, 2> parts{};
    read(text.substr(1, comma - 1), parts[0], type);
    read(text.substr(comma + 1, text.size() - comma - 2), parts[1], type);
    number = {parts[0], parts[1]};
}

/// Calls f with a scalar of the C++ type that a type number stands for; false if there is none.
template <class F>
bool with_scalar(std::uint16_t type, F&& f) {
    if (type == type_int128) f(Int128{0});
    if (type == type_uint128) f(Uint128{0});
    if (type == type_int128 || type == type_uint128) return true;
    const auto try_as = [&]<class Number>(Number number) {
        if (type != Codec<Number>::type) return false;
        f(number);
        return true;
    };
    return [&]<class... Numbers>(std::tuple<Numbers...> numbers) {
        return (try_as(std::get<Numbers>(numbers)) || ...);
    }(std::tuple<bool, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t,
                 std::uint32_t, std::uint64_t, float, double, long double, std::complex<float>,
                 std::complex<double>, std::complex<long double>>());
}

}  // namespace

std::optional<std::uint16_t> type_named(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, std::uint16_t>, 4> short_names{{
        {"int", Codec<std::int64_t>::type},
        {"uint", Codec<std::uint64_t>::type},
        {"float", Codec<float>::type},
        {"double", Codec<double>::type},
    }};
    for (const auto& [short_name, type] : short_names) {
        if (name == short_name) return type;
    }
    for (std::uint32_t type = 0; type <= 0xffff; ++type) {
        if (type_in_words(static_cast<std::uint16_t>(type)) == name) return static_cast<std::uint16_t>(type);
    }
    return std::nullopt;
}

std::string no_such_type(std::string_view name) {
    return "there is no type '" + printable(name) +
           "'; int, uint, double, float, bool, text and bytes are some, the others are as 'ddict get --type' "
           "prints them";
}

bool is_scalar_with_text(std::uint16_t type) {
    return with_scalar(type, [](auto) {});
}

std::optional<std::string> scalar_text(Bytes value, std::uint16_t type) {
    std::optional<std::string> text;
    with_scalar(type, [&]<class Number>(Number number) {
        if (value.size() != sizeof number) return;
        if constexpr (std::is_same_v<Number, bool>) {
            number = value[0] != std::byte{0};
        } else {
            std::memcpy(&number, value.data(), sizeof number);
        }
        text = text_of(number);
    });
    return text;
}

std::size_t element_bytes(std::uint16_t type) {
    const int kind = (type >> 4) & 15;
    if (kind == 1 || kind == 2 || kind == 3 || kind == 5) return std::size_t{1} << (type & 15);
    return 0;
}

void check_size_of_value(std::uint16_t type, std::size_t bytes) {
    const std::uint16_t what = type & 0xff00;
    const std::size_t element = element_bytes(type);
    if (element == 0) return;
    if ((what == type_scalar && bytes != element) || (what == type_vector && bytes % element != 0)) {
        throw UsageError(bytes_in_words(bytes) + (bytes == 1 ? " is" : " are") + " not the value of a " +
                         type_in_words(type) + ": one has " + (what == type_vector ? "a multiple of " : "") +
                         std::to_string(element));
    }
}

std::vector<std::byte> value_of(std::uint16_t type, std::string_view text) {
    std::vector<std::byte> value;
    const bool scalar = with_scalar(type, [&](auto number) {
        std::memset(static_cast<void*>(&number), 0, sizeof number);  // what lies between its bits too
        read(text, number, type);
        value.resize(sizeof number);
        std::memcpy(value.data(), &number, sizeof number);
    });
    if (scalar) return value;
    check_size_of_value(type, text.size());
    value.resize(text.size());
    std::memcpy(value.data(), text.data(), text.size());
    return value;
}

std::string bytes_in_words(std::uint64_t bytes) {
    return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

std::string in_words(Bytes value, std::uint16_t type) {
    return "<" + type_in_words(type) + ", " + bytes_in_words(value.size()) + ">";
}

std::string on_one_line(Bytes value, std::uint16_t type) {
    if (auto number = scalar_text(value, type)) return *std::move(number);
    if (type == type_text) return printable({reinterpret_cast<const char*>(value.data()), value.size()});
    return in_words(value, type);
}

}  // namespace ddict::tools
