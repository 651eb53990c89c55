// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/request.h"

#include <algorithm>

namespace ddict {

std::uint64_t wait_argument(Time::duration left) noexcept {
    using std::chrono::microseconds;
    return static_cast<std::uint64_t>(
        std::max<microseconds::rep>(1, std::chrono::ceil<microseconds>(left).count()));
}

}  // namespace ddict
