// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/error_text.h"

namespace ddict::tools {
namespace {

/// What is done before the command itself begins.
bool is_of_all_commands(Operation operation) {
    return operation == Operation::none || operation == Operation::attach ||
           operation == Operation::directory || operation == Operation::launch ||
           operation == Operation::create;
}

}  // namespace

std::string message_of(const Error& error, std::string_view command) {
    std::string message = error.message();
    if (!command.empty() && !is_of_all_commands(error.operation))
        message.replace(0, name(error.operation).size(), command);
    return message;
}

std::string reason_of(const Error& error) {
    std::string why(name(error.code));
    if (error.detail[0] != '\0') why += std::string(": ") + error.detail.data();
    return why;
}

}  // namespace ddict::tools
