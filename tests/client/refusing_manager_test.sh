#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# A manager that lives and has no file descriptor left for more clients of its node: they are told so, at their deadline
# and not before, and nobody takes it for gone. Where there would be none from the start, it does not come up.
# Argument: the folder of the programs.
set -euo pipefail
PATH=$1:$PATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export folder
fail() { echo "refusing_manager_test: $*" >&2; exit 1; }

crowd() {
    local i holders=()
    for ((i = 0; i < 70; i++)); do
        ddict wait never --timeout 30 >/dev/null 2>"$folder/holder.$i" &
        holders+=($!)
    done
    # Until there is no more capacity.
    for ((i = 0; i < 100; i++)); do
        ddict put key value --timeout 1 2>"$folder/refused" || break
        sleep 0.1
    done
    for ((i = 0; i < 100; i++)); do
        ! grep -qs "a connection was refused" "$folder/log" || break
        sleep 0.1
    done
    kill "${holders[@]}" 2>/dev/null || true
    wait "${holders[@]}" 2>/dev/null || true
    ddict put key value --timeout 30
}
export -f crowd
( ulimit -n 64 -c 0 && exec ddict-launch --total-mem 16M --managers-per-node 1 -- bash -c crowd ) 2>"$folder/log" ||
    fail "with 64 descriptors: $(tail -3 "$folder/log")"
[[ -s $folder/refused ]] || fail "no client was refused"
grep -q "busy: .*its process lives.*ulimit -n" "$folder/refused" || fail "what is said: $(<"$folder/refused")"
if grep -El "dictionary_gone|manager_lost" "$folder"/holder.* "$folder/refused"; then fail "a manager that lives is called lost"; fi
grep -q "a connection was refused: .*ulimit -n" "$folder/log" || fail "no word in the log: $(<"$folder/log")"

for limit in 24 28 32 36 40; do
    status=0
    ( ulimit -n $limit && exec ddict-launch --total-mem 16M -- ddict size --timeout 10 ) >"$folder/out" 2>&1 || status=$?
    ((status == 0)) || grep -q "ulimit -n" "$folder/out" || fail "with $limit descriptors: $(<"$folder/out")"
    grep -Eq "dictionary_gone|timeout|busy" "$folder/out" && fail "with $limit descriptors it came up all the same: $(<"$folder/out")"
done
exit 0
