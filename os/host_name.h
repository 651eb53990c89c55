// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace ddict::os {

/// This host's name as it stands in messages, records and file names: at most limits::node_name_bytes_max
/// bytes of letters, digits, '.', '_' and '-'. Never empty.
std::string host_name();

/// The same of a name that the kernel reports. Other bytes, which the kernel allows, become '_'.
std::string presentable_host_name(std::string_view name);

}  // namespace ddict::os
