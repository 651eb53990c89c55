// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <ddict/result.h>

namespace ddict::os {

/// Tells this boot of the host from every other; empty if the kernel does not say. Errors: system: it could
/// not be found out.
Result<std::string> boot_id();

}  // namespace ddict::os
