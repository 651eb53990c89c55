# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# What runs inside a host. Each host is one PID namespace, and its PID 1 is this script: the head host's
# lies below this machine's, the nodes' below the head's. So killing the head's PID 1 ends the cluster, and
# with the last process the kernel removes its namespaces, mounts and links.
#
# A user who is not root is root of a user namespace here, which mounts and links need. Daemons and commands
# run one user namespace deeper under the user's own id: slurmctld cannot run as such a root.

host_namespaces=(--fork --pid --kill-child --mount --uts --ipc --net)

# Of this machine, kept inside each host to share directories from, and to learn PIDs that this machine knows.
machine=/run/devcluster/machine

# Veth links without the packet size of a real cable: three times the bandwidth.
link_mtu=65000

# Turns fresh namespaces into a host called $1.
build_host() {
  local host=$1 from=$machine name path shared
  mapfile -t shared <"$dir/shares"
  must mkdir -p "$dir/spool/$host" "$dir/munge/socket"
  must hostname "$host"
  cd /
  # /sys is replaced anyway: here it serves as the place where the host's own /run is put together.
  must mount -t tmpfs -o mode=755 devcluster /sys
  mkdir -p /sys/devcluster/{machine/{tmp,run,dev/shm,proc},slurm} /sys/{lock,munge,slurmd}
  chmod 1777 /sys/lock
  [[ $host != head ]] || from=
  for name in tmp run dev/shm proc; do must mount --rbind "$from/$name" "/sys/devcluster/machine/$name"; done
  must mount --bind "$dir/munge/socket" /sys/munge
  must mount --bind "$dir/spool/$host" /sys/slurmd
  must mount --bind "$dir/etc" /sys/devcluster/slurm
  must mount -n --move /sys /run
  # UCX finds interfaces in /sys/class/net, which shows the network namespace that mounted it.
  must mount -t sysfs sysfs /sys
  [[ $cgroup = none ]] || mount_cgroups
  must mount -t proc proc /proc
  must mount -t tmpfs -o mode=1777 devcluster /tmp
  must mount -t tmpfs -o "mode=1777,size=$shm" devcluster /dev/shm
  for path in "${shared[@]}"; do share_here "$path"; done
  must mount --bind /run/devcluster/slurm/hosts /etc/hosts
  [[ ! -e /run/devcluster/slurm/passwd ]] || must mount --bind /run/devcluster/slurm/passwd /etc/passwd
  # For commands that lose SLURM_CONF on their way.
  [[ ! -d /etc/slurm ]] || must mount --bind /run/devcluster/slurm /etc/slurm
  [[ ${XDG_RUNTIME_DIR:-} != /run/* ]] || mkdir -p "$XDG_RUNTIME_DIR"
  must ip link set lo up
}

# A host without one of its parts must not come up.
must() {
  "$@" && return
  note "failed: $*"
  exit 1
}

# Makes a directory of this machine visible in this host, at its own path.
share_here() {
  local path=$1
  [[ -d $machine$path && ! $path -ef $machine$path ]] || return 0
  mkdir -p -- "$path" && mount --rbind -- "$machine$path" "$path"
}

# Records which process, as this machine numbers it, is PID 1 of this host.
record_host() {
  local own
  read -r own _ <"$machine/proc/self/stat"
  echo "$own $(start_time "$own" "$machine/proc")" >"$dir/run/.$1" && mv "$dir/run/.$1" "$dir/run/$1"
}

# PID 1 of a host: reaps what its processes leave, and never ends by itself.
serve() {
  trap '' HUP INT TERM
  while :; do
    wait
    sleep 1
  done
}

# Runs a daemon until it ends, which is a failure while the cluster starts.
run_daemon() {
  local name=$1 status
  shift
  "$@"
  status=$?
  [[ -e $dir/run/usable ]] || echo "$name ended with status $status" >"$dir/run/failed"
}

inside_head() {
  build_host head
  ip link add br0 type bridge && ip address add "$head_address/24" dev br0 && ip link set br0 up || return
  record_host head
  munged_command
  run_daemon munged "${as_user[@]}" "${munged[@]}" --socket=/run/munge/munge.socket.2 &
  wait_for 10 test -S /run/munge/munge.socket.2 || return
  run_daemon slurmctld "${as_user[@]}" slurmctld -D &
  local i
  for ((i = 1; i <= nodes; i++)); do connect_node "n$i"; done
  count_idle_nodes &
  serve
}

# The processes that wait for the nodes' PID 1.
node_parents=()

# Starts the node's host, below the head, and plugs it into the head's bridge.
connect_node() {
  local node=$1
  unshare_host "$node" "${host_namespaces[@]}" "$self" --dir "$dir" inside node "$node" &
  local child=$!
  node_parents+=("$child")
  wait_for 10 has_own_network "$child" || return
  ip link add "port-$node" mtu $link_mtu type veth peer name eth0 mtu $link_mtu netns "$child" &&
    ip link set "port-$node" master br0 up
}

has_own_network() {
  local theirs
  theirs=$(readlink "/proc/$1/ns/net") && [[ $theirs != "$(readlink /proc/self/ns/net)" ]]
}

inside_node() {
  local node=$1
  build_host "$node"
  wait_for 10 test -e /sys/class/net/eth0 || return
  ip address add "$network.${node#n}/24" dev eth0 && ip link set eth0 up || return
  record_host "$node"
  # -b: so that Slurm sees a restart, which the machine's own uptime would hide.
  run_daemon "slurmd on $node" "${as_user[@]}" slurmd -D -b &
  serve
}

inside_boot() {
  ip link delete "port-$1" 2>/dev/null
  connect_node "$1"
}

# Tells `up` how far the nodes are.
count_idle_nodes() {
  local idle=0
  until ((idle == nodes)) || [[ -e $dir/run/failed ]]; do
    sleep 0.03
    idle=$("${as_user[@]}" sinfo -h -t idle -o %D 2>/dev/null)
    idle=${idle:-0}
    echo "$idle" >"$dir/run/.idle" && mv "$dir/run/.idle" "$dir/run/idle"
    kill -0 "${node_parents[@]}" 2>/dev/null || echo "a node ended, see head.log" >"$dir/run/failed"
  done
  ((idle != nodes)) || : >"$dir/run/usable"
}

# Whether hosts can be had here at all: makes one, with a link, and lets it go again.
inside_probe() {
  hostname probe && mount -t tmpfs probe /sys && mount -t tmpfs probe /tmp && mount -t sysfs sysfs /sys &&
    mount -t proc proc /proc && ip link add br0 type bridge && ip link add port type veth peer name eth0 &&
    "${as_user[@]}" true
}

inside() {
  local what=$1
  shift
  if [[ $what = probe ]]; then
    user_id=$1 group_id=$2
    choose_user
  else
    read_settings
  fi
  export SLURM_CONF=/run/devcluster/slurm/slurm.conf
  case $what in
  cluster | scope | head | node | boot | probe) "inside_$what" "$@" && return ;;
  share)
    share_here "$1"
    return
    ;;
  limit)
    inside_limit
    return
    ;;
  esac
  [[ $what = probe ]] || echo "host $what $* could not be set up, see head.log" >"$dir/run/failed"
  return 1
}
