#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# usage: other_host.sh HOST COMMAND-LINE
# What ssh is to another host: runs the line on a "host" of this machine that has a name, processes, System V IPC and
# a /dev/shm of its own. Killed, it takes the host's processes with it, as a host does that loses power.
host=$1
shift
as_root=()
((EUID == 0)) || as_root=(--user --map-root-user)
exec unshare "${as_root[@]}" --mount --uts --ipc --pid --fork --kill-child /bin/sh -c '
  mount -t tmpfs none /dev/shm && mount -t proc proc /proc && hostname "$0" && exec /bin/sh -c "$1"' "$host" "$*"
