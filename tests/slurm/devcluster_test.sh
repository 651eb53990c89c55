#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Tests slurm/devcluster by using it, three times: as it comes (as root with memory limits), as a user who is
# not root, and without namespaces. Prints each check; ends with 1 if one failed. What cannot be checked here
# is announced by a line "SKIPPED: reason".

set -u -o pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# As root, in namespaces of its own: what is compared before and after, nobody else changes. Its /tmp is empty but for
# this checkout, if that is there. Slurm resolves names only where something besides the loopback has an address.
own_machine() {
  local root=/dev/shm/tmp checkout
  checkout=$(readlink -f -- "$here/../..")
  ip link set lo up && ip link add own0 type veth peer name own1 && ip address add 198.18.78.1/32 dev own0 &&
    ip link set own0 up && ip link set own1 up || return
  mount -t tmpfs -o mode=755 tmpfs /dev/shm && mkdir -m 1777 "$root" || return
  if [[ $checkout = /tmp/* ]]; then
    mkdir -p "$root/${checkout#/tmp/}" && mount --bind "$checkout" "$root/${checkout#/tmp/}" || return
  fi
  mount --rbind "$root" /tmp
}
if ((EUID == 0)) && [[ ${1:-} != inside ]] && unshare --mount --net true; then
  exec unshare --mount --net "${BASH_SOURCE[0]}" inside
fi
if [[ ${1:-} = inside ]]; then
  unset TMPDIR
  own_machine || exit 1
fi

tool_source=$(readlink -f -- "$here/../../slurm")
work=$(mktemp -d "${TMPDIR:-/tmp}/devcluster-test.XXXXXX") || exit 1
chmod 755 "$work"
mkdir -m 755 "$work/tool"
cp -r -- "$tool_source/devcluster" "$tool_source/devcluster.d" "$work/tool/"
devcluster=$work/tool/devcluster
failures=0
export -n DDICT_DEVCLUSTER_DIR
unset DDICT_DEVCLUSTER_DIR XDG_RUNTIME_DIR
nobody=(setpriv --reuid=65534 --regid="$(id -g 65534 2>/dev/null || echo 65534)" --clear-groups env "HOME=$work/user" PATH=/usr/bin:/bin)

# What runs as whom, so that one list of checks serves all three.
as_caller=()
dc() { timeout 60 "${as_caller[@]}" "$devcluster" --dir "$dir" "$@"; }

# shellcheck disable=SC2317 # called when the script ends
clear_away() {
  local left
  for left in "$work"/*/dc*/settings; do
    [[ ! -e $left ]] || "$devcluster" --dir "${left%/settings}" down 2>/dev/null ||
      "${nobody[@]}" "$devcluster" --dir "${left%/settings}" down
  done
  rm -rf -- "$work"
}
trap clear_away EXIT
trap 'exit 130' INT TERM

check() {
  local what=$1
  shift
  if "$@"; then
    echo "ok: $what"
  else
    echo "FAILED: $what"
    failures=$((failures + 1))
  fi
}

# Checks that a command ends with a status and prints (to either stream) what matches a pattern.
expect() {
  local what=$1 wanted_status=$2 pattern=$3 output status
  shift 3
  output=$("$@" 2>&1 </dev/null)
  status=$?
  # shellcheck disable=SC2053 # patterns
  if [[ $status = $wanted_status && $output = $pattern ]]; then
    echo "ok: $what"
  else
    echo "FAILED: $what: status $status instead of $wanted_status, or not like '$pattern':"
    printf '%s\n' "$output" | head -n 20 | sed 's/^/    /'
    failures=$((failures + 1))
  fi
}

# shellcheck disable=SC2317 # called by expect
sorted() { "$@" | sort; }

skip() { echo "SKIPPED: $*"; }

wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# What a cluster must not change on this machine. Other things may come and go here while we look.
machine_state() {
  echo "mounts:"
  cut -d' ' -f2-3 /proc/self/mounts | sort
  echo "links:"
  if type -P ip >/dev/null; then ip -oneline link show | cut -d: -f2; else ls /sys/class/net; fi
  echo "files:"
  find /tmp /dev/shm /run /var/spool /etc/slurm /etc/munge -maxdepth 1 2>/dev/null |
    grep -E 'slurm|munge|spmix|devcluster' | grep -vF "${work%.*}." | sort
}

# Prints processes that know our directory, other than this script and its children.
our_processes() {
  grep -lsF -- "$work" /proc/[0-9]*/cmdline /proc/[0-9]*/environ | cut -d/ -f3 | sort -u | grep -vx -e "$$" -e "$BASHPID" |
    while read -r pid; do ps -o pid=,stat=,args= -p "$pid" | grep -v '^ *[0-9]* Z' | cut -c1-150; done
}

check_usage() {
  expect "no command is wrong usage" 2 '*no command*--help*' "$devcluster"
  expect "an unknown command is wrong usage" 2 '*no command*restart*' "$devcluster" restart
  expect "an unknown option is wrong usage" 2 '*--color*' "$devcluster" up --color
  expect "zero nodes are wrong usage" 2 '*--nodes*' "$devcluster" up --nodes 0
  expect "a number that is none is wrong usage" 2 '*--cpus*many*' "$devcluster" up --cpus many
  expect "an option without its value is wrong usage" 2 '*--shm*' "$devcluster" up --shm
  expect "exec without a command is wrong usage" 2 '*' dc exec
  expect "--help lists the Debian packages" 0 '*slurm-wlm munge libpmix-dev iproute2*' "$devcluster" --help
  local command
  for command in down status "kill n1" "exec -- true"; do
    # shellcheck disable=SC2086 # words
    expect "'$command' without a cluster says so" 1 "devcluster: no cluster is up in $dir" dc $command
  done
  check "none of that created anything" test ! -e "$dir"
  mkdir "$dir" && touch "$dir/letter"
  expect "a directory with other files is refused" 1 '*other files*' dc up
  rm -r "$dir"
}

# Hosts: names, and what each has for itself. With namespaces only.
check_hosts() {
  local private=$work-private shm=/dev/shm/${work##*/}
  expect "hosts have distinct names" 0 $'n1\nn2\nn3' sorted dc exec -- srun -N3 hostname
  expect "hosts have distinct addresses" 0 '*198.18.*.1/*' dc exec --node n1 -- ip -4 address show eth0
  expect "there is no way out of the cluster" 0 '' dc exec --node n1 -- ip route show default
  expect "the cable takes large packets" 0 '65000' dc exec --node n1 -- cat /sys/class/net/eth0/mtu
  dc exec --node n1 -- touch "$private" "$shm"
  check "/tmp and /dev/shm of a node are not this machine's" test ! -e "$private" -a ! -e "$shm"
  expect "nor those of another node" 2 '*' dc exec --node n2 -- ls "$private" "$shm"
  expect "but the node keeps them" 0 '*' dc exec --node n1 -- ls "$private" "$shm"
  expect "/dev/shm has the size asked for" 0 '*65536*' dc exec --node n1 -- df --output=size -k /dev/shm
  expect "a node sees only its own processes" 0 '1' dc exec --node n1 -- pgrep -c slurmd
}

check_exec() {
  local output
  expect "exec passes the exit status" 42 '' dc exec -- bash -c 'exit 42'
  expect "exec of an unknown command ends with 127" 127 '*nonesuch*' dc exec -- nonesuch
  output=$(printf 'one\ntwo\n' | dc exec -- cat)
  check "exec passes standard input" test "$output" = $'one\ntwo'
  output=$(printf 'one\ntwo\n' | dc exec -- srun -N1 -n1 cat)
  check "srun under exec gets standard input" test "$output" = $'one\ntwo'
  # shellcheck disable=SC2016 # the inner shell's
  expect "exec passes the environment and keeps arguments apart" 0 'x y|a b||c' \
    env "COLOR=x y" "${as_caller[@]}" "$devcluster" --dir "$dir" exec -- bash -c 'printf "%s|%s|%s|%s" "$COLOR" "$@"' - "a b" "" c
  expect "exec keeps the current directory, also on nodes" 0 "$PWD" dc exec --node n2 -- pwd
  expect "srun keeps it too" 0 "$PWD"$'\n'"$PWD" dc exec -- srun -N2 pwd
  expect "an unknown node is refused" 2 "*no node 'n9'; there are n1 to n3*" dc exec --node n9 -- true
  # Made after the cluster, below a directory of which each host has its own.
  mkdir -p "$PWD/later" && cd "$PWD/later" || exit 1
  touch here
  expect "a directory made later is there as well" 0 'here' dc exec --node n3 -- ls
  cd .. || exit 1
  check_signals
}

check_signals() {
  local pid
  rm -f started
  # shellcheck disable=SC2016 # the inner shell's
  "${as_caller[@]}" "$devcluster" --dir "$dir" exec -- \
    bash -c 'trap "exit 7" TERM; touch started; sleep 20 & wait' &
  pid=$!
  wait_until 10 test -e started
  kill -TERM $pid
  wait $pid
  check "exec passes signals on, and the status that follows" test $? = 7
}

check_jobs() {
  rm -f out
  expect "sbatch accepts a job" 0 '*' dc exec -- sbatch -N2 -o out --wrap 'srun hostname | wc -l'
  check "and its output appears here" wait_until 15 test -s out
  check "from two nodes" grep -qx 2 out
  if [[ ! -x $work/pmix_hello ]]; then
    skip "PMIx exchange: no C compiler, or no libpmix-dev, to build pmix_hello.c"
    return
  fi
  expect "a PMIx exchange works across the nodes" 0 '*rank 0 of 6: *rank 5 of 6: *' \
    sorted dc exec -- srun --mpi=pmix -N3 -n6 "$work/pmix_hello"
}

check_memory_limit() {
  # tail keeps a line without an end in memory.
  expect "a job within its memory limit ends well" 0 '*300000000' dc exec -- \
    srun -N1 -n1 --mem=600 bash -c 'head -c 300000000 /dev/zero | tail | wc -c'
  expect "a job beyond its memory limit is killed" '[1-9]*' '*[Oo]om*' dc exec -- \
    srun -N1 -n1 --mem=100 bash -c 'head -c 300000000 /dev/zero | tail | wc -c'
}

# shellcheck disable=SC2317 # called by check
n2_answers() { dc exec --node n1 -- timeout 1 bash -c ': </dev/tcp/n2/6818' 2>/dev/null; }
# shellcheck disable=SC2317 # called by check
n2_is_silent() { ! n2_answers; }

check_cable() {
  check "n2 answers n1" n2_answers
  expect "cut" 0 '' dc cut n2
  check "n2 no longer answers n1" n2_is_silent
  expect "status shows it" 0 '*n2 * cut *' dc status
  expect "heal" 0 '' dc heal n2
  check "n2 answers n1 again" wait_until 10 n2_answers
}

check_power() {
  expect "kill" 0 '' dc kill n2
  expect "status shows it" 0 '*n2 * off *' dc status
  expect "a node that is off cannot be killed" 1 'devcluster: n2 is off already' dc kill n2
  [[ $1 != namespaces ]] || check "nor does it answer" n2_is_silent
  expect "boot" 0 '' dc boot n2
  expect "a node that is on cannot be booted" 1 'devcluster: n2 is on already' dc boot n2
  expect "a job runs on all nodes again" 0 '*' dc exec -- srun -N3 true
}

# Everything about one cluster. $1: namespaces or none; more: options of up.
check_cluster() {
  local isolation=$1 cgroups
  shift
  cd "$home" || exit 1
  expect "up" 0 '*3 nodes up*' dc up --nodes 3 --cpus 4 --shm 64m --isolation "$isolation" "$@"
  expect "status" 0 '*n1 *idle*n2 *idle*n3 *idle*' dc status
  expect "up again says that it is up" 1 "*is up already in $dir*" dc up
  [[ $isolation != namespaces ]] || check_hosts
  check_exec
  check_jobs
  [[ " $* " != *" --cgroup "* ]] || check_memory_limit
  if [[ $isolation = namespaces ]]; then
    check_cable
  else
    expect "cut says that there is no cable" 1 '*no cable*' dc cut n2
  fi
  check_power "$isolation"
  cgroups=$(cut -d' ' -f2 "$dir/cgroups" 2>/dev/null)
  expect "down" 0 '' dc down
  check "the directory is gone" test ! -e "$dir"
  for cgroup in $cgroups; do check "a cgroup is gone" test ! -e "$cgroup"; done
  check_nothing_left
}

check_nothing_left() {
  local processes
  processes=$(our_processes)
  check "no process is left${processes:+: $processes}" test -z "$processes"
  check "mounts, links and files are as before" diff <(echo "$before") <(machine_state)
}

# What goes wrong at the start.
check_starts() {
  local isolation=$1 pid statuses=()
  expect "a failed start shows slurmctld's reason" 1 '*did not start*select/nonesuch*' \
    dc up --isolation "$isolation" --conf SelectType=select/nonesuch
  check "and leaves nothing" test ! -e "$dir"
  env --default-signal=INT "${as_caller[@]}" "$devcluster" --dir "$dir" up --isolation "$isolation" --nodes 8 2>/dev/null &
  pid=$!
  wait_until 10 test -s "$dir/etc/slurm.conf"
  kill -INT $pid
  wait $pid
  check "an interrupted up ends with 130" test $? = 130
  check "and leaves nothing" test ! -e "$dir"

  dc up --nodes 1 --isolation "$isolation" 2>/dev/null &
  pid=$!
  dc up --nodes 1 --isolation "$isolation" 2>/dev/null
  statuses=($?)
  wait $pid
  statuses+=($?)
  check "of two up at once one fails and one works" test "${statuses[0]}${statuses[1]}" = 01 -o "${statuses[0]}${statuses[1]}" = 10
  expect "and the cluster runs jobs" 0 '*' dc exec -- srun -N1 true
  kill -KILL "$(cut -d' ' -f1 "$dir/run/$([[ $isolation = none ]] && echo slurmctld || echo head)")"
  expect "a cluster that has died is reported" 1 '*has died*' wait_for_death
  expect "up works after that" 0 '*1 nodes up*' dc up --nodes 1 --isolation "$isolation"
  expect "and so does down" 0 '' dc down
  check_nothing_left
}

# shellcheck disable=SC2317 # called by expect
wait_for_death() {
  wait_until 10 bash -c '! "$@" >/dev/null 2>&1' - "${as_caller[@]}" "$devcluster" --dir "$dir" status
  dc status
}

check_side_by_side() {
  expect "a first cluster" 0 '*' dc up --nodes 1
  expect "a second one beside it" 0 '*' "${as_caller[@]}" "$devcluster" --dir "$dir-2" up --nodes 2
  expect "has its own nodes" 0 '2' "${as_caller[@]}" "$devcluster" --dir "$dir-2" exec -- sinfo -h -o %D
  expect "and so has the first" 0 '1' dc exec -- sinfo -h -o %D
  expect "down of the second" 0 '' "${as_caller[@]}" "$devcluster" --dir "$dir-2" down
  expect "leaves the first alone" 0 'n1' dc exec -- srun hostname
  expect "down of the first" 0 '' dc down
  check_nothing_left
}

check_missing_package() {
  # shellcheck disable=SC2016 # the inner shell's
  expect "a missing package is named" 1 '*apt-get install munge' \
    unshare --user --map-root-user --mount bash -c 'mount --bind /dev/null "$(type -P munged)" && "$@"' - "$devcluster" --dir "$dir" up
}

main() {
  local before
  before=$(machine_state)
  # shellcheck disable=SC2046 # words
  if pkg-config --exists pmix 2>/dev/null; then
    gcc -std=gnu11 -Wall -Wextra -o "$work/pmix_hello" "$here/pmix_hello.c" $(pkg-config --cflags --libs pmix)
  fi
  home=$work/home
  mkdir -m 755 "$home"
  dir=$home/dc
  check_usage

  if ! unshare --user --map-root-user --net --mount true 2>/dev/null && ((EUID != 0)); then
    skip "clusters of namespaces: this user may not create namespaces"
  else
    echo "== as user $EUID"
    local limits=()
    if ((EUID != 0)); then
      skip "memory limits: they need root"
      expect "--cgroup without root is refused" 1 '*needs root*' dc up --cgroup
    elif grep -q '^memory' /proc/cgroups || grep -qs memory /sys/fs/cgroup/cgroup.controllers; then
      limits=(--cgroup)
    else
      skip "memory limits: this machine has no memory controller"
    fi
    check_missing_package
    check_cluster namespaces "${limits[@]}"
    check_starts namespaces
    check_side_by_side
  fi

  if ((EUID != 0)); then
    skip "a user who is not root: already tested as user $EUID"
  elif ! "${nobody[@]}" unshare --user --map-root-user --net --mount true 2>/dev/null; then
    skip "a user who is not root: user namespaces are not to be had here"
  else
    echo "== as a user who is not root"
    as_caller=("${nobody[@]}")
    home=$work/user
    mkdir -m 755 "$home" && chown 65534 "$home"
    dir=$home/dc
    expect "--cgroup without root is refused" 1 '*needs root*' dc up --cgroup
    check_cluster namespaces
  fi

  echo "== without namespaces"
  as_caller=()
  home=$work/simple
  mkdir -m 755 "$home"
  dir=$home/dc
  check_cluster none
  check_starts none

  ((failures == 0)) && echo "all checks passed" && exit 0
  echo "$failures checks failed"
  exit 1
}

main
