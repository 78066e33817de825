#!/bin/bash
# down.sh [--dir FOLDER] [--keep-logs]: ends the cluster that up.sh started in FOLDER, its jobs included, and removes FOLDER.
set -u
dir=/tmp/slip-slurm keep_logs=0 given=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --dir) dir=${2:?--dir needs a folder}; shift 2 ;;
    --keep-logs) keep_logs=1; shift ;;
    *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
dir=$(realpath -m "$dir")
[ -e "$dir/.test-cluster" ] || { echo "down.sh: there is no cluster of up.sh in $dir"; exit 0; }
. "$(dirname "$0")/cluster-processes.sh"
enter_root "$0" "${given[@]}"
export SLURM_CONF="$dir/slurm.conf"
unset SLURM_JWT
started=$(date +%s%N)

# Partitions go down first, or a requeued job would start again while others are being ended.
end_jobs() {
  local partition jobs
  timeout 5 scontrol ping 2>/dev/null | grep -q UP || return 0
  for partition in main low high; do timeout 3 scontrol update partitionname=$partition state=down > /dev/null 2>&1; done
  jobs=$(timeout 5 squeue -h -o %A 2>/dev/null | sort -u)
  [ -n "$jobs" ] || return 0
  # shellcheck disable=SC2086 # a list of numbers
  { timeout 5 scancel -f $jobs; timeout 5 scancel -f -s KILL $jobs; } 2>/dev/null
  wait_until 5 no_job_runs
}
no_job_runs() { [ -z "$(timeout 3 squeue -h -t R,CG,S -o %A 2>/dev/null)" ]; }

stop_daemon slurmrestd 2
stop_daemon slurmrestd-jwt 2
end_jobs
for file in "$dir"/run/slurmd-*.pid; do
  [ -e "$file" ] || continue
  name=${file##*/}
  stop_daemon "${name%.pid}" 5
done
stop_daemon slurmctld 10
stop_daemon munged 5
# What is left is a step daemon that lost its slurmd, or a task that outlived its job.
left=$(all_processes)
# shellcheck disable=SC2086
[ -z "$left" ] || { echo "down.sh: killed what was left: $(ps -o pid=,comm= -p $(echo $left | tr ' ' ,) | tr -s ' \n' ' ')"; kill -9 $left 2>/dev/null; }
if [ $keep_logs = 1 ]; then
  find "$dir" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf {} +
else
  rm -rf "$dir"
fi
echo "down.sh: $dir is down ($(( ($(date +%s%N) - started) / 1000000 )) ms)"
