// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which dictionary is meant, and what to say if there is none.
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

/// The dictionary that the options name, alive or not: that of start before those of commands, that of this
/// job or host before others. not_found if there is none; system if that cannot be told.
Result<Found> find_record(const Options& options, const os::Environment& environment);

/// The same, if it has not ended and is not about to, as far as that can be told: else not_found.
Result<Found> find_running(const Options& options, const os::Environment& environment);

/// Whether what stands there may be a record of this user, which could not be read or is not believed: a
/// dictionary of it may run.
bool is_doubtful(const ListedRecord& listed);

/// Whether it is one that the options mean, by --job and --name.
bool is_meant(const RendezvousRecord& record, const Options& options);

/// That there is no dictionary (of this name and job, where they are not empty), or why that is not known.
/// The shell may have the handle of one that has no record.
struct Sought {
    std::string name;
    std::string job;
};
std::string none_running(const Sought& sought, const std::string& doubt, const os::Environment& environment);

/// For a terminal: what others have put into the words of a message must not act there.
std::string printable(std::string text);

}  // namespace ddict::launcher
