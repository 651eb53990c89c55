// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace ddict {

/// A time for programs and people (ISO 8601), with so many digits of the second's fraction, 1 to 9:
/// "2026-11-30T18:04:11.405Z".
std::string utc_text(std::chrono::system_clock::time_point time, unsigned digits);

}  // namespace ddict
