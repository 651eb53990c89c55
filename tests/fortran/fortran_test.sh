#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# usage: fortran_test.sh BUILD-DIRECTORY [PYTHON]
# The Fortran module: each call, and values that Fortran, C++ and Python read from each other.

set -euo pipefail

build=$1 python=${2-}
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export PATH=$build/bin:$build/tests:$PATH PYTHONPATH=$build/python

fail() {
  printf 'fortran_test: %s\n' "$*" >&2
  exit 1
}

[[ $(fortran_languages structures) = "$(languages_partner structures)" ]] ||
  fail "the structures of C are $(languages_partner structures), in Fortran $(fortran_languages structures)"

with_dictionary() { ddict-launch --managers-per-node 2 --total-mem 32M -- "$@" </dev/null; }

[[ $(with_dictionary fortran_calls) = "all calls" ]] || fail "fortran_calls"

status=0
output=$(with_dictionary fortran_calls without 2>&1) || status=$?
[[ $status = 1 && $output = *"ERROR STOP ddict: "*nobody*not_found* ]] || fail "an error without stat=: status $status, $output"

for locality in 1 0; do # by shared memory, and by messages
  DDICT_LOCAL_READS=$locality with_dictionary bash -euc '
    fortran_languages write
    languages_partner values
    fortran_languages read cpp
    if [[ -n $1 ]]; then
      "$1" -B "$2/languages.py"
      fortran_languages read python
    fi' bash "$python" "$here" || fail "the languages do not read each other's values"
done
