# shellcheck shell=bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# The files that Slurm reads. Paths differ between the two kinds of cluster, the rest does not.

network=198.18.77
head_address=$network.254

# Slurm wants a name. Hosts add this one to their /etc/passwd where the machine knows the user only by number.
user_name() { getent passwd "$user_id" | cut -d: -f1 | grep . || echo "user$user_id"; }

# Prints slurm.conf without the lines that --conf replaces.
slurm_conf() {
  local line
  local -A replaced=()
  for line in ${extra_conf[@]+"${extra_conf[@]}"}; do
    line=${line%%=*}
    replaced[${line,,}]=1
  done
  while IFS= read -r line; do
    local key=${line%%=*}
    [[ -n ${replaced[${key,,}]:-} ]] || printf '%s\n' "$line"
  done < <(default_slurm_conf)
  ((${#extra_conf[@]} == 0)) || printf '%s\n' "${extra_conf[@]}"
}

default_slurm_conf() {
  local user track=proctrack/linuxproc task=task/none select=CR_CPU
  user=$(user_name)
  if [[ $cgroup != none ]]; then
    track=proctrack/cgroup task=task/cgroup select=CR_CPU_Memory
    echo "DefMemPerCPU=$((memory / cpus > 0 ? memory / cpus : 1))"
  fi
  # config_overrides: believe the node lines below, not the machine. 2: a node that went down comes back by itself.
  cat <<END
ClusterName=ddict
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/%n.log
SlurmdParameters=config_overrides
ReturnToService=2
ProctrackType=$track
TaskPlugin=$task
SelectType=select/cons_tres
SelectTypeParameters=$select
MpiDefault=none
MailProg=/bin/true
KillWait=$kill_wait
SlurmdTimeout=$slurmd_timeout
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
  "slurm_conf_$isolation"
}

slurm_conf_namespaces() {
  cat <<END
SlurmctldHost=head($head_address)
SlurmctldPort=6817
SlurmdPort=6818
AuthInfo=socket=/run/munge/munge.socket.2
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmdSpoolDir=/run/slurmd
END
  local i
  for ((i = 1; i <= nodes; i++)); do
    echo "NodeName=n$i NodeAddr=$network.$i CPUs=$cpus RealMemory=$memory State=UNKNOWN"
  done
}

write_configuration() {
  slurm_conf >"$dir/etc/slurm.conf"
  cat >"$dir/etc/cgroup.conf" <<END
CgroupPlugin=$([[ $cgroup = v2 ]] && echo cgroup/v2 || echo cgroup/v1)
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainCores=no
ConstrainDevices=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
END
  [[ $cgroup != v2 ]] || echo "IgnoreSystemd=yes" >>"$dir/etc/cgroup.conf"
  {
    echo "127.0.0.1 localhost"
    echo "$head_address head"
    local i
    for ((i = 1; i <= nodes; i++)); do echo "$network.$i n$i"; done
  } >"$dir/etc/hosts"
  if ! getent passwd "$user_id" >/dev/null; then
    { cat /etc/passwd && echo "$(user_name):x:$user_id:$group_id::${HOME:-/}:/bin/sh"; } >"$dir/etc/passwd"
  fi
  (umask 077 && head -c 128 /dev/urandom >"$dir/munge/key")
}

# The command that starts munged, but for the name of its socket.
munged_command() {
  munged=(munged --force --foreground --key-file="$dir/munge/key" --pid-file="$dir/munge/pid"
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed")
}
