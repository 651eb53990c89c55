// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which network interfaces the managers of a dictionary use: see os/network_interfaces.h for those that
// lead nowhere.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "os/environment.h"
#include "os/network_interfaces.h"
#include "slurm/allocation.h"

namespace ddict::launcher {

/// Those that UCX may take on this node: what the user has chosen (os/ucx_variables.h), else all that do not
/// lead nowhere. `shared`: addresses that several nodes have.
std::vector<os::NetworkInterface> interfaces_for_ucx(std::span<const os::NetworkInterface> interfaces,
                                                     std::span<const std::string> shared,
                                                     const os::Environment& environment);

/// The first address of each of them, for the other nodes to compare; none of the loopback. None either if
/// the user has chosen the devices.
std::vector<std::string> addresses_for_ucx(const os::Environment& environment);

/// For the user whose nodes do not reach each other: "eth0 10.0.0.1, usb0 192.168.9.1".
std::string describe_interfaces();

}  // namespace ddict::launcher
