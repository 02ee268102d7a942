#!/bin/sh
# usage: venv.sh PYTHON FOLDER
# Makes a virtual environment, and says what to do where Python is too old or Debian's venv package is missing.
set -eu
python=$1
folder=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "tierwatch: $python not found. On Debian and Raspberry Pi OS: sudo apt install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "tierwatch: $("$python" --version) is too old: 3.11 or newer is needed (make setup PYTHON=/path/to/python3.11)" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
    # Debian ships Python without ensurepip; its venv package brings it.
    package=$("$python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing $package (Debian's Python has no venv without it)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    else
        echo "tierwatch: Python's venv module is missing. On Debian and Raspberry Pi OS: sudo apt install $package" >&2
        exit 1
    fi
fi
"$python" -m venv "$folder"
