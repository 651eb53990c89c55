// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which dictionary of start is meant, and what to say if there is none.
#pragma once

#include <string>

#include <ddict/result.h>

#include "launcher/options.h"
#include "launcher/rendezvous_file.h"
#include "os/environment.h"

namespace ddict::launcher {

struct Found {
    std::string path;
    RendezvousRecord record;
    Verdict verdict;
};

/// The dictionary that the options name, alive or not. not_found if there is none; system if that cannot be
/// told.
Result<Found> find_record(const Options& options, const os::Environment& environment);

/// Whether what stands there may be a record of this user, which could not be read or is not believed: a
/// dictionary of it may run.
bool is_doubtful(const ListedRecord& listed);

/// That there is no dictionary (of that name, if it is not empty), or why that is not known. Only those of
/// start are found: of others the shell may have the handle.
std::string none_running(const std::string& name, const std::string& doubt,
                         const os::Environment& environment);

/// For a terminal: what others have put into the words of a message must not act there.
std::string printable(std::string text);

}  // namespace ddict::launcher
