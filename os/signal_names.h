// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Signals as people write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ddict::os {

/// Of "USR2", "SIGUSR2", "12", "RTMIN+1" or "RTMAX-1"; none if it is no signal.
std::optional<int> signal_number(std::string_view text);
/// "USR2"; the number of a signal that has no name.
std::string signal_name(int number);

}  // namespace ddict::os
