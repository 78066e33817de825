# Writes slurm.conf, gres.conf and cgroup.conf of a cluster into $dir. Sourced by up.sh, whose variables it reads.

# Extra "Key=Value" lines of --set win over ours: Slurm takes the last of two equal keys only for some, so ours is left out.
setting() {
  local extra
  for extra in "${extra_settings[@]}"; do [ "${extra%%=*}" != "${1%%=*}" ] || return 0; done
  echo "$1"
}

node_range() { if [ "$nodes" = 1 ]; then node_name 1; else echo "node[$(printf %02d 1)-$(printf %02d "$nodes")]"; fi; }
port_range() { if [ "$nodes" = 1 ]; then echo $((port + 1)); else echo "[$((port + 1))-$((port + nodes))]"; fi; }

write_gres_config() {
  local gpu
  : > "$dir/gres.conf"
  [ "$gpus" -gt 0 ] || return 0
  # A GPU has to be a character device for slurmd; a link to one is enough and needs no root.
  for ((gpu = 0; gpu < gpus; gpu++)); do ln -sfn /dev/null "$dir/dev/nvidia$gpu"; done
  echo "NodeName=$(node_range) Name=gpu File=$dir/dev/nvidia$([ "$gpus" = 1 ] && echo 0 || echo "[0-$((gpus - 1))]")" > "$dir/gres.conf"
}

write_slurm_config() {
  {
    setting "ClusterName=$cluster_name"
    setting "SlurmctldHost=localhost(127.0.0.1)"
    setting "SlurmctldPort=$port"
    setting "SlurmUser=$(id -un)"
    setting "SlurmdUser=$(id -un)"
    echo "# loopback only: a test cluster is nobody else's business"
    setting "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"
    setting "AuthType=auth/munge"
    setting "CredType=cred/munge"
    echo "# 5 s is the shortest life of a credential, and how long a requeued job has to wait"
    setting "AuthInfo=socket=$dir/run/munge.sock,cred_expire=5"
    if [ "$jwt" = 1 ]; then
      setting "AuthAltTypes=auth/jwt"
      setting "AuthAltParameters=jwt_key=$dir/jwt.key"
    fi
    setting "StateSaveLocation=$dir/state"
    setting "SlurmdSpoolDir=$dir/spool/%n"
    setting "SlurmctldPidFile=$dir/run/slurmctld.pid"
    setting "SlurmdPidFile=$dir/run/slurmd-%n.pid"
    setting "SlurmctldLogFile=$dir/log/slurmctld.log"
    setting "SlurmdLogFile=$dir/log/slurmd-%n.log"
    setting "MailProg=/bin/true"
    echo "# no cgroups, no binding, no limits: this has to run inside a container"
    setting "ProctrackType=proctrack/linuxproc"
    setting "TaskPlugin=task/none"
    setting "JobAcctGatherType=jobacct_gather/none"
    setting "SwitchType=switch/none"
    setting "MpiDefault=none"
    setting "PropagateResourceLimits=NONE"
    echo "# quick reactions instead of a quiet controller"
    setting "SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=1,requeue_setup_env_fail"
    setting "SelectType=select/cons_tres"
    setting "SelectTypeParameters=CR_Core"
    setting "PreemptType=preempt/partition_prio"
    setting "PreemptMode=REQUEUE"
    setting "KillWait=$kill_wait"
    setting "SlurmdTimeout=$slurmd_timeout"
    setting "SlurmctldTimeout=10"
    setting "MessageTimeout=5"
    setting "TCPTimeout=2"
    setting "BatchStartTimeout=10"
    setting "InactiveLimit=0"
    setting "MinJobAge=86400"
    setting "JobRequeue=1"
    echo "# 1: a node that an administrator has set down stays down until resumed"
    setting "ReturnToService=1"
    setting "AccountingStorageType=accounting_storage/none"
    setting "JobCompType=jobcomp/filetxt"
    setting "JobCompLoc=$dir/log/jobcomp.log"
    echo "# nodes claim more cores than this machine has"
    setting "SlurmdParameters=config_overrides"
    setting "GresTypes=gpu"
    [ ${#extra_settings[@]} = 0 ] || printf '%s\n' "${extra_settings[@]}"
    echo "NodeName=$(node_range) NodeHostname=localhost NodeAddr=127.0.0.1 Port=$(port_range) CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$memory Features=fake$([ "$gpus" = 0 ] || echo " Gres=gpu:$gpus")"
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF"
    echo "PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=$grace"
    echo "PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=OFF"
  } > "$dir/slurm.conf"
  # Read even where no plugin uses cgroups; naming a version keeps daemons from probing for one.
  echo 'CgroupPlugin=cgroup/v1' > "$dir/cgroup.conf"
}
