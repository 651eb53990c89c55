// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What containers, sandboxes, batch systems and administrators do to a process before it runs, as functions:
// each changes the calling process, and what it starts, for good, so it is for a child. Requires: one thread.
#pragma once

#include <map>
#include <string>

namespace ddict::platforms {

/// Returns why it could not be done; empty if it was.
using Change = std::string (*)();

std::string nothing();

// ---- system calls that a filter (seccomp) refuses ----
std::string no_process_vm_readv();             ///< as an old kernel, and many containers
std::string process_vm_readv_not_permitted();  ///< as kernel.yama.ptrace_scope does
std::string no_memfd_create();
std::string no_unix_sockets();  ///< as RestrictAddressFamilies of systemd

// ---- namespaces ----
std::string user_namespace();
std::string pid_namespace();      ///< with a /proc of its own
std::string network_namespace();  ///< without an interface: its loopback is down
std::string ipc_namespace();
std::string time_namespace();  ///< whose boot was another time
std::string cgroup_namespace();
std::string container();  ///< all of them

// ---- the rest of the host ----
std::string another_group();
std::string many_interfaces();  ///< 250 with an address, in a network of its own
std::string own_shared_memory();
std::string little_shared_memory();  ///< 64 MiB, as containers have
std::string few_descriptors();       ///< ulimit -n 64
std::string no_standard_descriptors();

}  // namespace ddict::platforms
