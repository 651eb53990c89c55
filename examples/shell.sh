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

if ! ddict get nobody 2>/dev/null; then
  echo "nobody is not there"
fi

ddict size
ddict keys | sort
ddict del numbers
ddict stats --json | grep -c '"manager"'
