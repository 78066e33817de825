#!/bin/bash
# up.sh [options]: starts a real Slurm cluster of several nodes on this machine, everything under one folder.
#   --dir FOLDER         where it lives (default /tmp/slip-slurm); must be new or empty
#   --nodes N            number of nodes, node01 to nodeN (default 4)
#   --gpus G             fake GPUs per node (default 8; 0 for none)
#   --cpus C, --memory M claimed per node (default 16 cores, 16000 MB)
#   --port P             first port (default: a free block from 27000 to 31900)
#   --grace S            GraceTime of partition low, seconds (default 10)
#   --kill-wait S        KillWait, seconds between TERM and KILL (default 5)
#   --slurmd-timeout S   seconds until a silent node is down (default 10)
#   --set KEY=VALUE      any line of slurm.conf; may be given several times
#   --no-rest            without slurmrestd
#   --root FOLDER        the Slurm of another Debian, made by make-root.sh (needs root)
#   --while PID          ends by itself when process PID is gone
# Then `. FOLDER/env.sh`, and sinfo, sbatch, srun and the rest talk to it. `down.sh --dir FOLDER` ends it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "up.sh: $*" >&2; exit 1; }
started=$(date +%s%N)
say() { echo "up.sh: $* ($(( ($(date +%s%N) - started) / 1000000 )) ms)"; }

dir=/tmp/slip-slurm nodes=4 gpus=8 cpus=16 memory=16000 port='' grace=10 kill_wait=5 slurmd_timeout=10 rest=1 root='' owner=''
extra_settings=()
given=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --no-rest) rest=0; shift; continue ;;
  esac
  [ $# -ge 2 ] || die "$1 needs a value, or is not known; see --help"
  case $1 in
    --dir) dir=$2 ;;
    --nodes) nodes=$2 ;;
    --gpus) gpus=$2 ;;
    --cpus) cpus=$2 ;;
    --memory) memory=$2 ;;
    --port) port=$2 ;;
    --grace) grace=$2 ;;
    --kill-wait) kill_wait=$2 ;;
    --slurmd-timeout) slurmd_timeout=$2 ;;
    --set) extra_settings+=("$2") ;;
    --root) root=$(realpath -m "$2") ;;
    --while) owner=$2 ;;
    *) die "$1 is not known; see --help" ;;
  esac
  shift 2
done
dir=$(realpath -m "$dir")
if [ -n "$root" ] && ! [ /usr -ef "$root/usr" ]; then exec "$here/in-root.sh" "$root" "$0" "${given[@]}"; fi
cluster_name=test
. "$here/cluster-processes.sh"
. "$here/write-config.sh"
. "$here/start-daemons.sh"

for program in munged slurmctld slurmd scontrol; do
  command -v $program > /dev/null || die "$program is not installed; the packages are in $here/README.md"
done
[[ $nodes =~ ^[1-9][0-9]?$ ]] || die "--nodes $nodes: expected 1 to 99"
# A unix socket's path may have 107 characters.
[ ${#dir} -le 80 ] || die "--dir $dir has ${#dir} characters; sockets inside need it to have at most 80"
if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ]; then die "--dir $dir is not empty; end the cluster in it with down.sh --dir $dir, or name another"; fi
choose_port

umask 022
mkdir -p "$dir"/{state,spool,log,run,dev}
chmod 700 "$dir/state"
# down.sh deletes a folder only where it finds this file.
: > "$dir/.test-cluster"
[ -z "$root" ] || echo "$root" > "$dir/root"
is_up=0
trap '[ $is_up = 1 ] || { tail -n 5 "$dir"/log/*.log >&2 || true; "$here/down.sh" --dir "$dir" >&2; }' EXIT

jwt=0
if [ -n "$(find /usr/lib* -name auth_jwt.so -print -quit 2>/dev/null)" ]; then jwt=1; fi
make_keys
write_gres_config
write_slurm_config
write_environment
export SLURM_CONF="$dir/slurm.conf"
unset SLURM_JWT

start_munge
start_controller
for ((i = 1; i <= nodes; i++)); do "$here/node.sh" --dir "$dir" start "$(node_name $i)" || die "slurmd of $(node_name $i) did not start"; done
wait_until 20 nodes_are_idle || die "the nodes were not idle after 20 s: $(timeout 5 sinfo -h -o '%n %T %E' || true)"
say "$nodes nodes with $gpus GPUs each are idle"
if [ $rest = 1 ]; then
  start_rest
  say "slurmrestd answers"
fi
[ -z "$owner" ] || watch_owner
is_up=1
say "up; . $dir/env.sh"
