#!/bin/sh
# Print the path of a Python that can run forecastlab, or say what to install and exit with status 1.
#
# Looked at, in this order: $PYTHON (if set it must fit, nothing else is tried), versions installed by pyenv, versions
# known to uv, and the PATH. 3.13 goes before 3.12 and 3.14. A candidate counts only if it really runs: a pyenv shim
# exists on the PATH even when the version behind it is not selected.
set -u

PREFERRED="3.13 3.12 3.14"
seen=""

# Prints "3.13" if the candidate runs, can make virtual environments, and prints its version; records why not otherwise.
probe() {
    "$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' </dev/null 2>/dev/null
}

describe() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' </dev/null 2>/dev/null
}

remember() {
    version=$(describe "$1") || return 0
    fits=no
    for wanted in $PREFERRED; do
        case "$version" in "$wanted".*) fits=yes ;; esac
    done
    if [ "$fits" = yes ]; then
        why="without the venv module (Debian, Ubuntu: apt install python${version%.*}-venv)"
    else
        why="not one of $PREFERRED"
    fi
    seen="$seen
  $1: Python $version, $why"
}

candidates() {
    root=${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}
    if [ -d "$root/versions" ]; then
        # Newest patch release first, by number: 3.13.10 goes before 3.13.9.
        for found in $(ls "$root/versions" 2>/dev/null | grep "^$1\." | sort -t. -k3,3nr); do
            echo "$root/versions/$found/bin/python"
        done
    fi
    if command -v uv >/dev/null 2>&1; then
        uv python find --no-python-downloads --system "$1" </dev/null 2>/dev/null
    fi
    command -v "python$1" 2>/dev/null
    for name in python3 python; do
        command -v "$name" 2>/dev/null
    done
}

explain() {
    {
        echo "forecastlab needs Python 3.12, 3.13 or 3.14, and none was found."
        if [ -n "$seen" ]; then
            echo "Found, but not usable:$seen"
        fi
        echo "Install one, then run make again:"
        echo "  with uv:             uv python install 3.13"
        echo "  with pyenv:          pyenv install 3.13"
        echo "  Debian, Ubuntu:      apt install python3.13 python3.13-venv   (or python3.12 python3.12-venv)"
        echo "  macOS with Homebrew: brew install python@3.13"
        echo "or name one yourself:  make PYTHON=/path/to/python3.13 weekly"
    } >&2
    exit 1
}

if [ -n "${PYTHON:-}" ]; then
    version=$(probe "$PYTHON") || version=""
    for wanted in $PREFERRED; do
        if [ "$version" = "$wanted" ]; then
            command -v "$PYTHON"
            exit 0
        fi
    done
    echo "PYTHON=$PYTHON does not run, or is not what is needed." >&2
    remember "$PYTHON"
    explain
fi

IFS='
'
for wanted in $(echo "$PREFERRED" | tr ' ' '\n'); do
    for candidate in $(candidates "$wanted"); do
        if [ "$(probe "$candidate")" = "$wanted" ]; then
            echo "$candidate"
            exit 0
        fi
    done
done

# Nothing fits: collect what there is, each once.
for candidate in $( (for wanted in $(echo "$PREFERRED" | tr ' ' '\n'); do candidates "$wanted"; done) | sort -u); do
    IFS=' '
    remember "$candidate"
    IFS='
'
done
explain
