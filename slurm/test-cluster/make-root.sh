#!/bin/bash
# make-root.sh --root FOLDER [--suite NAME] [--mirror URL]: a Debian of another release with its Slurm in FOLDER, for up.sh --root.
# The suite is trixie (Slurm 24.11) unless given. Needs root, debootstrap, 700 MB and some minutes; done once, FOLDER is left as it is
# later. Nothing in it is started or changes this machine.
set -euo pipefail
die() { echo "make-root.sh: $*" >&2; exit 1; }
root='' suite=trixie mirror=''
while [ $# -gt 0 ]; do
  case $1 in --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
  [ $# -ge 2 ] || die "$1 needs a value, or is not known; see --help"
  case $1 in
    --root) root=$2 ;;
    --suite) suite=$2 ;;
    --mirror) mirror=$2 ;;
    *) die "$1 is not known; see --help" ;;
  esac
  shift 2
done
[ -n "$root" ] || die "--root FOLDER says where it goes"
root=$(realpath -m "$root")
is_made() { [ -x "$root/usr/sbin/slurmctld" ] && [ -e "$root/.slurm-root" ]; }
release() { echo "make-root.sh: $root has Slurm $(cat "$root/.slurm-root")"; }
if is_made; then release; exit 0; fi
[ "$(id -u)" = 0 ] || die "needs root"
PATH=$PATH:/usr/sbin:/sbin
command -v debootstrap > /dev/null || die "debootstrap is not installed; apt-get install debootstrap"
[ ! -d "$root" ] || [ -z "$(ls -A "$root")" ] || die "--root $root is neither empty nor a root that was made here"

# Made beside and renamed, so that one that was cut off is never taken for a whole one.
partial=$root.partial.$$
trap 'rm -rf "$partial"' EXIT
mkdir -p "$(dirname "$root")"
started=$SECONDS
# munge's and Slurm's packages would start their daemons; procps is for up.sh and down.sh themselves.
mkdir -p "$partial/usr/sbin"
printf '#!/bin/sh\nexit 101\n' > "$partial/usr/sbin/policy-rc.d"
chmod 755 "$partial/usr/sbin/policy-rc.d"
packages=slurmctld,slurmd,slurm-client,slurmrestd,munge,slurm-wlm-jwt-plugin,procps
# shellcheck disable=SC2086 # no word where no mirror is given
debootstrap --variant=minbase --include=$packages "$suite" "$partial" $mirror > "$partial.log" 2>&1 ||
  die "debootstrap: $(tail -n 3 "$partial.log")"
rm -f "$partial.log"
rm -rf "$partial"/var/cache/apt/archives/*.deb "$partial"/usr/share/{doc,man,locale}
chroot "$partial" dpkg-query --showformat='${Version}\n' --show slurmctld > "$partial/.slurm-root"
[ ! -d "$root" ] || rmdir "$root"
mv "$partial" "$root"
release
echo "make-root.sh: made in $((SECONDS - started)) s"
