// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// In the place of topology.cpp where there is no hwloc.
#include "launcher/topology.h"

namespace ddict::launcher {

bool can_find_domains() {
    return false;
}

Result<std::vector<Domain>> find_domains(const os::Cpus& /*permitted*/) {
    return Error(Errc::system, "--bind: the ddict of this node is built without hwloc")
        .set_operation(Operation::launch);
}

}  // namespace ddict::launcher
