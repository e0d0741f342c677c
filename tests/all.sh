#!/usr/bin/env bash
# Runs everything that a change must pass, and stops at the first failure.
#
#   tests/all.sh          formatting, lints, tests, documentation, licences, scripts
#   tests/all.sh --long   that, and the scripts tests/long-*.sh
#
# What this machine lacks is installed first (tests/setup.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Without this a test on a cloud host would ask its metadata service for credentials.
export ALIBABA_CLOUD_ECS_METADATA_DISABLED=true
export PATH="$PWD/target/tools/python/bin:$PATH"

main() {
    local long=false
    case "${1:-}" in
    '') ;;
    --long) long=true ;;
    *)
        echo "usage: tests/all.sh [--long]" >&2
        exit 64
        ;;
    esac

    step setup bash tests/setup.sh
    step format cargo fmt --all --check
    step scripts check_scripts
    step lints cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
    step tests cargo nextest run --workspace --locked --cargo-quiet
    step doctests cargo test --workspace --doc --locked --quiet
    step documentation env RUSTDOCFLAGS='-D warnings' \
        cargo doc --workspace --no-deps --document-private-items --locked --quiet
    step supply-chain cargo deny --offline --config .deny.toml --log-level error \
        check bans licenses sources
    if "$long"; then long_tests; fi
    echo "all: everything passed ($SECONDS s)"
}

# $1: what to call it; the rest: the command. Its output is its own; a line with the time follows.
step() {
    step=$1
    began=$SECONDS
    shift
    echo "== $step"
    # Not `if "$@"`: that would switch `set -e` off inside a function that is a step.
    trap 'echo "all: $step failed after $((SECONDS - began)) s" >&2' EXIT
    "$@"
    trap - EXIT
    echo "== $step: passed ($((SECONDS - began)) s)"
}

check_scripts() {
    local scripts=(.ci/run tests/*.sh)
    local script
    for script in "${scripts[@]}"; do bash -n "$script"; done
    shellcheck "${scripts[@]}"
}

long_tests() {
    local script
    for script in tests/long-*.sh; do
        step "$script" bash "$script"
    done
}

main "$@"
