# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# For tests that need a network: to be sourced, first of all, by a test whose only argument is the folder of the
# programs. Starts the test again as root of namespaces of its own, with an empty /dev/shm, a TMPDIR in memory
# and a loopback device that leads nowhere. There the programs are found, and fail() ends the test. Nothing is left when it ends, however it does.
if [[ ${2-} != inside ]]; then
    exec unshare --user --map-root-user --net --mount --ipc --pid --fork --kill-child --mount-proc "$0" "$1" inside
fi
PATH=$1:$PATH
mount -t tmpfs -o size=256m tmpfs /dev/shm
mount -t tmpfs -o size=256m,mode=1777 tmpfs /mnt
export TMPDIR=/mnt
mount -t sysfs none /sys
ip link set lo up

fail() { echo "FAILED: $*"; exit 1; }
export -f fail
