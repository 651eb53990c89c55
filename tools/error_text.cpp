// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/error_text.h"

#include <span>

#include "tools/key_text.h"

namespace ddict::tools {
namespace {

using Bytes = std::span<const std::byte>;

/// What is done before the command itself begins.
bool is_of_all_commands(Operation operation) {
    return operation == Operation::none || operation == Operation::attach ||
           operation == Operation::directory || operation == Operation::launch ||
           operation == Operation::create;
}

/// What to do by the command line, where the error itself does not say it.
std::string_view advice(const Error& error) {
    if (error.operation != Operation::fetch_add || error.code != Errc::wrong_type) return {};
    const std::string_view why = error.detail.data();
    if (why.starts_with("stored: float")) return "; --double counts it";
    if (why.starts_with("stored: uint")) return "; --uint counts it";
    return "; a counter is a number: 'ddict put --int KEY N' stores one";
}

}  // namespace

std::string message_of(const Error& error, std::string_view command) {
    if (error.operation == Operation::none) return error.message();
    const std::string_view operation = name(error.operation);
    const bool is_command = !command.empty() && !is_of_all_commands(error.operation);
    std::string what(is_command ? command : operation);
    Error without_key = error;
    if (error.key_bytes_shown > 0) {
        const bool is_prefix = error.message().substr(operation.size()).starts_with(" of prefix ");
        const Bytes key = std::as_bytes(std::span(error.key.data(), error.key_bytes_shown));
        what += (is_prefix ? " of prefix " : " of key ") + shown_key({key, error.key_type}, error.key_cut);
        without_key.key_bytes_shown = 0;
    }
    return without_key.message().replace(0, operation.size(), what).append(advice(error));
}

std::string reason_of(const Error& error) {
    std::string why(name(error.code));
    if (error.detail[0] != '\0') why += std::string(": ") + error.detail.data();
    return why;
}

}  // namespace ddict::tools
