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
  check "help without dashes" 0 "usage: ddict*put KEY VALUE*stats*Exit status*" ddict help
  check "help of a command" 0 "usage: ddict put KEY VALUE*" ddict help put
  check "help of what is no command" 2 "ddict: there is no command 'fly'; see ddict --help" ddict help fly
  check "no command" 2 "ddict: no command was given; see ddict --help" ddict
  check "unknown command" 2 "ddict: there is no command 'fly'; see ddict --help" ddict fly
  check "version" 0 "ddict [0-9]*" ddict --version
  check "unknown option" 2 "ddict: *see ddict --help" ddict --fly size
  check "wrong number of arguments" 2 "ddict: put takes KEY VALUE, not 1 word; see ddict put --help" ddict put only-a-key
  check "no dictionary" 2 "ddict: attach: not_attached*ddict-launch*" env -u DDICT_HANDLE ddict size
  check "no dictionary for top" 2 "ddict: attach: not_attached*ddict-launch*" env -u DDICT_HANDLE ddict top
  check "garbage for a handle" 2 "ddict: attach: bad_handle*" ddict --handle garbage size
  kept=$(mktemp -d)
  check "a command, and then saved" 0 "saved $kept/default/000001: 1 pair, *" \
    ddict-launch --total-mem 16M --save "$kept" -- ddict put Hello Dragon
  check "loaded, and then a command" 0 "loaded $kept/default/000001: 1 pair, *Dragon*" \
    ddict-launch --managers-per-node 3 --total-mem 16M --load "$kept" -- ddict get Hello
  check "loaded, failed, and saved" 1 "loaded *not_found*saved $kept/default/000002: 1 pair, *" \
    ddict-launch --total-mem 16M --load "$kept" --save "$kept" -- ddict get nobody
  check "what cannot be loaded" 1 "ddict: load: not_found: *" ddict-launch --total-mem 16M --load "$kept/none" -- echo never
  check "what cannot be saved" 1 "ddict-launch: cannot save to $kept/no/such: No such file*" ddict-launch --total-mem 16M --save "$kept/no/such" -- true
  check "no command to load for" 2 "*--load belongs to: ddict-launch -- COMMAND*" ddict-launch start --load "$kept"
  check "steps that are persisted" 0 "persisted checkpoint 0 to $kept/steps/default/000001: 1 pair, *" \
    ddict-launch --total-mem 16M --working-set 2 --persist-path "$kept/steps" -- sh -c 'ddict put Hello Dragon && ddict persist'
  check "a command that begins with one" 0 "restored checkpoint 0 from $kept/steps/default/000001: 1 pair, *Dragon*" \
    ddict-launch --managers-per-node 3 --total-mem 16M --persist-path "$kept/steps" --restore-from 0 -- ddict get Hello
  check "one that is not there" 1 "ddict: restore: not_found: checkpoint 4 is not in $kept/steps/default, which has 0*" \
    ddict-launch --total-mem 16M --persist-path "$kept/steps" --restore-from 4 -- echo never
  check "in one command" 0 $'persisted*000002*persisted*000003*0\nrestored checkpoint 0 from *000003*again*' \
    ddict-launch --total-mem 16M --persist-path "$kept/steps" --persist-count 1 -- sh -c '
      ddict put Hello again && ddict persist && ddict persist --checkpoint 0 && ddict persisted-ids &&
      ddict put Hello later && ddict restore 0 && ddict get Hello'
  check "what stays" 0 $'*/000003\tcommitted\t*\tcheckpoint 0' ddict checkpoint ls "$kept/steps"
  check "one that is read-only" 6 $'restored checkpoint 0 from *frozen*read-only*' \
    ddict-launch --total-mem 16M --persist-path "$kept/steps" --restore-from 0 --read-only -- ddict put Hello never
  check "which goes on to the next, of which there is none" 1 $'restored checkpoint 0 from *: not_found: no checkpoint after 0 *' \
    ddict-launch --total-mem 16M --persist-path "$kept/steps" --restore-from 0 --read-only -- ddict advance
  check "and then there is one" 0 $'restored checkpoint 0 *persisted checkpoint 3 *restored checkpoint 3 *later*' \
    ddict-launch --name default --total-mem 16M --persist-path "$kept/steps" --restore-from 0 --read-only -- sh -c '
      ddict-launch --total-mem 16M --persist-path "$0" -- sh -c "ddict put Hello later && ddict persist --checkpoint 3" &&
      ddict advance && ddict get Hello' "$kept/steps"
  check "nowhere to persist to" 2 "ddict: persist: invalid_argument: this dictionary has no persist path*" \
    ddict-launch --total-mem 16M -- ddict persist
  check "an id that is none" 2 "ddict: the id of a checkpoint is a number from 0 to *, not 'x'*" ddict restore x
  rm -r "$kept"
  ddict-launch --managers-per-node 2 --total-mem 16M -- bash "$0" "$bin" inside || failures=$((failures + 1))
  ((failures == 0))
  exit
