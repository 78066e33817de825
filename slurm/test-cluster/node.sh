#!/bin/bash
# node.sh --dir FOLDER start|stop|crash|kill-daemon NODE: one node of the cluster in FOLDER.
#   start        its slurmd, also after a crash
#   stop         its slurmd, as an administrator would; tasks go on
#   crash        slurmd, step daemons and all tasks at once by kill -9, as when a machine loses power
#   kill-daemon  slurmd alone by kill -9; tasks go on
set -u
[ $# = 4 ] && [ "$1" = --dir ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir=$(realpath -m "$2") action=$3 node=$4
. "$(dirname "$0")/cluster-processes.sh"
enter_root "$0" "$@"
export SLURM_CONF="$dir/slurm.conf"
unset SLURM_JWT
pid=$(cat "$dir/run/slurmd-$node.pid" 2>/dev/null)

# Step daemons are known by the log file that they keep open, tasks by their environment.
node_processes() {
  local candidate
  for candidate in $(all_processes); do
    if [ "$(cat "/proc/$candidate/comm" 2>/dev/null)" = slurmstepd ]; then
      ls -l "/proc/$candidate/fd" 2>/dev/null | grep -qF "$dir/log/slurmd-$node.log" && echo "$candidate"
    else
      tr '\0' '\n' < "/proc/$candidate/environ" 2>/dev/null | grep -qxF "SLURMD_NODENAME=$node" && echo "$candidate"
    fi
  done
}

case $action in
  start) mkdir -p "$dir/spool/$node"; exec slurmd -N "$node" -f "$dir/slurm.conf" < /dev/null 2>> "$dir/log/start.log" ;;
  stop) stop_daemon "slurmd-$node" 10 ;;
  crash)
    # Twice: a process may have started another between the look and the kill.
    for _ in 1 2; do
      # shellcheck disable=SC2046 # a list of numbers
      kill -9 $pid $(node_processes) 2>/dev/null
    done
    rm -f "$dir/run/slurmd-$node.pid" ;;
  kill-daemon) kill -9 "$pid"; rm -f "$dir/run/slurmd-$node.pid" ;;
  *) echo "node.sh: $action is not known" >&2; exit 2 ;;
esac
