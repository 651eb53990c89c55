// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/json_text.h"

#include <ddict/codec.h>

#include <algorithm>
#include <optional>
#include <string>

#include "tools/json_value.h"
#include "tools/standard_streams.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

using Bytes = std::span<const std::byte>;
using Json = nlohmann::ordered_json;

std::string base64(Bytes bytes) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(bytes.size() - i, 3);
        std::uint32_t word = 0;
        for (std::size_t j = 0; j < 3; ++j)
            word = word << 8 | (j < count ? static_cast<std::uint32_t>(bytes[i + j]) : 0);
        for (std::size_t j = 0; j < 4; ++j)
            text += j <= count ? digits[word >> (18 - 6 * j) & 63] : '=';
    }
    return text;
}

/// A number that JSON has not is its text.
std::optional<Json> json_of(Bytes value, std::uint16_t type) {
    if (std::optional<Json> json = json_of_value(value, type)) return json;
    if (std::optional<std::string> text = scalar_text(value, type)) return Json(*std::move(text));
    return std::nullopt;
}

}  // namespace

void add_json(Json& object, const char* name, Bytes value, std::uint16_t type) {
    if (std::optional<Json> json = json_of(value, type)) {
        object[name] = *std::move(json);
    } else {
        object[std::string(name) + "_base64"] = base64(value);
    }
}

void JsonList::add(const Json& element) {
    print(is_empty_ ? "[\n " : ",\n ");
    // Names of hosts and paths may be no UTF-8.
    print(element.dump(-1, ' ', false, Json::error_handler_t::replace));
    is_empty_ = false;
}

void JsonList::end() {
    print(is_empty_ ? "[]\n" : "\n]\n");
}

Json json_of_key(KeyBytes key) {
    Json object = Json::object();
    add_json(object, "key", key.bytes(), key.type());
    object["key_type"] = type_in_words(key.type());
    return object;
}

Json json_of_pair(KeyBytes key, Bytes value, std::uint16_t type) {
    Json object = json_of_key(key);
    object["type"] = type_in_words(type);
    object["bytes"] = value.size();
    add_json(object, "value", value, type);
    return object;
}

}  // namespace ddict::tools
