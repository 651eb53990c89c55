// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/shared.h"

namespace ddict::detail {

void add_owner(SharedCount* count) noexcept {
    count->owners_.fetch_add(1, std::memory_order_relaxed);
}

void remove_owner(SharedCount* count) noexcept {
    // The last one sees what all others have done.
    if (count->owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete count;
}

}  // namespace ddict::detail