fi

check "get of a missing key" 1 "ddict: get of key 'Hello' on manager ?*not_found" ddict get Hello
check "put" 0 "" ddict put Hello Dragon
check "get" 0 "Dragon" ddict get Hello
check "a value that begins with a dash" 0 "" ddict put dash -5
check "and its value" 0 "-5" ddict get dash
check "info" 0 $'text\t6' ddict info Hello
check "info of a missing key" 1 "ddict: info of key 'nobody' on manager ?*not_found" ddict info nobody
check "the type of a missing key" 1 "ddict: get of key 'nobody' on manager ?*not_found" ddict get --type nobody
check "size" 0 "2" ddict size
check "del" 0 "" ddict del dash
check "del of a missing key" 1 "ddict: del of key 'dash' on manager ? (?*): not_found" ddict del dash
check "del of several that are missing" 1 "ddict: del of key 'dash'*not_found"$'\n'"ddict: del of key 'dosh'*not_found" ddict del dash dosh
check "del names a long key whole" 1 "ddict: del of key '$(printf '%100s' x | tr ' ' y)' on manager *" ddict del "$(printf '%100s' x | tr ' ' y)"
check "something to remove" 0 "" ddict put dish 1
check "del of an empty key beside others" 2 "ddict: del of key '' on manager *: invalid_argument: the key is empty" ddict del "" dish
check "which removes the others" 1 "*not_found" ddict get dish
check "del of an empty key beside one that is missing" 2 "*''*invalid_argument*"$'\n'"*'dish'*not_found" ddict del "" dish
check "a counter has no other type" 2 "ddict: unknown option '--text' of incr*" ddict incr counter --text
check "an empty key" 2 "*invalid_argument*" ddict put "" x
check "a long key" 2 "*too_large*1025*1024*shorter key*" ddict put "$(printf '%1025s' x)" x
check "a key with a tab" 0 "" ddict put $'a\tb' x
check "keys" 0 $'*a\\\\x09b*' ddict keys
check "keys with a prefix" 0 "Hello" ddict keys He
check "keys with a prefix that none has" 0 "" ddict keys nobody
check "items" 0 $'Hello\tDragon' ddict items He
check "incr" 0 "1" ddict incr counter
check "incr by" 0 "-9" ddict incr counter -10
check "wait for a counter" 0 "" ddict wait counter -9 --timeout 5
check "wait for a counter that times out" 3 "*timeout*did not take the value*" ddict wait counter 9 --timeout 0.1
check "incr by what is no number" 2 "*whole number*" ddict incr counter x
check "incr of a text" 2 "ddict: incr of key 'Hello'*wrong_type*'ddict put --int KEY N' stores one" ddict incr Hello
check "get of a number" 0 "-9" ddict get counter
check "items of numbers" 0 $'counter\t-9' ddict items counter
check "pop" 0 "-9" ddict pop counter
check "pop of a missing key" 1 "*pop of key 'counter'*not_found*" ddict pop counter
check "wait for what is there" 0 "Dragon" ddict wait Hello
check "wait for a value that is there" 0 "" ddict wait Hello Dragon
check "wait for any key" 0 "Hello" ddict wait --any nobody Hello
check "wait for any key that times out" 3 "ddict: wait: timeout: none of the 2 keys 'nobody', 'noone' appeared in time; their managers *" \
  ddict wait --any nobody noone --timeout 0.1
check "wait for any key until one comes" 0 "later" \
  bash -c "ddict wait --any nobody later --timeout 20 & ddict put later later; wait"
check "del what came" 0 "" ddict del later
check "wait for any key and a type" 2 "ddict: with --any, wait prints a key*" ddict wait --any --int a b
check "wait for too many words" 2 "ddict: wait takes KEY [[]VALUE], or --any KEY..., not 3 words; *" ddict wait a b c
check "wait for nothing" 2 "ddict: wait takes KEY [[]VALUE], or --any KEY..., not 0 words; *" ddict wait
check "wait for a value of another type" 3 "*did not take the value in time: it has one of type text, not int64, *" \
  ddict wait Hello --int 5 --timeout 0.1
check "wait that times out" 3 "ddict: wait of key 'nobody'*timeout*did not appear*" ddict wait nobody --timeout 0.1
check "wait for a value that times out" 3 "*timeout*did not take the value*" ddict --timeout 0.1 wait Hello World
check "wait with a timeout left out" 2 "*--timeout*" ddict wait Hello --timeout
check "wait with a bad timeout" 2 "*--timeout*" ddict wait Hello --timeout 0
check "wait until another one puts" 0 "later" \
  bash -c "ddict wait later --timeout 20 & ddict put later later; wait"
