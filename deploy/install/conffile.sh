#!/bin/sh
# usage: conffile.sh SHIPPED INSTALLED RECORD
# Installs a configuration file as dpkg treats its conffiles: what was edited is never overwritten, what was not follows
# the upgrade. RECORD holds "sum path" of each file as it was last shipped; an INSTALLED that differs was edited.
# A new version that cannot take its place is put beside it as INSTALLED.new.
set -eu
shipped=$1
installed=$2
record=$3

sum() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

new=$(sum "$shipped")
was=$(awk -v path="$installed" '$2 == path { print $1 }' "$record" 2>/dev/null || true)
if [ ! -e "$installed" ]; then
    install -m 644 "$shipped" "$installed"
    echo "new      $installed"
else
    is=$(sum "$installed")
    if [ "$is" != "$new" ] && [ "$is" = "$was" ]; then
        install -m 644 "$shipped" "$installed"
        echo "updated  $installed"
    elif [ "$is" != "$new" ] && [ "$new" != "$was" ]; then
        install -m 644 "$shipped" "$installed.new"
        echo "kept     $installed, which was edited; this version's is beside it: $installed.new"
    fi
fi
{
    awk -v path="$installed" '$2 != path' "$record" 2>/dev/null || true
    echo "$new $installed"
} >"$record.tmp"
mv "$record.tmp" "$record"
