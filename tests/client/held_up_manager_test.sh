#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Many clients connect at once, over TCP, to a manager that does not run for a while: some give up a connection and
# make another meanwhile, some give up for good. The manager lives and serves new ones. Argument: the folder of the
# programs.
set -euo pipefail
if [[ ${2-} != inside ]]; then
    exec unshare --user --map-root-user --net --mount --ipc --pid --fork --kill-child --mount-proc "$0" "$1" inside
fi
PATH=$1:$PATH
mount -t tmpfs -o size=256m tmpfs /dev/shm
mount -t sysfs none /sys
ip link set lo up
export UCX_TLS=tcp,self UCX_NET_DEVICES=lo clients=32

fail() { echo "FAILED: $*"; exit 1; }
# What the kernel has accepted for the manager.
connections() { ss --tcp --numeric --no-header state established "sport = :$port" | wc -l; }
crowd() {
    set -e
    local manager pids pid patience failed
    manager=$(pgrep -x ddict-manager)
    port=$(ss --tcp --listening --numeric --processes | awk '/ddict-manager/ {sub(/.*:/, "", $4); print $4; exit}')
    for held_up in 0 0.4 1 2.5; do
        kill -STOP "$manager"
        pids=()
        for ((i = 0; i < clients; i++)); do
            timeout 60 ddict put "key $i" value 2>/dev/null &
            pids+=($!)
        done
        patience=$((SECONDS + 30))
        until (($(connections) >= clients / 2)); do
            ((SECONDS < patience)) || fail "$(connections) of $clients clients have connected"
        done
        sleep "$held_up"
        kill -CONT "$manager"
        failed=0
        for pid in "${pids[@]}"; do
            status=0
            wait "$pid" || status=$?
            # 4: it could not reach the manager.
            [[ $status == 0 || $status == 4 ]] || fail "a client ended with status $status"
            ((status == 0)) || ((failed += 1))
        done
        kill -0 "$manager" || fail "the manager has died; it was held up for $held_up s"
        echo "held up for $held_up s: $failed of $clients clients did not reach the manager in time"
        patience=$((SECONDS + 60))
        until timeout 20 ddict put key value 2>/dev/null; do
            ((SECONDS < patience)) || fail "no new client reaches the manager"
        done
        [[ $(timeout 20 ddict get key) == value ]] || fail "the value has gone"
    done
}
export -f fail connections crowd
ddict-launch --total-mem 16M -- bash -c crowd
