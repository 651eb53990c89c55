// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/named_keys.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/standard_streams.h"

namespace ddict::tools {

Option stdin_option() {
    return {.name = "--stdin",
            .help = "also the keys of the standard input, one a line, as keys prints them",
            .replaces_operands = true};
}

Option zeros_of_keys_option() {
    return {
        .name = "--null",
        .letter = '0',
        .help = "each key of the standard input as it is, followed by a zero byte, as keys -0 prints them"};
}

NamedKeys::NamedKeys(const Arguments& arguments)
    : arguments_(arguments),
      reads_input_(arguments.has("--stdin")),
      ends_with_zero_(arguments.has("--null")),
      reader_(arguments) {}

std::vector<AnyKey> NamedKeys::next(std::size_t max) {
    std::vector<AnyKey> keys;
    for (; operand_ < arguments_.operands().size() && keys.size() < max; ++operand_)
        keys.push_back(reader_.key(arguments_.operands()[operand_], arguments_.has("--escaped")));
    std::string text;
    while (keys.size() < max && next_of_input(text))
        keys.push_back(reader_.key(text, !ends_with_zero_));
    return keys;
}

/// False at the end. An empty line names no key.
bool NamedKeys::next_of_input(std::string& text) {
    constexpr std::size_t piece = std::size_t{256} << 10;
    const char end = ends_with_zero_ ? '\0' : '\n';
    while (reads_input_) {
        const std::size_t found = buffer_.find(end, at_);
        if (found != buffer_.npos) {
            text.assign(buffer_, at_, found - at_);
            at_ = found + 1;
            if (!text.empty()) return true;
            continue;
        }
        if (input_ended_) {
            text.assign(buffer_, at_);
            at_ = buffer_.size();
            return !text.empty();
        }
        buffer_.erase(0, std::exchange(at_, 0));
        const std::size_t before = buffer_.size();
        buffer_.resize(before + piece);
        const std::size_t got = read_input_some(buffer_.data() + before, piece);
        buffer_.resize(before + got);
        input_ended_ = got == 0;
    }
    return false;
}

std::vector<KeyBytes> views_of(std::span<const AnyKey> keys) {
    std::vector<KeyBytes> views;
    views.reserve(keys.size());
    for (const AnyKey& key : keys)
        views.push_back(key.view());
    return views;
}

void ManyOutcomes::add(std::span<const AnyKey> keys, std::span<const ItemStatus> statuses,
                       const Result<void>& all, bool names_absent) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const ItemStatus& status = statuses[i];
        ++all_;
        if (status.ok()) {
            ++done_;
            continue;
        }
        if (status.code == Errc::not_found) {
            ++absent_;
        } else if (status_of(status.code) == wrong_call) {
            ++no_keys_;
        } else if (first_ == Errc{}) {
            first_ = status.code;
        }
        if (status.code != Errc::not_found || names_absent) tell(keys[i].view(), status, all);
    }
}

void ManyOutcomes::tell(KeyBytes key, const ItemStatus& status, const Result<void>& all) const {
    Error error(status.code);
    // Of the errors of managers one is known in full.
    if (!all && all.error().code == status.code && all.error().manager == status.manager) error = all.error();
    error = dict_.name_error(error, operation_, key);
    error.in_doubt = status.in_doubt;
    error.key_bytes_shown = 0;  // an error's text is too short for all of a long one
    const std::string what = std::string(does_) + " of key " + shown_key(key);
    std::cerr << "ddict: " << printable_text(message_of(error, what)) << '\n';
}

ExitStatus ManyOutcomes::status() const {
    if (done_ == all_) return success;
    if (done_ + absent_ == all_) return no_such_key;
    if (done_ + absent_ + no_keys_ == all_) return wrong_call;
    return done_ + absent_ == 0 ? status_of(first_) : partial;
}

}  // namespace ddict::tools
