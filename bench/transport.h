// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace ddict::bench {

enum class Transport {
    as_it_comes,
    samehost,  ///< within the host; UCX alone goes through its shared memory
    ucx        ///< over the network, as if managers were on other hosts; UCX alone as well
};

/// What every process that is started from here on may use: managers and clients (DDICT_SAME_HOST), and the
/// baseline, which is UCX alone (UCX_TLS). as_it_comes: as it was when this was first called.
void choose_transport(Transport transport);
/// "samehost", "ucx", "default"
std::string_view name_of(Transport transport);

}  // namespace ddict::bench
