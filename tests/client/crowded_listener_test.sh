#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# More connections than a manager has descriptors for, by somebody who says nothing on them: it goes on to hear from new
# clients, while they stand and afterwards, and says so. Argument: the folder of the programs.
set -euo pipefail
# shellcheck source=tests/client/own_network.sh
source "$(dirname "$0")/own_network.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export DDICT_SAME_HOST=0 UCX_NET_DEVICES=lo folder
ulimit -n 64

port() { ss --tcp --listening --numeric --processes | awk '/ddict-manager/ {sub(/.*:/, "", $4); print $4; exit}'; }
# Holds 45 connections until its input ends.
hold() {
    local to=$1 fd i
    # shellcheck disable=SC2034  # never closed by hand
    for ((i = 0; i < 45; i++)); do { exec {fd}<>"/dev/tcp/127.0.0.1/$to"; } 2>/dev/null || true; done
    cat
}
# Works within the deadline, however often it is refused before.
reachable() {
    local deadline=$((SECONDS + 40))
    until timeout 20 ddict put key value 2>/dev/null; do
        ((SECONDS < deadline)) || fail "$1: no client reaches the manager any more"
    done
    [[ -n $(port) ]] || fail "$1: no listener is left"
}
crowd() {
    set -e
    reachable "at first"
    local port holders=()
    port=$(port)
    mkfifo "$folder/open"
    for _ in 1 2 3; do
        hold "$port" <"$folder/open" &
        holders+=($!)
    done
    exec 9>"$folder/open"
    reachable "beside connections that say nothing"
    ddict stats --json | grep -q '"unreachable_clients": *[1-9]' || fail "the statistics: $(ddict stats --json)"
    exec 9>&-
    wait "${holders[@]}" || true
    reachable "when they have gone"
}
export -f port hold reachable crowd
ddict-launch --total-mem 16M -- bash -c crowd 2>"$folder/log" || { cat "$folder/log"; exit 1; }
grep -q "could not be answered: .*file descriptors" "$folder/log" || { cat "$folder/log"; fail "no word in the log"; }
