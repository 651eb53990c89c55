// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The one place where a status of PMIx becomes an Error.
#pragma once

#include <string_view>

#include <pmix_common.h>

#include <ddict/error.h>

namespace ddict::pmix {

/// doing: what was asked of PMIx, for example "the exchange 'addresses'". Requires status != PMIX_SUCCESS.
Error to_error(pmix_status_t status, std::string_view doing);

}  // namespace ddict::pmix
