#!/bin/bash
# make-archive.sh [FILE]: everything that a cluster needs to run slip, in one .tgz: compiled JavaScript, production
# dependencies, recipes and site profiles, and bin/ with the commands. It unpacks on a shared folder without network, without
# npm and without a compiler; the cluster has to have Node 20.15 or newer. Made for the system and processor of this machine.
# Run `npm run build` first. Default FILE: slip-<version>-<system>-<processor>.tgz here.
set -euo pipefail
die() { echo "make-archive.sh: $*" >&2; exit 1; }
case ${1:-} in --help | -h) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
[ -e "$root/orchestrator/dist/submit/slip-submit.js" ] || die "not built yet; run npm run build in $root"
[ -d "$root/node_modules" ] || die "no node_modules; run npm ci in $root"
read -r version system processor < <(node -p '`${require(process.argv[1]).version} ${process.platform} ${process.arch}`' "$root/package.json")
name=slip-$version-$system-$processor
archive=$(realpath -m "${1:-$name.tgz}")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cd "$root"

# Links of the commands, so that one folder on PATH is enough.
mkdir "$stage/bin"
for file in orchestrator/bin/slip-*.js; do
  ln -s "../$file" "$stage/bin/$(basename "$file" .js)"
done

# What is installed and not only for development; workspaces appear as links, and their files are named below.
npm ls --omit=dev --all --parseable 2> "$stage/problems" | sed "s|^$root/\{0,1\}||" | grep '^node_modules/' | grep -v '/@slip/bench$' | sort -u > "$stage/files" ||
  die "npm ls: $(tail -n 3 "$stage/problems")"
for workspace in packages/* orchestrator worker; do
  [ -d "$workspace/dist" ] || continue
  printf '%s\n' "$workspace/package.json" "$workspace/dist"
  [ ! -d "$workspace/python" ] || echo "$workspace/python"
done >> "$stage/files"
printf '%s\n' orchestrator/bin package.json configs proto slurm docs README.md LICENSE >> "$stage/files"

# Binaries of other systems and processors, sources and tests are of no use there.
others() { local word; for word in darwin win32 linux; do [ "$word" = "$system" ] || echo "--exclude=*/$1/$word"; done; }
mapfile -t excluded < <(
  others 'onnxruntime-node/bin/napi-v*'
  others zeromq/build
  for word in arm64 x64 ia32; do [ "$word" = "$processor" ] || echo "--exclude=*/onnxruntime-node/bin/napi-v*/*/$word"; done
)
mkdir -p "$(dirname "$archive")"
chmod 755 orchestrator/bin/slip-*.js
tar --create --gzip --file="$archive.partial" --transform="s|^|$name/|S" --wildcards --wildcards-match-slash "${excluded[@]}" \
  --exclude='*.d.ts' --exclude='*.map' --exclude='*.tsbuildinfo' --exclude='*.test.js' --exclude='*.long.js' \
  --files-from="$stage/files" --directory="$stage" bin
mv "$archive.partial" "$archive"
echo "$archive: $(du -h "$archive" | cut -f1), unpacks to $name/"
