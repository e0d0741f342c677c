#!/usr/bin/env bash
# Confirms at the live Alibaba Cloud what vodcertd relies on and no test on one machine can show, with
# vodcertd's own client. To be run once, by somebody with an account; takes about ten minutes.
#
#   tests/live.sh v.example.com                                    credentials from the environment
#   tests/live.sh v.example.com --config PATH [--cloud NAME]       a cloud of a configuration
#   tests/live.sh --help                                           the other options
#
# v.example.com is a VOD acceleration domain of the account that is online, that nobody needs for some
# minutes and that no daemon looks after: meanwhile it serves certificates that no browser trusts.
# Secrets never stand on the command line: without --config they are ALIBABA_CLOUD_ACCESS_KEY_ID,
# ALIBABA_CLOUD_ACCESS_KEY_SECRET and, for temporary keys, ALIBABA_CLOUD_SECURITY_TOKEN; a configuration
# names a file, see config/example.toml. `clouds.NAME.endpoints` there leads into a VPC.
#
# Reads what there is, and whether uploads may be deleted again. Asks before it changes anything. Tells
# in a line each what the service confirmed or refused:
#   - the parameters in a form body, signed by version 1.0 and by version 3,
#   - keys RSA as PKCS#1 and PKCS#8, and ECDSA P-256 as SEC 1 and PKCS#8,
#   - the read-back, the list of stored certificates, and a certificate that is bound by its id,
#   - Env=staging, which leaves production alone, also some minutes later,
#   - a TXT record that is added, found and deleted, if the account holds the zone.
# At the end, also after ^C or a failure, it puts back the certificate that was there (or HTTPS off),
# deletes its uploads (named vodcertd-live-TIME-N) in Certificate Management Service and removes its TXT
# record. What it cannot it says in a line that begins with LEFT BEHIND; so it does of what the service
# may have taken but does not list within some minutes.
#
# It may do more than README.md asks for the daemon: the RAM user also needs
# yundun-cert:DeleteUserCertificate (resource "*"); without it nothing is done.
#
# Exit codes: 0 all was confirmed, 1 something was not, 2 something was left behind, 64 usage.
set -euo pipefail

# Paths are meant as they are where the script is called.
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
cargo build --workspace --locked --quiet --example live
programs=$(cargo metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug
export VODCERTD_LIVE_CONFIG=${VODCERTD_LIVE_CONFIG:-$root/config/minimal.toml}
cd "$here"
# The program hears signals itself: it takes the place of this script.
exec "$programs/examples/live" "$@"
