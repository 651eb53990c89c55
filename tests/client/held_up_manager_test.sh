#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Many clients connect at once, over TCP, to a manager that does not run for a while: some give up a connection and
# make another meanwhile, some give up for good. The manager lives, and serves nearly all of a crowd that finds it
# running. Argument: the folder of the programs.
set -euo pipefail
# shellcheck source=tests/client/own_network.sh
source "$(dirname "$0")/own_network.sh"
export DDICT_SAME_HOST=0 UCX_NET_DEVICES=lo clients=32

# What the kernel has accepted for the manager.
connections() { ss --tcp --numeric --no-header state established "sport = :$port" | wc -l; }
begin_all() {
    local i
    pids=()
    for ((i = 0; i < ${1:-clients}; i++)); do
        timeout 60 ddict put "key $i" value 2>/dev/null &
        pids+=($!)
    done
}
# Counts those that did not reach the manager.
await_all() {
    failed=0
    for pid in "${pids[@]}"; do
        status=0
        wait "$pid" || status=$?
        # 4: it could not reach the manager.
        [[ $status == 0 || $status == 4 ]] || fail "a client ended with status $status"
        ((status == 0)) || ((failed += 1))
    done
}
crowd() {
    set -e
    local manager pids pid deadline failed status attempt
    manager=$(pgrep -x ddict-manager)
    port=$(ss --tcp --listening --numeric --processes | awk '/ddict-manager/ {sub(/.*:/, "", $4); print $4; exit}')
    for held_up in 0 0.4 1 2.5; do
        kill -STOP "$manager"
        begin_all
        deadline=$((SECONDS + 30))
        until (($(connections) >= clients / 2)); do
            ((SECONDS < deadline)) || fail "$(connections) of $clients clients have connected"
        done
        sleep "$held_up"
        kill -CONT "$manager"
        await_all
        kill -0 "$manager" || fail "the manager has died; it was held up for $held_up s"
        echo "held up for $held_up s: $failed of $clients clients did not reach the manager in time"
        deadline=$((SECONDS + 60))
        until timeout 20 ddict put key value 2>/dev/null; do
            ((SECONDS < deadline)) || fail "no new client reaches the manager"
        done
        [[ $(timeout 20 ddict get key) == value ]] || fail "the value has gone"
        # Each client waits long enough for what a crowd costs the manager, if the processors are this crowd's: a host
        # that is busy otherwise may take a second one. What the crowds before have spoilt would stay so.
        for attempt in 1 2 3 4; do
            begin_all $((2 * clients))
            await_all
            ((failed > clients / 8)) || break
            echo "$failed of $((2 * clients)) clients did not reach a manager that runs"
            ((attempt < 4)) || fail "no crowd reaches a manager that was held up for $held_up s"
        done
    done
}
export -f connections begin_all await_all crowd
ddict-launch --total-mem 16M -- bash -c crowd
