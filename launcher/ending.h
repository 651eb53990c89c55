// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionaries that have ended while something still speaks of them: a client has destroyed one, and for some
// moments its launcher lives on, and so does its record; or a shell has the handle still.
#pragma once

#include <chrono>
#include <string>

#include "cluster/handle.h"
#include "launcher/rendezvous_file.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

/// Whether a dictionary whose launcher lives on this host has ended: this host's shared memory says so.
/// False if it has no manager here.
bool is_ending(const RendezvousRecord& record);

/// Whether a dictionary has ended all of whose managers were on this host. False where that is not known.
bool has_ended_here(const Handle& handle);

/// Waits until the record's file is gone, or another dictionary's; if its process is given, until that has
/// ended. False if that takes longer.
bool wait_until_gone(const std::string& path, const std::string& dictionary,
                     const os::FileDescriptor& process, std::chrono::milliseconds timeout);

}  // namespace ddict::launcher