check "del what was waited for" 0 "" ddict del later
check "freeze" 0 "" ddict freeze
check "a frozen dictionary" 6 "*put of key 'x'*frozen*unfreeze*" ddict put x y
check "unfreeze" 0 "" ddict unfreeze
check "and it is thawed" 0 "" ddict put x y
check "health" 0 "manager 0 on *: alive, * us"$'\n'"manager 1 on *: alive, * us" ddict health
check "health takes no argument" 2 "*no argument*" ddict health now
check "stats" 0 "manager *node *keys *pool *used *free *largest *sess *wait *rej *transport*manager *operation *count *p50 *p99 *max*put *" ddict stats
check "top, where there is no terminal" 0 "ddict top*2 managers on 1 node  all alive*MGR NODE*OPERATION*" ddict top --interval 0.1
check "top with an interval that is none" 2 "*--interval*" ddict top --interval often
check "top takes nothing else" 2 "*top takes no argument*" ddict top now
check "a timeout that is none" 2 "*--timeout*" ddict --timeout -1 size

head -c 300000 /dev/urandom >"${TMPDIR:-/tmp}/ddict_tool_test.$$"
check "a value from standard input" 0 "" bash -c "ddict put big - <'${TMPDIR:-/tmp}/ddict_tool_test.$$'"
check "comes back as it was" 0 "" bash -c "ddict get big | cmp - '${TMPDIR:-/tmp}/ddict_tool_test.$$'"
rm -f "${TMPDIR:-/tmp}/ddict_tool_test.$$"
check "a standard input that is closed" 6 "*cannot read the standard input*" bash -c "ddict put Hello - <&-"
check "a standard input that is a folder" 6 "*cannot read the standard input*" bash -c "ddict put Hello - </"
check "and what was there stays" 0 "Dragon" ddict get Hello
check "an output that cannot be written" 6 "*cannot write*" bash -c "ddict get Hello >/dev/full"
check "help that cannot be written" 6 "*cannot write*" bash -c "ddict --help >/dev/full"

figures='import json, sys; s = json.load(sys.stdin); m = s["managers"]
print(len(m), m[0]["manager"], m[1]["node"], m[1]["alive"], m[1].get("round_trip_ns", 0) > 0, "keys" in m[0], "keys" in m[1], s["client"]["threads"])'
check "stats --json is JSON" 0 "2 0 * True True True True 1" bash -c "ddict stats --json | python3 -c '$figures'"
hung=$(ddict stats --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["managers"][1]["pid"])')
kill -STOP "$hung"
check "stats with a manager that hangs" 5 "manager *"$'\n'"      0  *"$'\n'"      1 * no answer: timeout: *" \
  ddict --timeout 0.5 stats
check "health with a manager that hangs" 5 "manager 0 on *: alive, * us"$'\n'"manager 1 on *: timeout: no connection *" \
  ddict --timeout 0.5 health
check "keys with a manager that hangs" 5 "*ddict: incomplete: keys of prefix 'key' on manager 1 (*): timeout: *" ddict --timeout 0.5 keys key
check "top with a manager that hangs" 5 "ddict top*  1 SILENT*   1 * SILENT for * s: timeout: *" \
  ddict top --interval 0.1
check "the same for programs" 0 "2 0 * False False True False 1" bash -c "ddict --timeout 0.5 stats --json | python3 -c '$figures'"
kill -CONT "$hung"
check "keys to be cleared" 0 "" bash -c "ddict put gone/1 x && ddict put gone/2 x"
check "size of a prefix" 0 "2" ddict size gone/
check "size of a prefix that none has" 0 "0" ddict size nobody
check "clear of a prefix" 0 "2" ddict clear gone/
check "clear of a prefix that none has" 0 "0" ddict clear gone/
check "and the others are there" 0 "Dragon" ddict get Hello
check "clear of an empty prefix" 2 "ddict: an empty PREFIX would remove all pairs*" ddict clear ""
check "freeze once more" 0 "" ddict freeze
check "clear of a prefix that is frozen" 6 "ddict: clear of prefix 'gone/' on manager ?*frozen*" ddict clear gone/
check "and thaw" 0 "" ddict unfreeze
saved=$(mktemp -d)
size=$(ddict size)
check "save" 0 "saved $saved/default/000001: $size pairs, * MiB, * s" ddict save "$saved"
check "a key that comes" 0 "" ddict put comes later
check "save once more" 0 "saved $saved/default/000002: *" ddict save "$saved"
check "checkpoint ls" 0 "$saved/default/000001"$'\t'"committed"$'\t'"*$saved/default/000002"$'\t'"committed"$'\t'"*" \
  ddict checkpoint ls "$saved"
