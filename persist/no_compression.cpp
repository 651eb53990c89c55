// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/compression.h"

namespace ddict::persist {

bool can_compress() noexcept {
    return false;
}

std::unique_ptr<Compressor> make_compressor() {
    return nullptr;
}

std::unique_ptr<Decompressor> make_decompressor(MutableBytes) {
    return nullptr;
}

}  // namespace ddict::persist
