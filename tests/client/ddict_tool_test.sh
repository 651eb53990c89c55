#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# The command line tool ddict, under ddict-launch on this machine.  usage: ddict_tool_test.sh BIN_DIRECTORY
set -u -o pipefail

bin=$1
PATH=$bin:$PATH
failures=0

# check WHAT EXPECTED_STATUS EXPECTED_OUTPUT COMMAND...: EXPECTED_OUTPUT is a bash pattern for stdout and stderr
check() {
  local what=$1 status=$2 pattern=$3 output got
  shift 3
  output=$("$@" 2>&1 </dev/null)
  got=$?
  # shellcheck disable=SC2053  # a pattern is wanted
  if [[ $got != "$status" || $output != $pattern ]]; then
    printf 'FAILED: %s\n  status %s, expected %s\n  output:   %s\n  expected: %s\n' \
      "$what" "$got" "$status" "$output" "$pattern"
    failures=$((failures + 1))
  else
    printf 'ok: %s\n' "$what"
  fi
}

if [[ ${2:-} != inside ]]; then
  check "help" 0 "usage: ddict*put KEY VALUE*stats*Exit status*" ddict --help
  check "no command" 2 "ddict: *see ddict --help" ddict
  check "unknown command" 2 "ddict: *see ddict --help" ddict fly
  check "unknown option" 2 "ddict: *see ddict --help" ddict --fly size
  check "wrong number of arguments" 2 "ddict: *takes a key and a value*" ddict put only-a-key
  check "no dictionary" 2 "ddict: attach: not_attached*ddict-launch*" env -u DDICT_HANDLE ddict size
  check "garbage for a handle" 2 "ddict: attach: bad_handle*" ddict --handle garbage size
  ddict-launch --managers-per-node 2 --total-mem 16M -- bash "$0" "$bin" inside || failures=$((failures + 1))
  ((failures == 0))
  exit
fi

check "get of a missing key" 1 "ddict: get of key 'Hello' on manager ?*not_found" ddict get Hello
check "put" 0 "" ddict put Hello Dragon
check "get" 0 "Dragon" ddict get Hello
check "a value that begins with a dash" 0 "" ddict put dash -5
check "and its value" 0 "-5" ddict get dash
check "size" 0 "2" ddict size
check "del" 0 "" ddict del dash
check "del of a missing key" 1 "*not_found*" ddict del dash
check "an empty key" 2 "*invalid_argument*" ddict put "" x
check "a long key" 2 "*too_large*1025*1024*" ddict put "$(printf '%1025s' x)" x
check "a key with a tab" 0 "" ddict put $'a\tb' x
check "keys" 0 $'*a\\\\x09b*' ddict keys
check "stats" 0 "*manager*node*keys*pool*transport*" ddict stats
check "a timeout that is none" 2 "*--timeout*" ddict --timeout -1 size

head -c 300000 /dev/urandom >"${TMPDIR:-/tmp}/ddict_tool_test.$$"
check "a value from standard input" 0 "" bash -c "ddict put big - <'${TMPDIR:-/tmp}/ddict_tool_test.$$'"
check "comes back as it was" 0 "" bash -c "ddict get big | cmp - '${TMPDIR:-/tmp}/ddict_tool_test.$$'"
rm -f "${TMPDIR:-/tmp}/ddict_tool_test.$$"

check "stats --json is JSON" 0 "2 0 *" \
  bash -c "ddict stats --json | python3 -c 'import json, sys; s = json.load(sys.stdin); print(len(s), s[0][\"manager\"], s[1][\"node\"])'"
check "clear" 0 "" ddict clear
check "size after clear" 0 "0" ddict size
check "output that cannot be written" 2 "*standard output*" bash -c "ddict size >/dev/full"
check "destroy" 0 "" ddict destroy
check "after destroy" 2 "*dictionary_gone*" ddict size
((failures == 0))
