// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/verbs.h"

#include "wire/messages.h"

namespace ddict::wire {

/// Without a session it says whose is to end.
bool goodbye_fits(const RequestHeader& header) noexcept {
    return (header.session == 0) == (header.value_bytes != 0);
}

bool swap_fits(const RequestHeader& header) noexcept {
    if (header.argument > header.value_bytes) return false;
    if ((header.flags & swap_if_absent) != 0 && header.argument != 0) return false;
    return (header.flags & swap_erases) == 0 || header.argument == header.value_bytes;
}

bool fetch_add_fits(const RequestHeader& header) noexcept {
    return header.value_bytes == 0 || header.value_bytes == sizeof(std::uint64_t);
}

bool wait_fits(const RequestHeader& header) noexcept {
    return (header.flags & wait_for_value) != 0 || header.value_bytes == 0;
}

bool batch_fits(const RequestHeader& header) noexcept {
    return header.argument <= limits::batch_items_max;
}

bool directory_fits(const RequestHeader& header) noexcept {
    return (header.value_bytes != 0) == ((header.flags & directory_newer) != 0);
}

bool freeze_fits(const RequestHeader& header) noexcept {
    return header.argument <= freeze_ask;
}

bool checkpoints_fits(const RequestHeader& header) noexcept {
    if ((header.flags & hold_checkpoint) != 0) return header.argument <= limits::checkpoint_id_max;
    return (header.flags & hold_closes) == 0 && header.value_bytes == 0;
}

}  // namespace ddict::wire
