#!/bin/sh
# Makes .venv from the lock files with plain pip. `setup.sh` installs what the node needs,
# `setup.sh dev` the test and check tools too. Run it through `make`, which knows when it is due.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
venv=.venv

say() { printf '%s\n' "$*" >&2; }

# Version managers leave shims on the path that fail when run, so every candidate is really run.
usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 13)))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-} python3.12 python3.11 python3 python; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "make: MISSING_PYTHON: Hansa needs Python 3.11 or 3.12 with its venv module, and found neither."
    say "  Debian, Ubuntu:  sudo apt-get install python3 python3-venv python3-dev"
    say "  Fedora, RHEL:    sudo dnf install python3.12 python3.12-devel"
    say "  macOS:           brew install python@3.12"
    say "  elsewhere:       install it, then  make PYTHON=/path/to/python3.12 ..."
    exit 1
}

compiles() { # the text of a C program
    for compiler in ${CC:-} cc gcc clang; do
        if command -v "$compiler" >/dev/null 2>&1; then
            if printf '%s\n' "$1" | "$compiler" ${CPPFLAGS:-} -x c -fsyntax-only - >/dev/null 2>&1; then
                return 0
            fi
        fi
    done
    return 1
}

# libp2p needs fastecdsa, which is compiled here when there is no ready-made wheel for this machine.
check_compiler() {
    "$venv/bin/python" -c 'import fastecdsa' >/dev/null 2>&1 && return
    include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    missing=""
    if ! compiles 'int main(void) { return 0; }'; then
        missing="a C compiler"
    else
        compiles '#include <gmp.h>' || missing="the GMP headers (gmp.h)"
        if [ ! -f "$include/Python.h" ]; then
            missing="${missing:+$missing and }the Python headers (Python.h)"
        fi
    fi
    [ -z "$missing" ] && return
    pin=$(sed -n 's/^\(fastecdsa==[^ ]*\).*/\1/p' requirements.lock)
    scratch=$(mktemp -d)
    if "$venv/bin/python" -m pip download --quiet --no-deps --only-binary :all: -d "$scratch" "$pin" \
        >/dev/null 2>&1; then
        rm -rf "$scratch"
        return
    fi
    rm -rf "$scratch"
    say "make: MISSING_BUILD_TOOLS: missing $missing."
    say "  libp2p needs $pin, and it has to be compiled on this machine. To get what is missing:"
    say "  Debian, Ubuntu:  sudo apt-get install build-essential libgmp-dev python3-dev"
    say "  Fedora, RHEL:    sudo dnf install gcc gmp-devel python3-devel"
    say "  macOS:           xcode-select --install; brew install gmp"
    say "                   (then: export CFLAGS=-I\$(brew --prefix)/include CPPFLAGS=-I\$(brew --prefix)/include LDFLAGS=-L\$(brew --prefix)/lib)"
    exit 1
}

# Compiling every module takes longer than importing the few that are used, hence --no-compile.
install() {
    if ! "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-compile "$@"; then
        say "make: INSTALL_FAILED: pip could not install; its reasons stand above. Then run make again."
        exit 1
    fi
}

if ! usable "$venv/bin/python"; then
    python=$(find_python)
    say "Making $venv with $("$python" -V 2>&1) ($python)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
check_compiler
say "Installing the locked libraries (about a minute the first time)"
install --require-hashes -r requirements-build.lock
if [ "$kind" = dev ]; then lock=requirements-dev.lock; else lock=requirements.lock; fi
install --require-hashes --no-build-isolation -r "$lock"
install --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
# Compile once what five nodes will import at the same moment; only time is lost if this fails.
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -c 'import cli.demo, node.app' || :
say "Ready: $venv/bin/hansa --help"
