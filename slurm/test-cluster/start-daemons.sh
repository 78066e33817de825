# Starting a cluster's daemons in the order in which they need each other. Sourced by up.sh, whose variables it reads.

node_name() { printf 'node%02d' "$1"; }

# One port for the controller, one per node and one for slurmrestd, in a block where nothing listens. The search begins
# at a block that depends on this process, so that two clusters started at the same moment do not choose the same.
choose_port() {
  local i try
  for ((i = 0; i < 50; i++)); do
    try=${port:-$((27000 + 100 * (($$ + i) % 50)))}
    if block_is_free $try; then port=$try; return; fi
  done
  die "${port:+--port $port: }a port of the block is in use"
}

block_is_free() {
  local p
  for ((p = $1; p <= $1 + nodes + 1; p++)); do ! is_listening $p || return 1; done
}

make_keys() {
  ( umask 077
    head -c 128 /dev/urandom > "$dir/munge.key"
    [ $jwt = 0 ] || head -c 32 /dev/urandom > "$dir/jwt.key" )
  chmod 400 "$dir/munge.key"
}

# What a shell needs to talk to this cluster; for its owner only, since a token is added once the controller can make one.
write_environment() {
  {
    echo "export SLURM_CONF=$dir/slurm.conf"
    [ $rest = 0 ] || echo "export SLURMRESTD_SOCKET=$dir/run/slurmrestd.sock"
  } > "$dir/env.sh"
  chmod 600 "$dir/env.sh"
  [ -z "$root" ] || write_commands
}

# With --root, Slurm's commands are those of that root, too: first on PATH, also inside jobs.
write_commands() {
  local name
  mkdir "$dir/bin"
  for name in sinfo squeue sbatch srun salloc scontrol scancel sacct sstat sprio sdiag strigger; do
    printf '#!/bin/bash\nexec "%s/in-root.sh" "%s" "/usr/bin/%s" "$@"\n' "$here" "$root" $name > "$dir/bin/$name"
  done
  chmod 755 "$dir"/bin/*
  echo "export PATH=$dir/bin:\$PATH" >> "$dir/env.sh"
}

munge_answers() { munge -n -S "$dir/run/munge.sock" 2>/dev/null | unmunge -S "$dir/run/munge.sock" > /dev/null 2>&1; }

start_munge() {
  # --force: containers often have a /tmp that munged does not like.
  munged --force --num-threads=2 --key-file="$dir/munge.key" --socket="$dir/run/munge.sock" \
    --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" 2>> "$dir/log/start.log" \
    || die "munged did not start: $(tail -n 2 "$dir/log/start.log")"
  wait_until 5 munge_answers || die "munged does not answer"
}

start_controller() {
  slurmctld -f "$dir/slurm.conf" < /dev/null 2>> "$dir/log/start.log" || die "slurmctld did not start: $(tail -n 2 "$dir/log/start.log")"
  # A client that calls before it listens waits for seconds.
  wait_until 10 is_listening $port || die "slurmctld does not listen on port $port"
}

nodes_are_idle() { [ "$(timeout 3 sinfo -h -p main -o '%t %D' 2>/dev/null)" = "idle $nodes" ]; }

# Those for slurmctld only: without names slurmrestd takes those for slurmdbd too, and ends because there is none. Up to Slurm
# 23.02 a plugin is a version, openapi_v0_0_38.so; later openapi_slurmctld.so has all of them.
rest_plugins() {
  local folder file
  folder=$(dirname "$(find /usr/lib* -name auth_munge.so -print -quit 2>/dev/null)")
  for file in "$folder"/openapi_{v*,slurmctld}.so; do
    [ -e "$file" ] || continue
    file=${file##*/openapi_}
    file=${file%.so}
    printf ',openapi/%s' "${file//_/.}"
  done
}

# Two processes: with SLURM_JWT set slurmrestd knows tokens only, without it local users only. It refuses to run as the
# controller's user unless told that this is meant.
start_rest() {
  local plugins token
  plugins=$(rest_plugins)
  plugins=${plugins:+-s ${plugins#,}}
  # shellcheck disable=SC2086 # two words or none
  SLURMRESTD_SECURITY=disable_user_check setsid slurmrestd -f "$dir/slurm.conf" -a rest_auth/local $plugins \
    "unix:$dir/run/slurmrestd.sock" < /dev/null >> "$dir/log/slurmrestd.log" 2>&1 &
  echo $! > "$dir/run/slurmrestd.pid"
  wait_until 5 test -S "$dir/run/slurmrestd.sock" || die "slurmrestd did not open its socket"
  [ $jwt = 1 ] || return 0
  # shellcheck disable=SC2086
  SLURM_JWT=daemon SLURMRESTD_SECURITY=disable_user_check setsid slurmrestd -f "$dir/slurm.conf" -a rest_auth/jwt $plugins \
    "127.0.0.1:$((port + nodes + 1))" < /dev/null >> "$dir/log/slurmrestd-jwt.log" 2>&1 &
  echo $! > "$dir/run/slurmrestd-jwt.pid"
  wait_until 5 is_listening $((port + nodes + 1)) || die "slurmrestd does not listen on port $((port + nodes + 1))"
  token=$(scontrol token lifespan=86400)
  {
    echo "export SLURMRESTD_URL=http://127.0.0.1:$((port + nodes + 1))"
    echo "export SLURMRESTD_USER=$(id -un)"
    echo "export SLURMRESTD_TOKEN=${token#SLURM_JWT=}"
  } >> "$dir/env.sh"
}

# Nobody is left to call down.sh when a test run is killed.
watch_owner() {
  env -u SLURM_CONF setsid bash -c 'while kill -0 "$1" 2> /dev/null && [ -e "$2/.test-cluster" ]; do sleep 1; done; "$3/down.sh" --dir "$2"' \
    watch-owner "$owner" "$dir" "$here" < /dev/null > /dev/null 2>&1 &
}
