#!/usr/bin/env bash
# Shows the whole life of two certificates on this machine: ordered, proven, issued, installed, seen
# at the edge, renewed. Nothing leaves the machine but what tests/setup.sh fetches. Ctrl-C ends it.
#
#   tests/sandbox.sh          goes on until Ctrl-C; prints the address of the status page
#   tests/sandbox.sh --once   ends after the first renewal was seen at the edge, in about 90 s
#   tests/sandbox.sh --help   the other options
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tests/setup.sh
# Both in one step, so that they share every dependency with the build of the tests.
cargo build --locked --quiet --package vodcertd --package vodcertd-sandbox
programs=$(cargo metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug
exec "$programs/vodcertd-sandbox" --daemon "$programs/vodcertd" "$@"
