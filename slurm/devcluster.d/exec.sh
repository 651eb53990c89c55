# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# A command on a host of the cluster, as if it ran here.

command_exec() {
  local node=head
  while (($#)); do
    case $1 in
    --node)
      (($# > 1)) || usage_error "--node needs a value"
      node=$2
      shift 2
      ;;
    --) shift && break ;;
    -*) usage_error "exec does not know '$1'" ;;
    *) break ;;
    esac
  done
  (($# > 0)) || usage_error "exec needs a command"
  need_up
  check_node "$node"
  "exec_$isolation" "$node" "$@"
}

exec_namespaces() {
  local node=$1 pid cwd
  shift
  pid=$(host_pid "$node") || die "$node is off"
  cwd=$(pwd -P)
  share "$cwd"
  # env: a command in the background would ignore interrupts; the directory is looked up on the host.
  pass_signals nsenter --target "$pid" "${enter_root[@]}" --mount --uts --ipc --net --pid --cgroup -- \
    "${as_user[@]}" env --default-signal=INT,QUIT "--chdir=$cwd" \
    "PATH=$caller_path" SLURM_CONF=/run/devcluster/slurm/slurm.conf "$@"
}

# Runs nsenter, which waits for its only child, and passes signals on to that child.
pass_signals() {
  local interrupted status signal
  "$@" <&0 &
  entered=$!
  for signal in HUP INT QUIT TERM USR1 USR2; do
    # shellcheck disable=SC2064 # the signal's name is meant as it is now
    trap "interrupted=1; pass_signal $signal" "$signal"
  done
  while :; do
    interrupted=
    wait "$entered"
    status=$?
    [[ -n $interrupted ]] || break
  done
  return "$status"
}

pass_signal() {
  local signal=$1 children
  # A terminal sends its interrupts to the command as well as to us.
  if [[ $signal = INT || $signal = QUIT ]] && in_foreground; then return; fi
  wait_for 2 has_child_or_ended "$entered"
  read -r children < <(cat "/proc/$entered/task/$entered/children" 2>/dev/null)
  [[ -z ${children:-} ]] || kill -s "$signal" "${children%% *}" 2>/dev/null
}

has_child_or_ended() { ! kill -0 "$1" 2>/dev/null || [[ -n $(cat "/proc/$1/task/$1/children") ]]; }

in_foreground() {
  local stat fields
  read -r stat <"/proc/$$/stat"
  read -ra fields <<<"${stat##*) }"
  # Process group, and the one in the foreground of our terminal.
  [[ ${fields[2]} = "${fields[5]}" ]]
}
