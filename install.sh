#!/usr/bin/env bash
# bash install.sh          the environment: an active virtualenv or conda environment, else .venv
# bash install.sh demo     the same, then track, score and draw with the shipped weights; --train: train first
# bash install.sh test     the same with all extras, then checks of the code and the whole test suite
# --with LIST              extras, comma-separated: vot, export, report, stem, tune, dev, or all (see requirements/*.txt)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

EXTRAS="vot export report stem tune dev"

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

job=install
case "${1:-}" in
install | demo | test) job="$1" && shift ;;
"" | --*) ;;
*) fail "unknown job '$1'; use: bash install.sh [demo|test] [--with LIST]" ;;
esac
wanted=""
if [ "${1:-}" = --with ]; then
    [ "$#" -ge 2 ] || fail "--with needs a list of extras: ${EXTRAS// /,} or all"
    wanted="${2//,/ }"
    shift 2
fi
if [ "$wanted" = all ] || [ "$job" = test ]; then wanted="$EXTRAS"; fi
for extra in $wanted; do
    case " $EXTRAS " in *" $extra "*) ;; *) fail "unknown extra '$extra'; there are: ${EXTRAS// /, }, all" ;; esac
done

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

# What is installed already stays: a stamp per group of requirements, the files that it was installed from
stamps="$environment/.sdtrack-installed"
[ -f "$stamps" ] && rm -f "$stamps" # one file in older versions
mkdir -p "$stamps"
groups=()
for group in base $wanted; do
    cat constraints.txt "requirements/$group.txt" "requirements/$group.lock" | cmp -s - "$stamps/$group" || groups+=("$group")
done

# The same versions twice: *.lock with the hashes of all files, for the platform it was made on, else constraints.txt
if [ "${#groups[@]}" -gt 0 ]; then
    pins=()
    if [ "$(uname -sm)" = "Linux x86_64" ] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        pins=(--require-hashes)
        for group in "${groups[@]}"; do pins+=(-r "requirements/$group.lock"); done
    else
        pins=(-c constraints.txt)
        for group in "${groups[@]}"; do pins+=(-r "requirements/$group.txt"); done
    fi
    echo "installing ${groups[*]} into $environment (base in a blank environment: some minutes and about 5.5 GB)"
    quiet=--quiet
    [ -t 1 ] && quiet=""
    "$python" -m pip install $quiet --disable-pip-version-check "${pins[@]}"
    for group in "${groups[@]}"; do
        cat constraints.txt "requirements/$group.txt" "requirements/$group.lock" > "$stamps/$group"
    done
fi

# Libraries and programs that pip cannot install: from Debian's packages if this is root, else a note
has() { case "$1" in *.so*) "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null ;; *) command -v "$1" >/dev/null ;; esac; }
want() { # library or program, Debian package, what needs it
    has "$1" && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get install -y -qq --no-install-recommends "$2" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; }; } >/dev/null 2>&1 || true
    fi
    has "$1" || echo "note: $3 needs $1; please install it (Debian: sudo apt-get install $2)"
}
if [ "$(uname -s)" = Linux ]; then
    want libGL.so.1 libgl1 "opencv-python"
    case " $wanted " in
    *" dev "*)
        want libturbojpeg.so.0 libturbojpeg0 "the optional JPEG decoder jpeg4py"
        # without these, tests are skipped
        want chromedriver chromium-driver "the tests of the report and of the page in a browser"
        want Xvfb xvfb "the test of the window of video_demo.py --show"
        want npm npm "the test of the page (export.py --format web)"
        ;;
    esac
fi

"$python" tracking/check_install.py base $wanted

case "$job" in
demo) exec "$python" tracking/demo.py "$@" ;;
test)
    "$python" -m ruff check .
    "$python" -m ruff format --check .
    "$python" -m mypy
    exec "$python" -m pytest "$@"
    ;;
esac
