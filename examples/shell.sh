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

ddict size
ddict keys | LC_ALL=C sort
ddict keys -0 | xargs -0 ddict del --
ddict stats --json | grep -c '"manager"'
