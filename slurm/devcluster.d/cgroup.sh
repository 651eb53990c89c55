# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Cgroups that make the memory limits of jobs real; only with --cgroup, and only as root. The cluster gets a
# cgroup of its own, and in it one for each node, which is the root of what the node's Slurm sees. $dir/cgroups
# lists them as "CONTROLLER DIRECTORY", in version 1 one for each controller, in version 2 one in all.
#
# In version 2 a cgroup that hands memory limits to its children cannot hold processes itself: these go one
# deeper, into init.scope, the name by which Slurm looks for it.

# Prints where a hierarchy is mounted that shows our own cgroup, and our cgroup in it.
own_cgroup() {
  local kind=$1 controller=$2 top mount_point path
  read -r top mount_point < <(awk -v kind="$kind" -v controller="$controller" '{
    for (i = 7; $i != "-"; i++);
    if ($(i + 1) == kind && (controller == "" || index("," $(i + 3) ",", "," controller ","))) { print $4, $5; exit }
  }' /proc/self/mountinfo)
  [[ -n ${mount_point:-} ]] || return 1
  path=$(awk -F: -v controller="$controller" 'index("," $2 ",", "," controller ",") { sub(/^[^:]*:[^:]*:/, ""); print; exit }' /proc/self/cgroup)
  [[ $top = / ]] || path=${path#"$top"}
  echo "$mount_point ${path#/}"
}

# Sets $cgroup to the version that limits memory on this machine, or ends.
choose_cgroup() {
  local mount_point
  if own_cgroup cgroup memory >/dev/null && own_cgroup cgroup freezer >/dev/null; then
    cgroup=v1
  elif read -r mount_point _ < <(own_cgroup cgroup2 "") && [[ $(cat "$mount_point/cgroup.controllers") = *memory* ]]; then
    cgroup=v2
  else
    die "no memory limits here: neither cgroup version 1 nor 2 offers its memory controller"
  fi
}

make_cgroups() {
  local mount_point path controller name=ddict-devcluster-$$
  case $cgroup in
  v1)
    for controller in memory freezer; do
      read -r mount_point path < <(own_cgroup cgroup $controller)
      path=$mount_point/${path:+$path/}$name
      echo "$controller $path" >>"$dir/cgroups"
      mkdir -- "$path" || return
    done
    ;;
  v2)
    read -r mount_point path < <(own_cgroup cgroup2 "")
    path=$mount_point/$name
    echo "all $path" >>"$dir/cgroups"
    [[ " $(<"$mount_point/cgroup.subtree_control") " = *" memory "* ]] || echo "$mount_point" >"$dir/handed_down"
    hand_down_memory "$mount_point" && mkdir -- "$path"
    ;;
  esac
}

# Lets the children of a cgroup of version 2 limit their memory.
hand_down_memory() { echo +memory >"$1/cgroup.subtree_control"; }

# Replaces this process by "unshare $2...", in the cgroup called $1, or in the cluster's if $1 is empty.
unshare_host() {
  local name=$1 controller path scope
  shift
  [[ $cgroup != none ]] || exec unshare --cgroup "$@"
  while read -r controller path; do
    if [[ -n $name ]]; then
      path=$(cgroup_mount "$controller")/$name
      [[ -d $path ]] || mkdir -- "$path" || return
    fi
    echo "$BASHPID" >"$path/cgroup.procs" || return
    scope=$path
  done <"$dir/cgroups"
  [[ $cgroup != v2 ]] || exec unshare --cgroup "$self" --dir "$dir" inside scope "$scope" "$@"
  exec unshare --cgroup "$@"
}

# Moves this process out of the way, one deeper than the root of its cgroup namespace, before it becomes "unshare".
inside_scope() {
  local path=$1
  shift
  [[ -e $path/cgroup.procs ]] && mkdir -p -- "$path/init.scope" && echo "$BASHPID" >"$path/init.scope/cgroup.procs" && hand_down_memory "$path" &&
    exec unshare "$@"
}

# Where a host sees its cgroups.
cgroup_mount() { [[ $1 = all ]] && echo /sys/fs/cgroup || echo "/sys/fs/cgroup/$1"; }

mount_cgroups() {
  if [[ $cgroup = v2 ]]; then
    must mount -t cgroup2 cgroup2 /sys/fs/cgroup
    return
  fi
  must mount -t tmpfs -o mode=755 devcluster /sys/fs/cgroup
  local controller
  for controller in memory freezer; do
    mkdir "/sys/fs/cgroup/$controller"
    must mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
  done
}

# Starts a job, which finds out whether its limit is in force.
check_memory_limit() {
  local limit=$((memory < 50 ? memory : 50)) found
  found=$(slurm_command srun -N1 -n1 --mem="$limit" "$self" --dir "$dir" inside limit)
  [[ $found = "$((limit * 1048576))" ]] ||
    failure="a job with --mem=$limit MB was limited to ${found:-no} bytes"
  [[ -z $failure ]]
}

# Prints the smallest memory limit that holds for this process.
inside_limit() {
  local path value controller=memory file=memory.limit_in_bytes top=/sys/fs/cgroup/memory least=
  [[ $cgroup = v1 ]] || controller="" file=memory.max top=/sys/fs/cgroup
  path=$(sed -n "s,^[0-9]*:$controller:,,p" /proc/self/cgroup)
  while [[ -n $path ]]; do
    value=$(cat "$top$path/$file" 2>/dev/null)
    [[ $value =~ ^[0-9]+$ ]] && ((${least:-value} >= value)) && least=$value
    path=${path%/*}
  done
  echo "$least"
}

remove_cgroups() {
  local path
  [[ -e $dir/cgroups ]] || return 0
  while read -r _ path; do
    wait_for 5 remove_cgroup "$path" || note "cannot remove cgroup $path"
  done <"$dir/cgroups"
  # Refused, rightly, while others use it.
  [[ ! -e $dir/handed_down ]] || echo -memory 2>/dev/null >"$(<"$dir/handed_down")/cgroup.subtree_control"
}

remove_cgroup() {
  [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  [[ ! -d $1 ]]
}
