#!/bin/sh
# usage: venv.sh PYTHON FOLDER
# Makes a virtual environment, and says what to do where Python is too old, has 32 bits, or Debian's venv package is missing.
set -eu
python=$1
folder=$2

fail() {
    echo "tierwatch: $*" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "$python not found. On Debian and Raspberry Pi OS: sudo apt install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: 3.11 or newer is needed (make setup PYTHON=/path/to/python3.11)"
# The pinned packages are installed as wheels, never compiled on a small board; for 32 bits some have none.
"$python" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
    fail "this is a 32-bit system: a 64-bit one is needed (Raspberry Pi OS 64-bit runs on the Pi 3 and later)"
if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
    # Debian ships Python without ensurepip; its venv package brings it.
    package=$("$python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "Python's venv module is missing. On Debian and Raspberry Pi OS: sudo apt install $package"
    fi
    echo "installing $package (Debian's Python has no venv without it)"
    log=$(mktemp)
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"; } \
        >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "$package could not be installed; once it is, run this again: sudo apt install $package"
    fi
    rm -f "$log"
fi
"$python" -m venv "$folder"
