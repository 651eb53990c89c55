#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# The dictionary from a shell script. Needs ddict-launch and ddict in PATH.
set -euo pipefail

eval "$(ddict-launch start --total-mem 64M --export)"
trap 'ddict-launch stop' EXIT

ddict put Hello Dragon
ddict get Hello && echo

ddict put numbers - <<<"1 2 3"
ddict get numbers

ddict put third --double 0.3333333333333333 # a number, for programs too: get<double>("third")
ddict put fourth --double "$(ddict get third)"
ddict get fourth && echo

ddict put --json limits '{"low": 0.5, "high": 2.5}' # get<std::map<std::string, double>>("limits")
ddict get --json limits
ddict put --json visits 0
ddict incr visits

status=0
ddict wait nobody --timeout 0.1 2>/dev/null || status=$?
case $status in
0) echo "nobody is there" ;;
3) echo "nobody did not come in time" ;;
*) exit "$status" ;;
esac

ddict put $'two\nlines' "a key of two lines"
ddict keys two | while IFS= read -r key; do
  ddict get --escaped -- "$key" && echo
done

ddict put --key-type int 42 "what a program finds under the integer 42"
ddict get --key-type int 42 && echo
ddict keys --key-type int
ddict del --key-type int 42

ddict put run/1/energy 1.5
ddict put run/2/energy 2.5
ddict keys run/ --sort | ddict get --stdin
ddict items run/ --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)), "pairs")'
ddict keys run/1/ | ddict del --stdin
ddict has run/1/energy || echo "it is gone"

ddict size
ddict keys --sort
ddict keys | ddict del --stdin
ddict stats --json | grep -c '"manager"'
