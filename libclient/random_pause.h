// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// For many who do the same again, so that they do not do it all at once.
#pragma once

#include <chrono>

namespace ddict::client {

/// A time at random, from `least` to `most`. Each thread has others, and so has each child of fork().
/// Requires least <= most. Threads: any.
std::chrono::nanoseconds random_pause(std::chrono::nanoseconds least, std::chrono::nanoseconds most);

}  // namespace ddict::client
