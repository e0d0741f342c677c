#!/usr/bin/env bash
# Makes 300 calls that install at once at a gateway that enforces 30 a second, and says how much of
# that was used; fails if one was throttled or less than 95 % was used. Needs the machine to itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VODCERTD_INSTALLS=300 cargo nextest run --workspace --locked --cargo-quiet --no-capture \
    -E 'test(=aliyun::rate::installs_at_once_meet_no_throttle_and_use_the_rate)'
