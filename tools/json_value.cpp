// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/json_value.h"

#include <ddict/codec.h>
#include <ddict/python_types.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tools/escapes.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

using Bytes = std::span<const std::byte>;
using Json = nlohmann::ordered_json;

constexpr std::uint16_t vector_of_int64 = type_vector | (Codec<std::int64_t>::type & 0xff);
constexpr std::uint16_t vector_of_uint64 = type_vector | (Codec<std::uint64_t>::type & 0xff);
constexpr std::uint16_t vector_of_float64 = type_vector | (Codec<double>::type & 0xff);
constexpr std::uint16_t vector_of_bool = type_vector | (Codec<bool>::type & 0xff);
constexpr std::size_t alignment = 16;
constexpr unsigned depth_max = 64;

// ---- from JSON ----

/// Throws where a number would not be exactly what stands there.
class ExactNumbers final : public nlohmann::json_sax<Json> {
  public:
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(std::int64_t) override { return true; }
    bool number_unsigned(std::uint64_t) override { return true; }
    bool number_float(double, const std::string& text) override {
        if (text.find_first_of(".eE") == text.npos)
            throw UsageError("the number " + printable(text) + " is beyond 64 bits");
        return true;
    }
    bool string(std::string&) override { return true; }
    bool binary(Json::binary_t&) override { return true; }
    bool start_object(std::size_t) override { return deeper(); }
    bool key(std::string&) override { return true; }
    bool end_object() override { return --depth_ < depth_max; }
    bool start_array(std::size_t) override { return deeper(); }
    bool end_array() override { return --depth_ < depth_max; }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
        const std::string_view what = error.what();
        throw UsageError("this is no JSON: " +
                         printable(what.substr(std::min(what.find("] ") + 2, what.size()))));
    }

  private:
    bool deeper() {
        if (++depth_ > depth_max) throw UsageError("more than 64 arrays and objects stand in each other");
        return true;
    }
    unsigned depth_ = 0;
};

