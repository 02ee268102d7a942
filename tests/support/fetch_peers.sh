#!/bin/sh
# Fetches the programs that tests compare with (Prometheus, promtool, amtool, exporters, VictoriaMetrics, a Linux that
# runs as a process) into .peers, out of Debian's packages, without installing them: nothing is started, no root is
# needed. Where that is not possible (another distribution, no package lists) the tests that need them say so and are
# skipped.
set -u
packages="prometheus prometheus-alertmanager prometheus-node-exporter victoria-metrics
  prometheus-redis-exporter prometheus-postgres-exporter prometheus-nginx-exporter"
[ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ] || packages="$packages user-mode-linux"
folder=.peers
# Debian's JupyterHub wants its proxy from npm; PyPI has both. In an environment of its own: nothing of ours needs them.
hub=tests/support/jupyterhub.txt

fetch_hub() {
    cmp -s "$hub" "$folder/jupyterhub/complete" && return
    rm -rf "$folder/jupyterhub"
    if .venv/bin/python -m venv "$folder/jupyterhub" &&
        "$folder/jupyterhub/bin/pip" --disable-pip-version-check install --quiet --require-hashes -r "$hub"; then
        cp "$hub" "$folder/jupyterhub/complete"
    else
        echo "peers: JupyterHub cannot be fetched; tests that need it are skipped"
    fi
}

mkdir -p "$folder"
fetch_hub
[ "$(cat "$folder/complete" 2>/dev/null)" = "$packages" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "peers: no apt here; tests that need Prometheus are skipped"
    exit 0
fi
mkdir -p "$folder/download"
if [ "$(id -u)" = 0 ] && ! apt-cache show prometheus >/dev/null 2>&1; then
    apt-get update -qq
fi
for package in $packages; do
    if ! (cd "$folder/download" && apt-get download -qq "$package" >/dev/null 2>&1); then
        echo "peers: package $package cannot be fetched; tests that need it are skipped (sudo apt-get update, then again)"
        exit 0
    fi
done
for archive in "$folder"/download/*.deb; do
    dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$folder" --exclude=./usr/lib/uml || exit 0 # without its modules
done
rm -rf "$folder/download"
echo "$packages" >"$folder/complete"
