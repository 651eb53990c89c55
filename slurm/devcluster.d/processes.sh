# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# A cluster whose hosts are only several slurmd on this machine, for where namespaces cannot be had. What is
# in one place for all, such as network, /tmp and /dev/shm, stays so; ports and directories keep nodes apart.
#
# Nothing but a mark in their environment tells the cluster's processes from others.

mark() { echo "DDICT_DEVCLUSTER_MEMBER=$dir"; }

slurm_conf_none() {
  local host port i
  host=$(hostname -s)
  port=$(free_ports)
  cat <<END
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
AuthInfo=socket=$dir/munge/socket/munge.socket.2
SlurmctldPidFile=$dir/state/slurmctld.pid
SlurmdPidFile=$dir/state/%n.pid
SlurmdSpoolDir=$dir/spool/%n
TmpFS=$dir/tmp/%n
END
  for ((i = 1; i <= nodes; i++)); do
    echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=$cpus RealMemory=$memory State=UNKNOWN"
  done
}

# Prints the first of as many free ports in a row as the cluster needs.
free_ports() {
  local port i start
  start=$(cksum <<<"$dir")
  start=$((${start%% *} % 11000))
  for ((port = start; port < start + 11000; port += nodes + 1)); do
    for ((i = 0; i <= nodes; i++)); do
      ! (: <"/dev/tcp/127.0.0.1/$((20000 + port % 11000 + i))") 2>/dev/null || continue 2
    done
    echo $((20000 + port % 11000))
    return
  done
}

# Starts a daemon and records it.
start_daemon() {
  local name=$1 start
  shift
  detached env "SLURM_CONF=$dir/etc/slurm.conf" "$(mark)" "$@"
  start=$(start_time $!) && echo "$! $start" >"$dir/run/$name"
}

start_slurmd() { start_daemon "$1" slurmd -D -b -N "$1"; }

start_none() {
  # The longest name of a socket: SPOOL/NODE_JOB.STEP, or PMIx's; the system allows 107 characters.
  if ((${#dir} > 60)); then
    failure="the directory's name has ${#dir} characters, and without namespaces at most 60 are possible: $dir"
    return 1
  fi
  mkdir -p -- "$dir/munge/socket"
  munged_command
  start_daemon munged "${munged[@]}" --socket="$dir/munge/socket/munge.socket.2"
  wait_for 10 test -S "$dir/munge/socket/munge.socket.2" || { failure="munged does not start" && return 1; }
  start_daemon slurmctld slurmctld -D
  local i
  for ((i = 1; i <= nodes; i++)); do
    mkdir -p -- "$dir/tmp/n$i" "$dir/spool/n$i"
    start_slurmd "n$i"
  done
}

start_is_over_none() {
  local name
  for name in "$dir"/run/*; do
    host_pid "${name##*/}" >/dev/null || { failure="${name##*/} ended" && return 0; }
  done
  idle=$(slurm_command sinfo -h -t idle -o %D)
  idle=${idle:-0}
  ((idle == nodes))
}

slurm_command_none() { env "SLURM_CONF=$dir/etc/slurm.conf" "$@"; }

exec_none() {
  host_pid "$([[ $1 = head ]] && echo slurmctld || echo "$1")" >/dev/null || die "$1 is off"
  shift
  exec env "PATH=$caller_path" "SLURM_CONF=$dir/etc/slurm.conf" "$(mark)" "$@"
}

# Prints the processes in the list $1 and all that descend from them.
with_descendants() {
  ps -e -o pid= -o ppid= | awk -v list="$1" 'BEGIN { n = split(list, pids, " "); for (i = 1; i <= n; i++) in_list[pids[i]] = 1 }
    { parent[$1] = $2 }
    END { for (pid in parent) for (p = pid; p > 1; p = parent[p]) if (p in in_list) { print pid; break } }'
}

# Prints the cluster's processes.
members() {
  with_descendants "$(grep -lszxF -- "$(mark)" /proc/[0-9]*/environ | cut -d/ -f3 | xargs)"
}

# Prints the processes of a node: those that write its log, and what they have started.
node_members() {
  with_descendants "$(find /proc/[0-9]*/fd -lname "$dir/log/$1.log" 2>/dev/null | cut -d/ -f3 | sort -u | xargs)"
}

# Kills what "$@" prints until it prints nothing more.
end_all() {
  local pids
  pids=$("$@")
  [[ -n $pids ]] || return 0
  # shellcheck disable=SC2086 # several process ids
  kill -KILL $pids 2>/dev/null
  return 1
}

stop_none() {
  wait_for 10 end_all members || note "some processes do not end: $(members | xargs)"
}

kill_none() {
  host_pid "$1" >/dev/null || die "$1 is off already"
  wait_for 10 end_all node_members "$1" || die "some processes do not end: $(node_members "$1" | xargs)"
  rm -f -- "$dir/run/$1"
}

boot_none() {
  ! host_pid "$1" >/dev/null || die "$1 is on already"
  start_and_wait "$1" start_slurmd "$1"
}

cut_none() { die "without namespaces there is no cable to cut"; }

heal_none() { die "without namespaces there is no cable to heal"; }

status_none() {
  printf '%-10s %-8s %-8s %s\n' host pid power slurm
  local name pid state
  for name in slurmctld $(seq -f 'n%g' "$nodes"); do
    pid=$(host_pid "$name")
    state=-
    [[ $name = slurmctld ]] || state=$(node_state "$name")
    printf '%-10s %-8s %-8s %s\n' "$name" "${pid:--}" "$([[ -n $pid ]] && echo on || echo off)" "$state"
  done
}
