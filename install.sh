#!/usr/bin/env bash
# bash install.sh          the environment: an active virtualenv or conda environment, else .venv
# bash install.sh demo     the same, then track, score and draw with the shipped weights; --train: train some first
# bash install.sh test     the same, then the whole test suite
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

job="${1:-install}"
case "$job" in install | demo | test) ;; *) fail "unknown job '$job'; use: bash install.sh [demo|test]" ;; esac
[ "$#" -gt 0 ] && shift

if [ -n "${VIRTUAL_ENV:-}" ]; then
    environment="$VIRTUAL_ENV"
elif [ -n "${CONDA_PREFIX:-}" ]; then
    environment="$CONDA_PREFIX"
else
    environment="$PWD/.venv"
    if [ ! -x "$environment/bin/python" ]; then
        echo "making $environment"
        python3 -m venv "$environment" || {
            rm -rf "$environment"
            fail "python3 cannot make a virtual environment; on Debian: sudo apt-get install python3-venv"
        }
    fi
fi
python="$environment/bin/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed in $environment; it has $("$python" --version 2>&1)"
"$python" -m pip --version >/dev/null 2>&1 || fail "$environment has no pip; remove it, or add pip to it"

# The same versions twice: requirements.lock with the hashes of all files, where it was made, else constraints.txt
pins=(-r requirements.txt -c constraints.txt)
if [ "$(uname -sm)" = "Linux x86_64" ] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    pins=(--require-hashes -r requirements.lock)
fi
stamp="$environment/.sdtrack-installed"
if ! cat requirements.txt constraints.txt requirements.lock | cmp -s - "$stamp"; then
    echo "installing into $environment (a blank environment: some minutes and about 6 GB)"
    quiet=--quiet
    [ -t 1 ] && quiet=""
    "$python" -m pip install $quiet --disable-pip-version-check "${pins[@]}"
    cat requirements.txt constraints.txt requirements.lock > "$stamp"
fi

# What pip cannot bring, a library or a program: taken from Debian's packages where that is allowed, else asked for
there() { case "$1" in *.so*) "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null ;; *) command -v "$1" >/dev/null ;; esac; }
want() { # file name, Debian package, what needs it
    there "$1" && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get install -y -qq --no-install-recommends "$2" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; }; } >/dev/null 2>&1 || true
    fi
    there "$1" || echo "note: $3 needs $1; please install it (Debian: sudo apt-get install $2)"
}
if [ "$(uname -s)" = Linux ]; then
    want libGL.so.1 libgl1 "opencv-python"
    want libturbojpeg.so.0 libturbojpeg0 "the optional JPEG decoder jpeg4py"
    if [ "$job" = test ]; then # without it the tests in a browser are skipped
        want chromedriver chromium-driver "the test of the report in a browser"
    fi
fi

"$python" tracking/check_install.py

case "$job" in
demo) exec "$python" tracking/demo.py "$@" ;;
test) exec "$python" -m pytest "$@" ;;
esac
