// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The processors of this node, as hwloc knows them. Its variables count: HWLOC_SYNTHETIC and HWLOC_XMLFILE
// put another machine in the place of this one.
#pragma once

#include <vector>

#include <ddict/result.h>

#include "launcher/binding.h"
#include "os/cpus.h"

namespace ddict::launcher {

/// False where ddict is built without hwloc.
bool can_find_domains();

/// By number: what is left of each NUMA domain if only these processors may be used, without those of which
/// nothing is. Where memories of several kinds belong to the same processors, the first counts. system if it
/// cannot be found out.
Result<std::vector<Domain>> find_domains(const os::Cpus& permitted);

}  // namespace ddict::launcher
