#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# The examples that need nothing but a dictionary on this machine.
# usage: examples_test.sh BIN_DIRECTORY EXAMPLES_DIRECTORY
set -u -o pipefail

PATH=$1:$PATH
examples=$2
failures=0
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# check WHAT EXPECTED_OUTPUT COMMAND...: run under ddict-launch, with two managers
check() {
  local what=$1 expected=$2 output
  shift 2
  if output=$(timeout 60 ddict-launch --managers-per-node 2 --total-mem 32M -- "$@" 2>&1 </dev/null) &&
    [[ $output == "$expected" ]]; then
    printf 'ok: %s\n' "$what"
  else
    printf 'FAILED: %s\n  output:   %s\n  expected: %s\n' "$what" "$output" "$expected"
    failures=$((failures + 1))
  fi
}

for ((i = 0; i < 100; ++i)); do
  echo "the dragon and the dictionary"
  ((i % 2 == 0)) && echo "The dragon."
done >"$scratch/text"
counts=$'250 the\n150 dragon\n100 and\n100 dictionary'

check "word count, one process" "$counts" "$examples/word_count" "$scratch/text"
# Four processes as srun would start them.
# shellcheck disable=SC2016  # to be expanded inside
check "word count, four processes" "$counts" bash -c '
  for i in 1 2 3 0; do SLURM_PROCID=$i SLURM_NTASKS=4 "$0" "$1" & done
  wait' "$examples/word_count" "$scratch/text"
check "producer and consumers" "results 200, their sum 19900, left 0" "$examples/producer_consumer"
# shellcheck disable=SC2016
check "producer and consumer as processes" "consumed 4950" bash -c '
  "$0" consume 100 & "$0" produce 100; wait' "$examples/producer_consumer"
check "parameter server" "y = 3 x - 1" "$examples/parameter_server"
best=$(awk 'BEGIN { for (n = 0; n < 1000; n += 2) { v = 300 + 200 * sin(n); printf "%d %.0f\n", n, (1 + n % 7) * v * v / 2 } }' |
  sort -k2,2nr | head -n 10)
check "filter" "$best" "$examples/filter"
((failures == 0))
