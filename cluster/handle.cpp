// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "cluster/handle.h"

#include <charconv>
#include <optional>

#include "base/base64url.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/limits.h"

namespace ddict {
namespace {

constexpr std::string_view handle_stem = "ddict";
constexpr std::string_view handle_prefix = "ddict3.";

std::string checksum(std::string_view text) {
    return hex_digits(XXH32(text.data(), text.size(), 0), 8);
}

Error bad_handle(std::string_view why) {
    return Error(Errc::bad_handle, why).set_operation(Operation::attach);
}

/// A handle of another version of ddict, or no handle at all?
Error foreign_handle(std::string_view text) {
    if (!text.starts_with(handle_stem))
        return bad_handle("it does not start with \"ddict3.\", so this is no handle");
    unsigned version = 0;
    const std::string_view digits = text.substr(handle_stem.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
    if (error != std::errc() || end == digits.data() + digits.size() || *end != '.') {
        return bad_handle("it does not start with \"ddict3.\", so this is no handle");
    }
    return Error(Errc::incompatible,
                 "the handle is of format " + std::to_string(version) + ", this program reads format 3")
        .set_operation(Operation::attach);
}

}  // namespace

std::string Handle::serialize() const {
    std::vector<std::byte> packed;
    Packer packer(packed);
    packer.put(dictionary_id).put(secret).put(ucx_version).put(managers).put(nodes).put_text(name);
    packer.put_text(persist.path).put(persist.count).put(std::uint8_t{persist.read_only});
    packer.put(static_cast<std::uint32_t>(seeds.size()));
    for (const DirectoryEntry& seed : seeds)
        pack(seed, packed);
    for (const std::string& address : shared_addresses)
        packer.put_text(address);
    std::string text = std::string(handle_prefix) + encode_base64url(packed);
    return text + "." + checksum(text);
}

Result<Handle> Handle::parse(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\r'))
        text.remove_suffix(1);
    if (text.empty()) return bad_handle("it is empty");
    if (!text.starts_with(handle_prefix)) return foreign_handle(text);
    if (text.size() > limits::handle_bytes_max) return bad_handle("it is longer than any handle");
    const std::size_t dot = text.rfind('.');
    if (dot < handle_prefix.size() || text.substr(dot + 1) != checksum(text.substr(0, dot))) {
        return bad_handle("its checksum does not match: it was cut or changed on the way");
    }
    const auto packed = decode_base64url(text.substr(handle_prefix.size(), dot - handle_prefix.size()));
    if (!packed) return bad_handle("it contains a character that no handle has");

    Unpacker in(*packed);
    Handle handle;
    handle.dictionary_id = in.take<std::uint64_t>();
    handle.secret = in.take<Secret>();
    handle.ucx_version = in.take<std::uint32_t>();
    handle.managers = in.take<std::uint32_t>();
    handle.nodes = in.take<std::uint32_t>();
    handle.name = in.take_text();
    handle.persist.path = in.take_text();
    handle.persist.count = in.take<std::uint32_t>();
    const auto read_only = in.take<std::uint8_t>();
    handle.persist.read_only = read_only != 0;
    const auto seeds = in.take<std::uint32_t>();
    for (std::uint32_t i = 0; i < seeds && in.good(); ++i)
        handle.seeds.push_back(unpack_directory_entry(in));
    while (in.good() && !in.at_end() && handle.shared_addresses.size() < Handle::shared_addresses_max)
        handle.shared_addresses.push_back(std::string(in.take_text()));
    if (!in.good() || !in.at_end() || handle.managers == 0 || handle.managers > limits::managers_max ||
        read_only > 1 || handle.seeds.empty()) {
        return bad_handle("the handle is malformed");
    }
    for (const DirectoryEntry& seed : handle.seeds) {
        if (number_of(seed.shard) >= handle.managers || seed.address.empty())
            return bad_handle("the handle is malformed");
    }
    return handle;
}

}  // namespace ddict
