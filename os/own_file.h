// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Files in folders where others may write, too: what is read from them is believed only if this user alone
// can have written it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include <ddict/result.h>

namespace ddict::os {

/// The text of a plain file that belongs to this user and that nobody else may write to. not_found;
/// access_denied, saying whose it is or who may write to it; protocol if it is no plain file, or longer than
/// `bytes_max`. Follows no link, and waits for nobody.
Result<std::string> read_own_file(const std::string& path, std::size_t bytes_max);

/// "0640": the permissions of a file, as chmod takes them.
std::string mode_text(mode_t mode);

}  // namespace ddict::os
