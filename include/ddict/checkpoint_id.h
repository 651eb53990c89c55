// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The ids of checkpoints in memory; see View::at().
#pragma once

#include <cstdint>

namespace ddict {

/// They go from 0 to here.
inline constexpr std::uint32_t checkpoint_id_max = (1U << 30) - 2;
/// Stands for whichever checkpoint is the newest at a manager.
inline constexpr std::uint32_t newest_checkpoint = (1U << 30) - 1;

}  // namespace ddict
