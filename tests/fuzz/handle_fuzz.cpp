// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The text of a handle, as somebody may give it on a command line: any text, and any bytes under a checksum
// that is right.
#include <string>

#include "base/hash.h"
#include "base/hex.h"
#include "base/limits.h"
#include "cluster/handle.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;

namespace {

/// As Handle::serialize() writes it, of any bytes.
std::string sealed(Bytes bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text = "ddict3.";
    for (std::size_t bit = 0; bit < 8 * bytes.size(); bit += 6) {
        const auto at = [&](std::size_t i) {
            return i < bytes.size() ? std::to_integer<unsigned>(bytes[i]) : 0;
        };
        const unsigned two = at(bit / 8) << 8 | at(bit / 8 + 1);
        text += digits[two >> (10 - bit % 8) & 63];
    }
    return text + "." + hex_digits(XXH32(text.data(), text.size(), 0), 8);
}

/// What is accepted can be written, and is then read as the same.
void read(const std::string& text) {
    const Result<Handle> handle = Handle::parse(text);
    if (!handle)
        return fuzz::require(handle.error().code == Errc::bad_handle ||
                             handle.error().code == Errc::incompatible);
    fuzz::require(handle->managers >= 1 && handle->managers <= limits::managers_max &&
                  !handle->seeds.empty());
    fuzz::require(handle->shared_addresses.size() <= Handle::shared_addresses_max);
    for (const DirectoryEntry& seed : handle->seeds)
        fuzz::require(number_of(seed.shard) < handle->managers && !seed.address.empty());
    const std::string again = handle->serialize();
    const Result<Handle> same = Handle::parse(again);
    fuzz::require(same.has_value() && same->serialize() == again);
    fuzz::require(same->secret == handle->secret && same->name == handle->name);
}

/// An entry of a directory that is accepted has these bytes, and no others.
void read_entry(Bytes bytes) {
    Unpacker in(bytes);
    const DirectoryEntry entry = unpack_directory_entry(in);
    if (!in.good()) return;
    std::vector<std::byte> again;
    pack(entry, again);
    const Bytes read = bytes.first(bytes.size() - in.rest().size());
    fuzz::require(std::equal(read.begin(), read.end(), again.begin(), again.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::size_t what = input.below(3);
    const Bytes rest = input.take_rest();
    if (what == 0) {
        read(std::string(text_of(rest)));
    } else if (what == 1) {
        read(sealed(rest));
    } else {
        read_entry(rest);
    }
    return 0;
}
