// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The environment variables that set an option of UCX. UCX_TLS is for all libraries of a program that use
// UCX, its MPI for one; DDICT_UCX_TLS is for ddict alone, and counts before it. Everybody who looks for a
// setting of UCX looks here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os/environment.h"

namespace ddict::os {

struct UcxVariable {
    std::string name;    ///< "DDICT_UCX_TLS"
    std::string option;  ///< "TLS"
    std::string value;
};

/// The variable that sets the option for ddict, if there is one: DDICT_UCX_<option>, else UCX_<option>. An
/// empty value counts, too: it hides that of UCX_<option>.
std::optional<UcxVariable> ucx_variable(const Environment& environment, std::string_view option);

/// Those that are for ddict alone, in the order of their names.
std::vector<UcxVariable> own_ucx_variables(const Environment& environment);

/// The network devices that the user has chosen; nothing where all may be used.
std::optional<UcxVariable> chosen_network_devices(const Environment& environment);

}  // namespace ddict::os
