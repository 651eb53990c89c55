// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/key_usage.h"

#include <algorithm>
#include <string_view>

#include "tools/key_text.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

bool is_larger(const KeyUsage::Large& a, const KeyUsage::Large& b) {
    return a.bytes > b.bytes;
}

std::string_view text_of(KeyBytes key) {
    return {reinterpret_cast<const char*>(key.bytes().data()), key.bytes().size()};
}

}  // namespace

void KeyUsage::add(std::uint32_t manager, KeyBytes key, std::uint64_t value_bytes) {
    const std::uint64_t bytes = key.bytes().size() + value_bytes;
    all_.add(bytes);
    if (manager < managers_.size()) managers_[manager].add(bytes);
    std::string prefix = prefix_of(key);
    if (const auto found = prefixes_.find(prefix); found != prefixes_.end()) {
        found->second.add(bytes);
    } else if (prefixes_.size() < options_.prefixes_max) {
        prefixes_[std::move(prefix)].add(bytes);
    } else {
        others_.add(bytes);
    }
    note_large(manager, key, value_bytes);
}

/// Numbers have none: those of a type are together.
std::string KeyUsage::prefix_of(KeyBytes key) const {
    if (is_scalar_with_text(key.type())) {
        const std::string whole = escaped_text(key);
        return whole.substr(0, whole.find(':') + 1);
    }
    const std::string_view text = text_of(key);
    std::size_t end = std::min(options_.begins, text.size());
    for (std::size_t level = 0; level < options_.depth; ++level) {
        const std::size_t next = text.find(options_.separator, end);
        if (next == text.npos) break;
        end = next + options_.separator.size();
    }
    if (end == 0 && key.type() == type_text) return {};
    return escaped_text(KeyBytes(key.bytes().first(end), key.type()));
}

void KeyUsage::note_large(std::uint32_t manager, KeyBytes key, std::uint64_t value_bytes) {
    if (options_.largest == 0) return;
    if (largest_.size() == options_.largest) {
        if (value_bytes <= largest_.front().bytes) return;
        std::pop_heap(largest_.begin(), largest_.end(), is_larger);
        largest_.pop_back();
    }
    largest_.push_back({AnyKey(key), value_bytes, manager});
    std::push_heap(largest_.begin(), largest_.end(), is_larger);
}

std::vector<KeyUsage::Prefix> KeyUsage::prefixes() const {
    std::vector<Prefix> all;
    all.reserve(prefixes_.size());
    for (const auto& [text, share] : prefixes_)
        all.push_back({text, share});
    std::sort(all.begin(), all.end(), [](const Prefix& a, const Prefix& b) {
        return a.share.bytes != b.share.bytes ? a.share.bytes > b.share.bytes : a.text < b.text;
    });
    return all;
}

std::vector<KeyUsage::Large> KeyUsage::largest() const {
    std::vector<Large> all = largest_;
    std::sort(all.begin(), all.end(), [](const Large& a, const Large& b) {
        return a.bytes != b.bytes ? a.bytes > b.bytes : text_of(a.key.view()) < text_of(b.key.view());
    });
    return all;
}

double KeyUsage::imbalance() const {
    if (all_.bytes == 0 || managers_.empty()) return 0;
    const auto fullest = std::max_element(managers_.begin(), managers_.end(),
                                          [](const Share& a, const Share& b) { return a.bytes < b.bytes; });
    const double mean = static_cast<double>(all_.bytes) / static_cast<double>(managers_.size());
    return static_cast<double>(fullest->bytes) / mean;
}

}  // namespace ddict::tools
