// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/arguments.h"

namespace ddict::tools {

/// What ddict --help prints, at most 80 columns wide.
std::string help_text(std::span<const Command> commands, std::span<const Option> of_all_commands);
/// The same of one command.
std::string help_text(const Command& command, std::span<const Option> of_all_commands);
/// The same as manual pages, in roff.
std::string man_page(std::span<const Command> commands, std::span<const Option> of_all_commands,
                     std::string_view version);
std::string man_page(const Command& command, std::span<const Option> of_all_commands,
                     std::string_view version);

}  // namespace ddict::tools
