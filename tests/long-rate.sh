#!/usr/bin/env bash
# Makes 300 installs at a gateway that enforces 30 a second, by the client alone and by the daemon with 300
# certificates, and says how much of that was used; fails if one was throttled or less than 95 % was
# used. Needs the machine to itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export ALIBABA_CLOUD_ECS_METADATA_DISABLED=true
VODCERTD_INSTALLS=300 cargo nextest run --workspace --locked --cargo-quiet --no-capture --test-threads 1 \
    -E 'test(=aliyun::rate::installs_at_once_meet_no_throttle_and_use_the_rate)
        + test(=daemon::rate::certificates_that_wait_are_installed_at_the_rate_of_the_cloud)'
