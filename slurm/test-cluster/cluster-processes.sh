# Which processes belong to a cluster, and how they are ended. Sourced by up.sh, down.sh and node.sh; needs $dir.
# A pid file can be stale and its number taken by a stranger, so a process is only touched when it names the folder.

PATH=$PATH:/usr/sbin:/sbin

# enter_root SCRIPT ARGUMENTS...: a cluster with the Slurm of another Debian is only understood by programs of that one.
enter_root() {
  local root
  [ -e "$dir/root" ] || return 0
  root=$(cat "$dir/root")
  [ /usr -ef "$root/usr" ] || exec "$(dirname "$1")/in-root.sh" "$root" "$@"
}

# An ended daemon may stay a zombie where process 1 reaps late; it counts as gone.
is_alive() {
  local state
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)
  [ -n "$state" ] && [ "$state" != Z ]
}

# A daemon by its name and folder, a task by the variables that slurmd gave it: a shell that has read env.sh is neither.
is_ours() {
  case $(cat "/proc/$1/comm" 2>/dev/null) in
    munged | slurmctld | slurmd | slurmstepd | slurmrestd)
      { tr '\0' ' ' < "/proc/$1/cmdline" | grep -qF "$dir/" || tr '\0' '\n' < "/proc/$1/environ" | grep -qxF "SLURM_CONF=$dir/slurm.conf"; } 2>/dev/null ;;
    *) [ "$(tr '\0' '\n' < "/proc/$1/environ" | grep -cxE "SLURM_CONF=$dir/slurm.conf|SLURMD_NODENAME=.*")" = 2 ] 2>/dev/null ;;
  esac 2>/dev/null
}

# Ids of every living process of this cluster: daemons, step daemons, tasks.
all_processes() {
  local entry pid
  for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    is_ours "$pid" && is_alive "$pid" && echo "$pid"
  done
}

# stop_daemon NAME SECONDS: TERM by its pid file, KILL when it takes longer.
stop_daemon() {
  local file="$dir/run/$1.pid" pid i
  pid=$(cat "$file" 2>/dev/null) || return 0
  if [ -n "$pid" ] && is_alive "$pid" && is_ours "$pid"; then
    kill "$pid" 2>/dev/null
    for ((i = 0; i < $2 * 20; i++)); do is_alive "$pid" || break; sleep 0.05; done
    if is_alive "$pid"; then
      echo "down.sh: $1 ($pid) did not end within $2 s, killed" >&2
      kill -9 "$pid"
    fi
  fi
  rm -f "$file"
}

# Whether something listens on a TCP port of this machine, without connecting to it.
is_listening() {
  awk -v port="$(printf '%04X' "$1")" '$4 == "0A" { n = split($2, a, ":"); if (a[n] == port) found = 1 } END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# wait_until SECONDS COMMAND...: polls; fails when the time is over.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}
