#!/bin/sh
# usage: sudo sh deploy/install/host.sh hub|node|docker|remove
# Gives systemd what it needs to run Tierwatch from /opt/tierwatch: the user, /etc/tierwatch, the units. It starts and
# enables nothing. Run again after an upgrade: a configuration file that was edited is never overwritten.
# docker: lets the exporter of this host ask Docker about containers.
set -eu
home=/opt/tierwatch
etc=/etc/tierwatch
units=/etc/systemd/system
here=$(cd "$(dirname "$0")/../.." && pwd -P)

fail() {
    echo "tierwatch: $*" >&2
    exit 1
}

place() {
    sh "$home/deploy/install/conffile.sh" "$home/config/$1" "$etc/$1" "$etc/.shipped"
}

# Not in the image of a card that is being built: there is no systemd running to tell.
reload() {
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

unit() {
    if ! cmp -s "$home/deploy/systemd/$1" "$units/$1"; then
        install -m 644 "$home/deploy/systemd/$1" "$units/$1"
        echo "new      $units/$1"
    fi
}

docker() {
    [ -e "$units/tierwatch-exporter.service" ] || fail "first: sudo sh $home/deploy/install/host.sh node (or hub)"
    getent group docker >/dev/null || fail "there is no group docker: is Docker installed here?"
    install -d -m 755 "$units/tierwatch-exporter.service.d"
    install -m 644 "$here/deploy/systemd/tierwatch-exporter-docker.conf" "$units/tierwatch-exporter.service.d/docker.conf"
    reload
    echo "new      $units/tierwatch-exporter.service.d/docker.conf"
    echo "The exporter may now open Docker's socket. Whoever may do that owns this machine; it only ever asks."
    echo "To take that back: sudo rm $units/tierwatch-exporter.service.d/docker.conf && sudo systemctl daemon-reload"
    echo "Next: sudo systemctl restart tierwatch-exporter"
}

remove() {
    for name in tierwatch-aggregator tierwatch-exporter; do
        if [ -e "$units/$name.service" ]; then
            systemctl disable --now "$name.service"
            rm "$units/$name.service"
            echo "removed  $units/$name.service"
        fi
    done
    if [ -e "$units/tierwatch-exporter.service.d/docker.conf" ]; then
        rm "$units/tierwatch-exporter.service.d/docker.conf"
        rmdir "$units/tierwatch-exporter.service.d" 2>/dev/null || :
        echo "removed  $units/tierwatch-exporter.service.d/docker.conf"
    fi
    reload
    echo "Still there, because they are yours: $etc, /var/lib/tierwatch (what was measured), $home, the user tierwatch."
    echo "To remove them too: sudo rm -rf $etc /var/lib/tierwatch $home && sudo userdel tierwatch"
}

role=${1:-}
case $role in
hub | node | docker | remove) ;;
*) fail "usage: sudo sh deploy/install/host.sh hub|node|docker|remove" ;;
esac
[ "$(id -u)" = 0 ] || fail "this changes /etc: run it with sudo"
command -v systemctl >/dev/null || fail "systemd is needed"
if [ "$role" = remove ] || [ "$role" = docker ]; then
    "$role"
    exit 0
fi
[ "$here" = "$home" ] || fail "the units run $home, this is $here: clone to $home (see README.md)"
stamp=$home/.venv/installed-exporter target=setup-node
[ "$role" = node ] || stamp=$home/.venv/installed-hub target=setup
[ -e "$stamp" ] || [ -e "$home/.venv/installed-hub" ] || fail "first: sudo make -C $home $target"

systemd-sysusers "$home/deploy/systemd/tierwatch.sysusers"
# As the service will run it: a Python or a clone that only root may read would fail there, in the journal.
runuser -u tierwatch -- "$home/.venv/bin/tierwatch" --version >/dev/null ||
    fail "the user tierwatch cannot run $home/.venv/bin/tierwatch: it must be able to read $home and the Python behind it"
install -d -m 755 "$etc"
place cluster.yaml
if [ "$role" = hub ]; then
    install -d -m 755 "$etc/rules"
    place alerting.yaml
    for file in "$home"/config/rules/*.yml; do
        place "rules/$(basename "$file")"
    done
    unit tierwatch-aggregator.service
fi
unit tierwatch-exporter.service
if [ ! -e "$etc/environment" ]; then
    install -m 600 "$home/deploy/systemd/environment.example" "$etc/environment"
    echo "new      $etc/environment"
fi
reload
services=tierwatch-exporter
[ "$role" = node ] || services="tierwatch-exporter tierwatch-aggregator"
if systemctl --quiet is-active tierwatch-exporter 2>/dev/null; then
    echo "Next: sudo systemctl restart $services"
else
    echo "Next: look at $etc/cluster.yaml and $etc/environment, then: sudo systemctl enable --now $services"
fi
