#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Runs the examples on this machine and compares what they print.  usage: examples_test.sh BUILD_DIRECTORY EXAMPLES
set -u -o pipefail

build=$1
source=$2
unset DDICT_HANDLE "${!DDICT_LAUNCH@}"
PATH=$build/bin:$PATH
failures=0

state=$(mktemp -d)
export DDICT_STATE_DIR=$state
trap 'rm -rf -- "$state"' EXIT

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

with_dictionary() { ddict-launch --managers-per-node 2 --total-mem 128M -- "$build/examples/$1"; }
export -f with_dictionary
export build

expect guide $'*count/be: 2*nobody is not there*all tasks done' bash -c 'with_dictionary guide'
expect array_store "a field of 50 x 40 x 70 in 60 blocks" bash -c 'with_dictionary array_store'
expect c_client $'Dragon\nnobody is not there\n2 x 3, the last is 5\n0 visits before this one\n3 keys' \
  bash -c 'with_dictionary c_client'
expect shell.sh $'Dragon\n1 2 3\nnobody is not there\n2\nHello\nnumbers\n1' bash "$source/shell.sh"
[[ -z $(ls -A "$state") ]] || {
  echo "FAILED: something is left in the state directory"
  failures=$((failures + 1))
}
((failures == 0))
