#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# In place of ddict-manager (DDICT_MANAGER_PROGRAM): every second manager of a node is as one of another node
# for all others. They reach it over the loopback network only.
for ((i = 1; i < $#; i++)); do
  if [[ ${!i} == --pool ]]; then
    value=$((i + 1))
    pool=${!value}
  fi
done
# As if starting took long.
while [[ -e ${DDICT_TEST_HOLD_STARTS-} ]]; do sleep 0.05; done
if ((${pool##*-m} % 2 == 1)); then export DDICT_SAME_HOST=0; fi
exec "$DDICT_REAL_MANAGER" "$@"