template <class Number>
void append(std::vector<std::byte>& out, Number number) {
    const Bytes bytes = std::as_bytes(std::span(&number, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void append(std::vector<std::byte>& out, Bytes bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void align(std::vector<std::byte>& out) {
    out.resize((out.size() + alignment - 1) / alignment * alignment);
}

TypedBytes text_of(const std::string& text) {
    const Bytes bytes = std::as_bytes(std::span(text));
    return {.type = type_text, .bytes = {bytes.begin(), bytes.end()}};
}

template <class Number>
TypedBytes scalar_of(Number number) {
    TypedBytes value{.type = Codec<Number>::type};
    append(value.bytes, number);
    return value;
}

template <class Number>
TypedBytes vector_of(const Json& items, std::uint16_t type) {
    TypedBytes value{.type = type};
    for (const Json& item : items)
        append(value.bytes, item.get<Number>());
    return value;
}

bool is_exact_as_float(const Json& number) {
    constexpr std::int64_t largest = std::int64_t{1} << 53;
    if (number.is_number_float()) return true;
    if (number.is_number_unsigned()) return number.get<std::uint64_t>() <= std::uint64_t{1} << 53;
    return number.get<std::int64_t>() >= -largest && number.get<std::int64_t>() <= largest;
}

/// Of numbers of one kind; nothing if they are not, or are none.
std::optional<TypedBytes> numbers_of(const Json& items) {
    const auto all = [&](auto is) { return std::all_of(items.begin(), items.end(), is); };
    if (all([](const Json& item) { return item.is_boolean(); })) {
        TypedBytes value{.type = vector_of_bool};
        for (const Json& item : items)
            append(value.bytes, static_cast<std::uint8_t>(item.get<bool>()));
        return value;
    }
    if (!all([](const Json& item) { return item.is_number(); })) return std::nullopt;
    const auto fits_int64 = [](const Json& item) {
        return item.is_number_integer() &&
               (!item.is_number_unsigned() || item.get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
    };
    if (all(fits_int64)) return vector_of<std::int64_t>(items, vector_of_int64);
    if (all([](const Json& item) { return item.is_number_unsigned(); }))
        return vector_of<std::uint64_t>(items, vector_of_uint64);
    const bool has_float =
        std::any_of(items.begin(), items.end(), [](const Json& item) { return item.is_number_float(); });
    if (has_float && all(is_exact_as_float)) return vector_of<double>(items, vector_of_float64);
    return std::nullopt;
}

TypedBytes list_of(const std::vector<TypedBytes>& items, std::uint16_t item_type) {
    TypedBytes value{.type = type_list};
    append(value.bytes, std::uint64_t{item_type});
    append(value.bytes, std::uint64_t{items.size()});
    for (const TypedBytes& item : items)
        append(value.bytes, std::uint64_t{item.bytes.size()});
    align(value.bytes);
    for (const TypedBytes& item : items) {
        if (item_type != type_text && item_type != type_bytes) align(value.bytes);
        append(value.bytes, Bytes(item.bytes));
    }
    return value;
}

TypedBytes record_of(const std::vector<TypedBytes>& fields, std::uint16_t type = type_record) {
    TypedBytes value{.type = type};
    for (const TypedBytes& field : fields) {
        align(value.bytes);
        append(value.bytes, std::uint64_t{field.type});
        append(value.bytes, std::uint64_t{field.bytes.size()});
        append(value.bytes, Bytes(field.bytes));
    }
    return value;
}

TypedBytes encode(const Json& json);

TypedBytes encode_array(const Json& items) {
    if (items.empty()) return list_of({}, type_bytes);
    if (auto numbers = numbers_of(items)) return *std::move(numbers);
    std::vector<TypedBytes> all;
    for (const Json& item : items)
        all.push_back(encode(item));
    const bool are_same = std::all_of(all.begin(), all.end(), [&](const TypedBytes& item) {
        return item.type == all[0].type && item.type != Codec<std::int64_t>::type;
    });
    return are_same ? list_of(all, all[0].type) : record_of(all);
}

TypedBytes encode_object(const Json& object) {
    std::vector<TypedBytes> keys;
    Json values = Json::array();
    for (const auto& [key, value] : object.items()) {
        keys.push_back(text_of(key));
        values.push_back(value);
    }
    const TypedBytes all = encode_array(values);
    if (all.type == type_record)
        throw UsageError(
            "the values of an object are of one type here, as those of a map; what is of several is stored "
            "without --json, as text");
    return record_of({list_of(keys, keys.empty() ? type_bytes : type_text), all}, type_map);
}

TypedBytes encode(const Json& json) {
    switch (json.type()) {
        case Json::value_t::null:
            return {.type = type_none};
        case Json::value_t::boolean:
            return {.type = Codec<bool>::type, .bytes = {json.get<bool>() ? std::byte{1} : std::byte{0}}};
        case Json::value_t::number_integer:
            return scalar_of(json.get<std::int64_t>());
        case Json::value_t::number_unsigned:
            return json.get<std::uint64_t>() > std::uint64_t{INT64_MAX} ? scalar_of(json.get<std::uint64_t>())
                                                                        : scalar_of(json.get<std::int64_t>());
        case Json::value_t::number_float:
            return scalar_of(json.get<double>());
        case Json::value_t::string:
            return text_of(json.get<std::string>());
        case Json::value_t::array:
            return encode_array(json);
        case Json::value_t::object:
            return encode_object(json);
        case Json::value_t::binary:
        case Json::value_t::discarded:
            break;
    }
    throw UsageError("this is no JSON");
}

// ---- to JSON ----

using MaybeJson = std::optional<Json>;

MaybeJson decode(Bytes bytes, std::uint16_t type, unsigned depth);

MaybeJson decode_text(Bytes bytes) {
    Json text = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    try {
        static_cast<void>(text.dump());
    } catch (const Json::exception&) {  // no UTF-8
        return std::nullopt;
    }
    return text;
}

MaybeJson decode_scalar(Bytes bytes, std::uint16_t type) {
    const std::optional<std::string> text = scalar_text(bytes, type);
    const unsigned kind = type >> 4 & 15;
    const bool has_at_most_64_bits = (type & 15) <= 3;
    if (!text || !has_at_most_64_bits) return std::nullopt;
    switch (kind) {
        case 1:
            return Json(std::strtoll(text->c_str(), nullptr, 10));
        case 2:
            return Json(std::strtoull(text->c_str(), nullptr, 10));
        case 3: {
            const double number = std::strtod(text->c_str(), nullptr);
            return std::isfinite(number) ? MaybeJson(number) : std::nullopt;
        }
        case 4:
            return Json(*text == "true");
        default:
            return std::nullopt;
    }
}

MaybeJson decode_vector(Bytes bytes, std::uint16_t type) {
    const auto element = static_cast<std::uint16_t>(type_scalar | (type & 0xff));
    const std::size_t size = element == Codec<bool>::type ? 1 : element_bytes(element);
    if (size == 0 || bytes.size() % size != 0) return std::nullopt;
    Json all = Json::array();
    for (; !bytes.empty(); bytes = bytes.subspan(size)) {
        MaybeJson one = decode_scalar(bytes.first(size), element);
        if (!one) return std::nullopt;
        all.push_back(*std::move(one));
    }
    return all;
}

/// Takes a number, a piece, or what brings it to a multiple of 16; nothing more once there is not enough
/// left.
class Reader {
  public:
    explicit Reader(Bytes bytes) : bytes_(bytes) {}
    std::uint64_t number() {
        std::uint64_t number = 0;
        const Bytes from = piece(sizeof number);
        if (from.size() == sizeof number) std::memcpy(&number, from.data(), sizeof number);
        return number;
    }
    Bytes piece(std::uint64_t size) {
        is_good_ = is_good_ && size <= bytes_.size() - at_;
        if (!is_good_) return {};
        const Bytes piece = bytes_.subspan(at_, size);
        at_ += size;
        return piece;
    }
    void align() { piece((alignment - at_ % alignment) % alignment); }
    bool is_good() const { return is_good_; }
    bool is_at_end() const { return at_ == bytes_.size(); }

  private:
    Bytes bytes_;
    std::size_t at_ = 0;
    bool is_good_ = true;
};

MaybeJson decode_list(Bytes bytes, unsigned depth) {
    Reader in(bytes);
    const std::uint64_t item_type = in.number();
    const std::uint64_t count = in.number();
    if (!in.is_good() || item_type > 0xffff || count > bytes.size() / 8) return std::nullopt;
    std::vector<std::uint64_t> lengths;
    for (std::uint64_t i = 0; i < count; ++i)
        lengths.push_back(in.number());
    in.align();
    Json all = Json::array();
    for (const std::uint64_t length : lengths) {
        if (item_type != type_text && item_type != type_bytes) in.align();
        const Bytes item = in.piece(length);
        MaybeJson one =
            in.is_good() ? decode(item, static_cast<std::uint16_t>(item_type), depth + 1) : MaybeJson();
        if (!one) return std::nullopt;
        all.push_back(*std::move(one));
    }
    return in.is_good() && in.is_at_end() ? MaybeJson(std::move(all)) : std::nullopt;
}

MaybeJson decode_record(Bytes bytes, unsigned depth) {
    Reader in(bytes);
    Json all = Json::array();
    while (!in.is_at_end()) {
        in.align();
        const std::uint64_t type = in.number();
        const Bytes field = in.piece(in.number());
        MaybeJson one = in.is_good() && type <= 0xffff
                            ? decode(field, static_cast<std::uint16_t>(type), depth + 1)
                            : MaybeJson();
        if (!one) return std::nullopt;
        all.push_back(*std::move(one));
    }
    return all;
}

/// Of texts: others are no object.
MaybeJson decode_map(Bytes bytes, unsigned depth) {
    const MaybeJson both = decode_record(bytes, depth);
    const bool is_map = both && both->size() == 2 && (*both)[0].is_array() && (*both)[1].is_array() &&
                        (*both)[0].size() == (*both)[1].size();
    if (!is_map) return std::nullopt;
    Json object = Json::object();
    for (std::size_t i = 0; i < (*both)[0].size(); ++i) {
        const Json& key = (*both)[0][i];
        if (!key.is_string() || object.contains(key.get<std::string>())) return std::nullopt;
        object[key.get<std::string>()] = (*both)[1][i];
    }
    return object;
}

MaybeJson decode(Bytes bytes, std::uint16_t type, unsigned depth) {
    if (depth > depth_max) return std::nullopt;
    switch (type) {
        case type_text:
            return decode_text(bytes);
        case type_none:
            return Json();
        case type_list:
            return decode_list(bytes, depth);
        case type_record:
            return decode_record(bytes, depth);
        case type_map:
            return decode_map(bytes, depth);
        default:
            return (type & 0xff00) == type_vector   ? decode_vector(bytes, type)
                   : (type & 0xff00) == type_scalar ? decode_scalar(bytes, type)
                                                    : std::nullopt;
    }
}

}  // namespace

TypedBytes value_of_json(std::string_view text) {
    ExactNumbers check;
    Json::sax_parse(text.begin(), text.end(), &check);
    return encode(Json::parse(text.begin(), text.end()));
}

MaybeJson json_of_value(Bytes bytes, std::uint16_t type) {
    return decode(bytes, type, 0);
}

}  // namespace ddict::tools
