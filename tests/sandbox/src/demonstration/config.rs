//! The configuration file that the daemon is given. It decides nothing: every address is told.

use std::net::SocketAddr;
use std::path::Path;

/// What the configuration refers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// Where the daemon may keep its files.
    pub(super) home: &'a Path,
    /// Where it shall serve its status page.
    pub(super) http: SocketAddr,
    /// The resolver and the name server of every zone.
    pub(super) dns: SocketAddr,
    /// The edge's production nodes.
    pub(super) edge: SocketAddr,
    /// The Alibaba Cloud gateway.
    pub(super) gateway: &'a str,
    /// The CA's directory.
    pub(super) directory: &'a str,
    /// The root of the CA's HTTPS side.
    pub(super) ca_file: &'a Path,
}

/// Two certificates, one of them with a wildcard; each name is a VOD domain (the default targets).
///
/// The brake is off in effect: certificates of minutes need far more orders a day than real ones.
pub(super) fn text(places: Places<'_>) -> String {
    let Places {
        home,
        http,
        dns,
        edge,
        gateway,
        directory,
        ca_file,
    } = places;
    let (home, ca_file) = (home.display(), ca_file.display());
    format!(
        r#"contact = ["ops@example.com"]

[store]
url = "sqlite://{home}/state.db"

[schedule]
brake = {{ orders_per_day = 1000 }}

[http]
listen = "{http}"

[dns]
resolvers = ["{dns}"]
authoritative = ["{dns}"]

[network]
ca_file = "{ca_file}"

[issuers.sandbox]
directory = "{directory}"

[clouds.default]
endpoints = {{ vod = "{gateway}", alidns = "{gateway}", cas = "{gateway}", sts = "{gateway}" }}

[solvers.alidns]
kind = "alidns"
propagation = {{ timeout = "1m", poll = "1s" }}

[defaults]
issuers = ["sandbox"]
look = {{ addresses = ["{edge}"] }}

[[certificates]]
name = "video"
names = ["v.example.com", "*.v.example.com"]
key = "rsa-2048"

[[certificates]]
name = "download"
names = ["download.example.com"]
key = "ecdsa-p256"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_named() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = text(Places {
            home: Path::new("/sandbox"),
            http: address(1),
            dns: address(2),
            edge: address(3),
            gateway: "http://127.0.0.1:4",
            directory: "https://127.0.0.1:5/dir",
            ca_file: Path::new("/sandbox/ca.pem"),
        });
        for line in [
            r#"url = "sqlite:///sandbox/state.db""#,
            r#"listen = "127.0.0.1:1""#,
            r#"authoritative = ["127.0.0.1:2"]"#,
            r#"look = { addresses = ["127.0.0.1:3"] }"#,
            r#"directory = "https://127.0.0.1:5/dir""#,
            r#"ca_file = "/sandbox/ca.pem""#,
        ] {
            assert!(text.lines().any(|written| written == line), "{line}");
        }
        assert_eq!(text.matches("http://127.0.0.1:4").count(), 4);
    }
}
