#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Runs the examples on this machine and compares what they print.  usage: examples_test.sh BUILD_DIRECTORY EXAMPLES [PYTHON]
set -u -o pipefail

build=$1
source=$2
python=${3-}
unset DDICT_HANDLE "${!DDICT_LAUNCH@}"
PATH=$build/bin:$PATH
failures=0

state=$(mktemp -d)
export DDICT_STATE_DIR=$state DDICT_QUIET=1 # what is printed is compared as a whole
text=$(mktemp)
trap 'rm -rf -- "$state" "$text"' EXIT

# expect WHAT PATTERN COMMAND...: ends with status 0 and prints what the bash pattern says
expect() {
  local what=$1 pattern=$2 output status
  shift 2
  output=$(timeout 60 "$@" 2>&1 </dev/null)
  status=$?
  # shellcheck disable=SC2053  # a pattern is wanted
  if [[ $status != 0 || $output != $pattern ]]; then
    printf 'FAILED: %s: status %s, printed:\n%s\n' "$what" "$status" "$output"
    failures=$((failures + 1))
  else
    printf 'ok: %s\n' "$what"
  fi
}

with_dictionary=(ddict-launch --managers-per-node 2 --total-mem 128M --)
example() {
  local what=$1 pattern=$2 program=$3
  shift 3
  expect "$what" "$pattern" "${with_dictionary[@]}" "$build/examples/$program" "$@"
}

three_lines=$'Storing key:Hello and value:Dragon from client id:1 into the dictionary
Retrieving value:Dragon for key:Hello for client id:2 from the dictionary
Done here. Closing the Distributed Dictionary'
small=(--num_nodes 1 --managers_per_node 2 --total_mem_size 0.125)
expect "the first program" "$three_lines" "$build/examples/distributed_dict_client" "${small[@]}"
if [[ -n $python ]]; then
  export PYTHONPATH=$build/python
  expect "the first program in Python" "$three_lines" "$python" "$source/distributed_dict_client.py" "${small[@]}"
fi

example guide $'*count/be: 2*nobody is not there*all tasks done' guide
example array_store "a field of 50 x 40 x 70 in 60 blocks" array_store
example c_client $'Dragon\nnobody is not there\npi is 3.14159\n2 x 3, the last is 5\n0 visits before this one\n*42*' c_client
if [[ -x $build/examples/fortran_client ]]; then
  example fortran_client $'Dragon\n2 x 3, the last is 6.0\n0 visits before this one\nnobody is not there' fortran_client
fi
expect shell.sh $'Dragon\n1 2 3\n0.3333333333333333\n{"low":0.5,"high":2.5}\n1\nnobody did not come in time\na key of two lines\nwhat a program finds under the integer 42\n42
run/1/energy\t1.5\nrun/2/energy\t2.5\n2 pairs\nit is gone\n8
Hello\nfourth\nlimits\nnumbers\nrun/2/energy\nthird\ntwo\\\\x0alines\nvisits\n1' bash "$source/shell.sh"
for ((i = 0; i < 100; ++i)); do
  echo "the dragon and the dictionary"
  ((i % 2 == 0)) && echo "The dragon."
done >"$text"
counts=$'250 the\n150 dragon\n100 and\n100 dictionary'

example "word count, one process" "$counts" word_count "$text"
# Four processes as srun would start them.
# shellcheck disable=SC2016  # to be expanded inside
expect "word count, four processes" "$counts" "${with_dictionary[@]}" bash -c '
  for i in 1 2 3 0; do SLURM_PROCID=$i SLURM_NTASKS=4 "$0" "$1" & done
  wait' "$build/examples/word_count" "$text"
example "producer and consumers" "results 200, their sum 19900, left 0" producer_consumer
# shellcheck disable=SC2016
expect "producer and consumer as processes" "consumed 4950" "${with_dictionary[@]}" bash -c '
  "$0" consume 100 & "$0" produce 100; wait' "$build/examples/producer_consumer"
example "parameter server" "y = 3 x - 1" parameter_server
best=$(awk 'BEGIN { for (n = 0; n < 1000; n += 2) { v = 300 + 200 * sin(n); printf "%d %.0f\n", n, (1 + n % 7) * v * v / 2 } }' |
  sort -k2,2nr | head -n 10)
example "filter" "$best" filter
example "primes" $'task 0 is done; 0 of its blocks were there\n78498 primes below 1000000' primes 1000000
# shellcheck disable=SC2016
expect "primes, stopped and going on" $'task 0 is done; * of its blocks were there\n664579 primes below 10000000' "${with_dictionary[@]}" bash -c '
  "$0" 10000000 & until (($(ddict size) > 3)); do :; done
  kill -USR2 $!; wait $!; status=$?
  ((status == 75)) && "$0" 10000000' "$build/examples/primes"
# All see the same numbers, and stop at the same step.
# shellcheck disable=SC2016
expect "pi by chance, four clients" $'4 pi is 3.1* after *[0-9] steps' ddict-launch --managers-per-node 2 --total-mem 16M \
  --working-set 2 --wait-for-keys -- bash -c '
  for i in 3 2 1 0; do "$0" 4 "$i" & done | sed "s/client .: //" | uniq -c | sed "s/^ *//"' "$build/examples/monte_carlo_pi"
# In memory that is smaller than all steps, on one manager and dealt out over two.
for size in "256M 1" "256M 2" "300M 2"; do
  read -r memory managers <<<"$size"
  # shellcheck disable=SC2016
  expect "a pipeline in $memory of $managers managers" $'step 0: 1\nstep 1: 2001\nstep 2: 4001\nstep 3: 6001\nstep 4: 8001\nstep 5: 10001' \
    ddict-launch --managers-per-node "$managers" --total-mem "$memory" -- bash -c '
    "$0" simulate 0 2 6 & first=$!
    "$0" simulate 1 2 6 & second=$!
    "$0" analyse 2 6 && wait "$first" && wait "$second"' "$build/examples/in_situ"
done
[[ -z $(ls -A "$state") ]] || {
  echo "FAILED: something is left in the state directory"
  failures=$((failures + 1))
}
((failures == 0))
