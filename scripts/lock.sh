#!/bin/sh
# Rewrites the lock files: exact versions and hashes for Python 3.11 and 3.12, no index address.
# Versions already locked stay; pass --upgrade, or --upgrade-package NAME, to move them.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-uv}
header='# Written by `make lock`; do not edit. Install: pip install --require-hashes -r THIS'

compile() { # output, arguments...
    output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$output" "$@"
    { printf '%s\n' "$header"; grep -v '^#' "$output"; } >"$output.new"
    mv "$output.new" "$output"
    if grep -nE '://|file:|^-' "$output"; then
        echo "$output names an address: remove it" >&2
        exit 1
    fi
}

compile requirements-build.lock requirements-build.in "$@"
compile requirements.lock pyproject.toml "$@"
compile requirements-dev.lock pyproject.toml --extra dev --constraint requirements.lock "$@"
compile requirements-mutants.lock requirements-mutants.in --constraint requirements-dev.lock "$@"
