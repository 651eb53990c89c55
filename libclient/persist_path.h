// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <ddict/dictionary.h>

namespace ddict::client {

/// Errors: not_attached and the like; invalid_argument if there is none.
Result<std::string> persist_path_of(const Dictionary& dictionary);

}  // namespace ddict::client
