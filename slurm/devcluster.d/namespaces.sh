# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# A cluster whose hosts are namespaces, seen from this machine. See host.sh for the inside.

# How to become root of the hosts, and the user again.
choose_user() {
  become_root=() enter_root=() as_user=()
  ((user_id != 0)) || return 0
  become_root=(--user --map-root-user)
  enter_root=(--user --preserve-credentials)
  as_user=(unshare --user "--map-user=$user_id" "--map-group=$group_id" --)
}

choose_isolation() {
  choose_user
  [[ $isolation != none ]] || return 0
  local reason
  if reason=$(unshare --cgroup "${become_root[@]}" "${host_namespaces[@]}" "$self" inside probe "$user_id" "$group_id" 2>&1); then
    isolation=namespaces
  elif [[ $isolation = namespaces || $cgroup != none ]]; then
    die "namespaces cannot be had here: ${reason%%$'\n'*}"
  else
    note "namespaces cannot be had here: ${reason%%$'\n'*}"
    note "so all nodes share this machine's network, host name, /tmp and /dev/shm; cut and heal will not work"
    isolation=none
  fi
}

# Runs a command as root of a host's namespaces, in its root directory.
in_host() {
  local pid
  pid=$(host_pid "$1") || return
  shift
  nsenter --target "$pid" "${enter_root[@]}" --mount --uts --ipc --net --pid --cgroup -- "$@"
}

# Runs a command in the background, free of this terminal, with no file of ours open but the log.
detached() {
  (
    local fd
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      ((fd <= 2)) || eval "exec $fd>&-"
    done
    for name in "${!SLURM_@}"; do unset "$name"; done
    exec setsid "$@"
  ) </dev/null >>"$dir/log/head.log" 2>&1 &
}

start_namespaces() {
  make_cgroups || { failure="cannot make cgroups" && return 1; }
  detached "$self" --dir "$dir" inside cluster
  launched=$!
}

# Becomes the process that waits for the head's PID 1, in the cluster's cgroup.
inside_cluster() {
  unshare_host "" "${become_root[@]}" "${host_namespaces[@]}" "$self" --dir "$dir" inside head
}

start_is_over_namespaces() {
  idle=$(cat "$dir/run/idle" 2>/dev/null || echo 0)
  [[ ! -e $dir/run/usable ]] || return 0
  if [[ -e $dir/run/failed ]]; then
    failure=$(<"$dir/run/failed")
  elif ! kill -0 "$launched" 2>/dev/null; then
    failure="the head host ended"
  else
    return 1
  fi
}

stop_namespaces() {
  # Before the head has recorded itself, its parent is all there is to kill: --kill-child does the rest.
  [[ -z ${launched:-} || -e $dir/run/head ]] || { kill -KILL "$launched" && wait "$launched"; } 2>/dev/null
  end_host head
}

kill_namespaces() {
  host_pid "$1" >/dev/null || die "$1 is off already"
  # First the cable: a host that loses power says no goodbye to its peers.
  in_host head ip link set "port-$1" down
  end_host "$1"
}

boot_namespaces() {
  ! host_pid "$1" >/dev/null || die "$1 is on already"
  start_and_wait "$1" detached nsenter --target "$(host_pid head)" "${enter_root[@]}" --mount --uts --ipc --net --pid \
    --cgroup -- "$self" --dir "$dir" inside boot "$1"
}

cut_namespaces() { in_host head ip link set "port-$1" down || die "cannot cut $1"; }

heal_namespaces() { in_host head ip link set "port-$1" up || die "cannot heal $1"; }

slurm_command_namespaces() { in_host head "${as_user[@]}" env SLURM_CONF=/run/devcluster/slurm/slurm.conf "$@"; }

cable_state() {
  if [[ $(in_host head ip -oneline link show "port-$1" 2>/dev/null) =~ [\<,]UP[,\>] ]]; then echo plugged; else echo cut; fi
}

status_namespaces() {
  printf '%-6s %-8s %-8s %-8s %s\n' host pid power cable slurm
  printf '%-6s %-8s %-8s %-8s %s\n' head "$(host_pid head)" on - \
    "$([[ $(slurm_command scontrol ping) = *UP* ]] && echo "slurmctld answers" || echo "slurmctld does not answer")"
  local i pid node state
  local -A states=()
  while read -r node state; do states[$node]=$state; done < <(slurm_command sinfo -h -N -o '%N %T')
  for ((i = 1; i <= nodes; i++)); do
    if pid=$(host_pid "n$i"); then
      printf '%-6s %-8s %-8s %-8s %s\n' "n$i" "$pid" on "$(cable_state "n$i")" "${states[n$i]:-unknown}"
    else
      printf '%-6s %-8s %-8s %-8s %s\n' "n$i" - off - "${states[n$i]:-unknown}"
    fi
  done
}

# Shares a directory with all hosts that are on; those that boot later read the list.
share() {
  local path
  path=$(realpath -m -- "$1")
  is_private "$path" || return 0
  grep -qxF -- "$path" "$dir/shares" && return
  printf '%s\n' "$path" >>"$dir/shares"
  local host
  for host in "$dir"/run/{head,n*}; do
    host=${host##*/}
    host_pid "$host" >/dev/null && in_host "$host" "$self" --dir "$dir" inside share "$path"
  done
}
