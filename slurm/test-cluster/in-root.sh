#!/bin/bash
# in-root.sh ROOT COMMAND...: runs COMMAND with the programs and libraries of the Debian in ROOT (make-root.sh). Its /usr lies over
# this machine's for COMMAND and what it starts, and for nobody else; every other folder, and node, are this machine's. Needs root.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
root=$1
shift
# Already there: one of its jobs, or a script that was started by another.
if [ /usr -ef "$root/usr" ]; then exec "$@"; fi
[ -x "$root/usr/sbin/slurmctld" ] || { echo "in-root.sh: $root has no Slurm; make-root.sh --root $root makes it" >&2; exit 1; }
# shellcheck disable=SC2016 # the variables are those of the inner shell
exec unshare --mount --propagation private bash -c '
  root=$1 node=$(command -v node || true)
  shift
  mount --rbind /usr/local "$root/usr/local"
  case $(readlink -f "$node") in
    /usr/local/* | "") ;;
    /usr/*) : >> "$root/usr/bin/node"; mount --bind "$(readlink -f "$node")" "$root/usr/bin/node" ;;
  esac
  mount --rbind "$root/usr" /usr
  exec "$@"' in-root "$root" "$@"
