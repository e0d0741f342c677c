//! What this version cannot do is refused by name when it is switched on, and passes when it is
//! written as switched off.

use super::{CERTIFICATE, right, short, wrong};

/// Settings at the top of the file.
const SECTIONS: [(&str, &str); 19] = [
    ("language = \"zh\"", "language \"zh\""),
    ("[store]\nurl = \"postgres://db/vod\"", "PostgreSQL"),
    ("[store]\nplaintext_keys = true", "`plaintext_keys`"),
    ("[store]\nhost = \"a\"", "`store.host`"),
    ("[store]\npassword_file = \"/x\"", "`password_file`"),
    ("[http]\ntoken_file = \"/x\"", "`token_file`"),
    ("[http]\nclient_ca_file = \"/x\"", "`client_ca_file`"),
    ("[export]\ndir = \"/x\"", "`export`"),
    ("[export]\ncommand = [\"/x\"]", "`export.command`"),
    (
        "[issuers.letsencrypt]\npreferred_chain = \"X\"",
        "`preferred_chain`",
    ),
    ("[issuers.letsencrypt]\neab = { key_id = \"a\" }", "`eab`"),
    (
        "[issuers.zerossl]",
        "\"zerossl\" takes only accounts with an external account binding (`eab`), which",
    ),
    (
        "[solvers.a]\nkind = \"rfc2136\"\nserver = \"192.0.2.1:53\"",
        "kind of solver \"rfc2136\"",
    ),
    (
        "[solvers.a]\nkind = \"exec\"\ncommand = [\"/x\"]",
        "kind of solver \"exec\"",
    ),
    (
        "[solvers.a]\nkind = \"httpreq\"\nurl = \"https://x\"",
        "kind of solver \"httpreq\"",
    ),
    (
        "[solvers.http-01]\nlisten = \"0.0.0.0:80\"",
        "kind of solver \"http-01\"",
    ),
    (
        "[solvers.a]\nkind = \"webroot\"\ndir = \"/x\"",
        "kind of solver \"webroot\"",
    ),
    ("[[alerts]]\nkind = \"webhook\"", "`alerts`"),
    ("[heartbeat]\nurl_file = \"/x\"", "`heartbeat`"),
];

/// Settings of a certificate.
const CERTIFICATES: [(&str, &str); 2] = [
    ("reuse_key = true", "`reuse_key`"),
    ("challenge_alias = \"a.example.net\"", "`challenge_alias`"),
];

/// Settings of a target.
const TARGETS: [(&str, &str); 13] = [
    ("kind = \"aliyun-cdn\"", "kind of target \"aliyun-cdn\""),
    ("kind = \"aliyun-dcdn\"", "kind of target \"aliyun-dcdn\""),
    ("kind = \"aliyun-live\"", "kind of target \"aliyun-live\""),
    ("discover = \"san\"", "`discover`"),
    ("adopt = \"when-due\"", "way to adopt \"when-due\""),
    ("staging = { enabled = true }", "`staging`"),
    (
        "rollout = { canaries = [\"v.example.com\"] }",
        "`rollout.canaries`",
    ),
    ("rollout = { batch = 1 }", "`rollout.batch`"),
    ("rollout = { pause = \"2m\" }", "`rollout.pause`"),
    ("rollout = { max_failures = 2 }", "`rollout.max_failures`"),
    ("windows = [\"Mon-Fri 02:00-05:00\"]", "`windows`"),
    ("rollback = \"auto\"", "rollback \"auto\""),
    ("collect = { enabled = true }", "`collect`"),
];

fn assert_refused(text: &str, what: &str) {
    let problems = wrong(text);
    let [only] = short(&problems)
        .try_into()
        .unwrap_or_else(|all| panic!("{all:?} in {text}"));
    assert!(
        only.contains(&format!("{what} is not available in this version")),
        "{only}"
    );
    assert!(
        only.contains("(remove it") || only.contains("(use "),
        "{only}"
    );
}

#[test]
fn sections_are_refused_by_name() {
    for (setting, what) in SECTIONS {
        assert_refused(&format!("{setting}\n{CERTIFICATE}"), what);
    }
}

#[test]
fn settings_of_certificates_are_refused_by_name() {
    for (setting, what) in CERTIFICATES {
        assert_refused(&format!("{CERTIFICATE}{setting}\n"), what);
        assert_refused(&format!("[defaults]\n{setting}\n{CERTIFICATE}"), what);
    }
}

#[test]
fn settings_of_targets_are_refused_by_name() {
    for (setting, what) in TARGETS {
        assert_refused(
            &format!("{CERTIFICATE}[[certificates.targets]]\n{setting}\n"),
            what,
        );
        assert_refused(&format!("[defaults]\n{setting}\n{CERTIFICATE}"), what);
    }
}

#[test]
fn what_is_written_as_switched_off_passes() {
    right(
        r#"
        language = "en"
        alerts = []
        [store]
        plaintext_keys = false
        [export]
        command = []
        [issuers.letsencrypt]
        preferred_chain = ""
        [clouds.default]
        signature = "hmac-sha1"
        [heartbeat]
        every = "5m"
        [defaults]
        reuse_key = false
        challenge_alias = ""
        adopt = "replace"
        staging = { enabled = false, soak = "10m", addresses = [] }
        rollout = { canaries = [], batch = 20, pause = "60s", max_failures = 1 }
        windows = []
        rollback = "off"
        collect = { enabled = false, keep = 2, grace = "7d" }
        [[certificates]]
        names = ["v.example.com"]
        "#,
    );
}

/// Endpoints of services that nothing calls yet.
#[test]
fn endpoints_always_pass() {
    right(&format!(
        "[clouds.default.endpoints]\ncas = \"http://127.0.0.1:1\"\nsts = \"https://sts.example.com\"\n\
         cdn = \"http://[::1]:1\"\nimds = \"http://100.100.100.200\"\n{CERTIFICATE}"
    ));
}