check "checkpoint info" 0 "*dictionary  default"$'\n'"generation  2"$'\n'"checkpoint  0"$'\n'"managers    2"$'\n'"*" ddict checkpoint info "$saved"
check "checkpoint verify" 0 "whole: $saved/default/000002: *" ddict checkpoint verify "$saved"
check "checkpoint cat" 0 $'*Hello\tDragon*' ddict checkpoint cat "$saved/default/000001"
check "checkpoint diff" 1 "+ comes" ddict checkpoint diff "$saved/default/000001" "$saved/default/000002"
check "checkpoint diff with itself" 0 "" ddict checkpoint diff "$saved" "$saved"
check "checkpoint rm" 0 "" ddict checkpoint rm "$saved/default/000002"
check "checkpoint rm of all" 2 "ddict: invalid_argument: *name the folder of one*" ddict checkpoint rm "$saved"
check "clear" 0 "" ddict clear
check "size after clear" 0 "0" ddict size
check "load, with nobody else there" 0 "loaded $saved/default/000001: $size pairs, *" ddict load --exclusive "$saved"
check "all of it" 0 "$size" ddict size
check "load" 0 "loaded $saved/default/000001: $size pairs, *" ddict load "$saved"
check "and what was saved" 0 "Dragon" ddict get Hello
check "and not what came later" 1 "*not_found*" ddict get comes
check "save, and keep two" 0 "saved $saved/default/000002: *" ddict save --keep 2 "$saved"
check "once more" 0 "saved $saved/default/000003: *" ddict save --keep 2 "$saved"
check "the two" 0 $'*/000002\tcommitted*/000003\tcommitted*' ddict checkpoint ls "$saved"
check "save, compressed" 0 "saved $saved/default/000004: *" ddict save --compress "$saved"
check "and whole" 0 "*" ddict checkpoint verify "$saved/default/000004"
ddict checkpoint rm "$saved/default/000004"
check "save, as a variable says that is none" 2 "ddict: save: invalid_argument: DDICT_COMPRESS is 'yes': 0 or 1*" env DDICT_COMPRESS=yes ddict save "$saved"
check "save, and keep none" 2 "ddict: --keep takes a number*" ddict save --keep 0 "$saved"
check "save, given up" 3 "ddict: save: timeout: *" ddict save --until-input-ends "$saved" </dev/null
check "which leaves nothing" 0 $'*/000002\tcommitted*/000003\tcommitted*' ddict checkpoint ls "$saved"
check "no folder is left" 1 "" test -e "$saved/default/000004"
check "load the latest" 0 "loaded $saved/default/000003: *" ddict load --latest "$saved"
check "load the latest where there is none" 0 "nothing has been saved yet to $saved/none/default: nothing is loaded" \
  ddict load --latest "$saved/none"
rm "$saved/default/000003/manager-000001.ddict"
check "load the latest where that is broken" 0 "ddict: passes over $saved/default/000003: *not there*loaded $saved/default/000002: *" \
  ddict load --latest "$saved"
printf x >>"$saved/default/000002/commit"
check "load the latest where all are broken" 6 "*passes over *000003: *passes over *000002: *ddict: load: protocol: *" \
  ddict load --latest "$saved"
rm -r "${saved:?}"/*
check "save anew" 0 "saved $saved/default/000001: *" ddict save "$saved"
printf x >>"$saved/default/000001/manager-000001.ddict"
check "load of a damaged one" 6 "ddict: load: protocol: *manager-000001.ddict: damaged: *" ddict load "$saved"
check "verify of a damaged one" 6 "ddict: protocol: *manager-000001.ddict: damaged: *" ddict checkpoint verify "$saved"
check "load of what is not there" 1 "ddict: load: not_found: *" ddict load "$saved/none"
check "what checkpoint does not do" 2 "ddict: there is no 'checkpoint fly'*" ddict checkpoint fly "$saved"
rm -r "$saved"
check "restart" 0 "" ddict restart 0
check "and nothing is lost" 0 "Dragon" ddict get Hello
check "stats after a restart" 0 "*  restarted 1x*" ddict stats
check "restart of none" 2 "ddict: restart on manager 99: invalid_argument: *" ddict restart 99
check "restart of what is no number" 2 "ddict: 'x' is not the number of a manager*" ddict restart x
check "output that cannot be written" 6 "*standard output*" bash -c "ddict size >/dev/full"
check "destroy" 0 "" ddict destroy
check "after destroy" 4 "*dictionary_gone*" ddict size
((failures == 0))
