#!/usr/bin/env bash
# bash install.sh          the environment: an active virtualenv or conda environment, else .venv
# bash install.sh demo     the same, then train, track, score and draw on the embedded default
# bash install.sh test     the same, then the whole test suite
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

job="${1:-install}"
case "$job" in install | demo | test) ;; *)
    echo "install.sh: unknown job '$job'; use: bash install.sh [demo|test]" >&2
    exit 2
    ;;
esac
[ "$#" -gt 0 ] && shift

if [ -n "${VIRTUAL_ENV:-}" ]; then
    environment="$VIRTUAL_ENV"
elif [ -n "${CONDA_PREFIX:-}" ]; then
    environment="$CONDA_PREFIX"
else
    environment="$PWD/.venv"
    if [ ! -x "$environment/bin/python" ]; then
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
            echo "install.sh: Python 3.10 or newer is needed, python3 is $(python3 --version 2>&1)" >&2
            exit 1
        }
        echo "making $environment"
        python3 -m venv "$environment"
    fi
fi
python="$environment/bin/python"

stamp="$environment/.sdtrack-installed"
if ! cat requirements.txt constraints.txt | cmp -s - "$stamp"; then
    echo "installing into $environment (a blank environment: some minutes and about 6 GB)"
    quiet=--quiet
    [ -t 1 ] && quiet=""
    "$python" -m pip install $quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
    cat requirements.txt constraints.txt > "$stamp"
fi

if [ "$(uname -s)" = Linux ] && ! ldconfig -p 2>/dev/null | grep -q 'libturbojpeg\.so\.0'; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -qq libturbojpeg0 >/dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -y -qq libturbojpeg0; } >/dev/null 2>&1 || true
    fi
    ldconfig -p 2>/dev/null | grep -q 'libturbojpeg\.so\.0' ||
        echo "note: the optional JPEG decoder jpeg4py needs libturbojpeg; please: sudo apt-get install libturbojpeg0"
fi

"$python" tracking/check_install.py

case "$job" in
demo) exec "$python" tracking/demo.py "$@" ;;
test) exec "$python" -m pytest "$@" ;;
esac
