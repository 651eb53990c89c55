# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# The cluster's directory:
#   settings   the variables of one cluster, as shell assignments
#   lock       held by commands that change the cluster
#   shares     directories that all hosts see although /tmp, /run and /dev/shm are private
#   cgroups    cgroup directories made for the cluster
#   etc munge state spool log    what their names say
#   run/NAME   "PID START": the process whose end is the end of host (or daemon) NAME
#
# A process is always named by its PID *and* its start time, so that a stale file never names a stranger.

note() { printf 'devcluster: %s\n' "$*" >&2; }

die() {
  progress ""
  note "$*"
  exit 1
}

usage_error() {
  note "$* (see devcluster --help)"
  exit 2
}

# One line on a terminal that the next one replaces.
progress() {
  [[ -t 2 ]] || return 0
  printf '\r\033[K%s' "${1:+devcluster: $1}" >&2
}

seconds_since() {
  local ms=$(((${EPOCHREALTIME/./} - $1) / 1000))
  printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# Runs a command every 20 ms until it succeeds; fails after $1 seconds.
wait_for() {
  local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@"; do
    ((${EPOCHREALTIME/./} < deadline)) || return 1
    sleep 0.02
  done
}

choose_directory() {
  local wanted=${1:-${DDICT_DEVCLUSTER_DIR:-${XDG_RUNTIME_DIR:-/tmp}/ddict-devcluster-$(id -u)}}
  dir=$(realpath -m -- "$wanted") || usage_error "cannot use directory '$wanted'"
}

# Makes the directory ours, or refuses one that is not.
create_directory() {
  if [[ -e $dir ]]; then
    [[ -d $dir && -O $dir && -w $dir ]] || die "$dir is not a directory of this user"
    [[ -e $dir/lock || -z $(ls -A -- "$dir") ]] || die "$dir holds other files; choose an empty or new directory"
    return 0
  fi
  mkdir -p -- "${dir%/*}/" 2>/dev/null
  # Another command of ours may have made it just now.
  mkdir -m 700 -- "$dir" 2>/dev/null || [[ -O $dir ]] || die "cannot create $dir"
}

# Waits for the lock of a directory; another command may remove the directory meanwhile.
lock() {
  while :; do
    create_directory
    { exec 9>"$dir/lock"; } 2>/dev/null || continue
    flock -w 60 9 || die "another devcluster command has held $dir for a minute"
    [[ $dir/lock -ef /proc/self/fd/9 ]] && return 0
  done
}

settings=(isolation nodes cpus memory shm cgroup kill_wait slurmd_timeout user_id group_id)

write_settings() {
  mkdir -p -- "${dir:?}"/{etc,run,log,state,spool,munge} || die "cannot write to $dir"
  chmod 755 -- "$dir/munge" "$dir/etc" "$dir/run"
  local name
  for name in "${settings[@]}"; do printf '%s=%q\n' "$name" "${!name}"; done >"$dir/settings"
  local -a wanted=("$dir" "$project" "${self%/*}" "$(pwd -P)" "${HOME:-/}" ${shares[@]+"${shares[@]}"})
  [[ -z ${DDICT_BUILD_DIR:-} ]] || wanted+=("$DDICT_BUILD_DIR")
  local path
  for path in "${wanted[@]}"; do
    path=$(realpath -m -- "$path")
    if is_private "$path"; then printf '%s\n' "$path"; fi
  done | sort -u >"$dir/shares"
}

# Whether a path lies inside a directory of which each host has its own.
is_private() { [[ $1 = /tmp/* || $1 = /run/* || $1 = /dev/shm/* ]]; }

read_settings() {
  [[ -O $dir && -O $dir/settings ]] || die "$dir belongs to another user"
  # shellcheck source=/dev/null
  . "$dir/settings"
  choose_user
}

need_up() {
  [[ -e $dir/settings ]] || die "no cluster is up in $dir"
  read_settings
  is_up || die "the cluster in $dir has died (devcluster down clears it away)"
}

is_up() {
  [[ -e $dir/settings ]] && read_settings && host_pid "$([[ $isolation = none ]] && echo slurmctld || echo head)" >/dev/null
}

check_node() {
  [[ $1 = head ]] && return
  if [[ ! $1 =~ ^n[1-9][0-9]{0,2}$ ]] || ((${1#n} > nodes)); then usage_error "no node '$1'; there are n1 to n$nodes"; fi
}

# Prints the start time of a live process, as a number that identifies it together with its PID.
start_time() {
  local stat fields
  { read -r stat <"${2:-/proc}/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != [ZX] ]] && echo "${fields[19]}"
}

is_alive() { [[ -n $2 && $(start_time "$1") = "$2" ]]; }

is_gone() { ! is_alive "$@"; }

# Prints the PID, on this machine, of the process recorded under a name; fails when it has ended.
host_pid() {
  local pid start
  { read -r pid start <"$dir/run/$1"; } 2>/dev/null && is_alive "$pid" "$start" && echo "$pid"
}

# Kills the recorded process at once, and waits for its end and for that of its parent, an "unshare".
end_host() {
  local pid start parent parent_start
  { read -r pid start <"$dir/run/$1"; } 2>/dev/null || return 0
  parent=$(ps -o ppid= -p "$pid" | tr -d ' ')
  parent_start=$(start_time "${parent:-0}")
  if is_alive "$pid" "$start"; then
    kill -KILL "$pid" 2>/dev/null
    wait_for 20 is_gone "$pid" "$start" || note "process $pid ($1) does not end"
    [[ -z $parent_start ]] || grep -qx unshare "/proc/$parent/comm" 2>/dev/null && wait_for 5 is_gone "$parent" "$parent_start"
  fi
  rm -f -- "$dir/run/$1"
}

# What a cluster that ended by itself has left.
remove_remains() {
  [[ ! -e $dir/settings ]] || (read_settings && stop_cluster && remove_files)
}

stop_cluster() {
  "stop_$isolation"
  remove_cgroups
}

remove_files() {
  rm -rf --one-file-system -- "${dir:?}"/{etc,run,log,state,spool,munge,tmp,settings,shares,cgroups,handed_down}
}

remove_cluster() {
  local keep_logs=${1:-}
  stop_cluster
  [[ -z $keep_logs ]] || { rm -rf -- "$dir.log" && mv -- "$dir/log" "$dir.log" && note "logs: $dir.log"; }
  remove_files
  rm -f -- "$dir/lock"
  rmdir -- "$dir" 2>/dev/null || note "$dir is not empty, left in place"
}

# Shows why a start failed, and ends.
start_failed() {
  progress ""
  note "the cluster did not start: $failure"
  local log
  for log in "$dir"/log/*.log; do
    [[ -s $log ]] || continue
    printf -- '--- last lines of %s\n' "${log##*/}"
    tail -n 8 -- "$log"
  done >&2
  exit 1
}

# When `up` ends before the cluster is usable, for whatever reason.
end_unfinished_start() {
  trap '' INT TERM HUP
  progress "clearing away"
  remove_cluster
  progress ""
}

check_packages() {
  local -A package_of=([slurmctld]=slurm-wlm [slurmd]=slurm-wlm [srun]=slurm-wlm [sinfo]=slurm-wlm
    [munged]=munge [ip]=iproute2 [unshare]=util-linux [nsenter]=util-linux [flock]=util-linux [ps]=procps)
  local command
  local -A missing=()
  for command in "${!package_of[@]}"; do
    [[ -x $(type -P "$command") ]] || missing[${package_of[$command]}]=1
  done
  ((${#missing[@]} == 0)) || die "packages are missing: apt-get install $(printf '%s\n' "${!missing[@]}" | sort | xargs)"
}

# "srun --mpi=list" names plugins by their files; only using one shows whether it can load its library.
check_pmix() {
  local reason
  reason=$("slurm_command_$isolation" srun --mpi=pmix --test-only true 2>&1) && return
  case $reason in
  *"can not load PMIx library"*) note "warning: srun --mpi=pmix does not work; to mend it: apt-get install libpmix-dev" ;;
  *) note "warning: srun --mpi=pmix does not work: ${reason##*$'\n'}" ;;
  esac
}

# A Slurm command on the head host, for ourselves.
slurm_command() { "slurm_command_$isolation" "$@" 2>/dev/null; }

node_state() { slurm_command sinfo -h -n "$1" -o %T; }

slurmd_start() { slurm_command scontrol -o show node "$1" | grep -o 'SlurmdStartTime=[^ ]*'; }

is_past() { [[ SlurmdStartTime=$(date +%FT%T) != "$1" ]]; }

# Powers a node on by "$2..." and waits until it is usable.
start_and_wait() {
  local node=$1 last_start
  shift
  # A real node takes minutes to boot, in which Slurm gives it up and ends what ran there; so tell Slurm.
  slurm_command scontrol update "nodename=$node" state=down reason="power off"
  last_start=$(slurmd_start "$node")
  # Slurm counts in seconds: a start in the same second as the last one would look like it.
  wait_for 2 is_past "$last_start"
  progress "booting $node"
  "$@"
  wait_for 30 node_is_usable "$node" "$last_start" ||
    die "$node does not get usable within 30 s (Slurm says: $(node_state "$node")); see $dir/log/$node.log"
  progress ""
}

# Whether Slurm has heard from a slurmd started after $2 and would use the node; asks it to if it will not by itself.
node_is_usable() {
  [[ $(slurmd_start "$1") != "$2" ]] || return 1
  case $(node_state "$1") in
  idle | mixed | allocated) return 0 ;;
  down | drained | draining | fail*) slurm_command scontrol update "nodename=$1" state=resume ;;
  esac
  return 1
}
