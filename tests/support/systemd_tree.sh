#!/bin/sh
# Makes a small Debian with systemd and a system bus below .peers, to be booted by systemd-nspawn in tests. As root.
set -eu
tree=$(dirname "$0")/../../.peers/systemd-tree
[ -e "$tree/usr/lib/systemd/systemd" ] && exit 0
for program in debootstrap systemd-nspawn; do
    command -v "$program" >/dev/null || { echo "needs $program: apt install debootstrap systemd-container" >&2; exit 1; }
done
mkdir -p "$tree"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$tree" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$tree.log" 2>&1 || {
    tail -5 "$tree.log" >&2
    rm -rf "$tree"
    exit 1
}
