#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# usage: killed_test.sh PROGRAM CORPUS
# A fuzzer that is killed in the middle of its work leaves nothing in /dev/shm.
set -euo pipefail

before=$(ls /dev/shm)
"$1" -max_total_time=60 "$2" >/dev/null 2>&1 &
fuzzer=$!
# It has begun when it has connected to itself.
for ((i = 0; i < 600; ++i)); do
  if (($(find "/proc/$fuzzer/fd" -lname 'socket:*' 2>/dev/null | wc -l) >= 2)); then break; fi
  sleep 0.05
done
((i < 600)) || { echo "it does not begin" && exit 1; }
kill -KILL "$fuzzer"
wait "$fuzzer" 2>/dev/null || true
[[ $(ls /dev/shm) = "$before" ]] || { ls -l /dev/shm && exit 1; }
