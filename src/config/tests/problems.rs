//! How problems are shown, what is never shown, and that nothing makes the parser panic.

use proptest::prelude::*;

use super::{CERTIFICATE, parse, right, short, wrong};

#[test]
fn a_problem_is_shown_with_file_line_caret_and_hint() {
    let problems = wrong("[store]\nhistory = \"1w\"\n[[certificates]]\nnames = []\n");
    let expected = r#"error: "1w" is not a length of time
 --> c.toml:2:11
  |
2 | history = "1w"
  |           ^^^^
  |
  = help: write a whole number with its unit: "90s", "10m", "6h", "30d"

error: a certificate without names
 --> c.toml:4:9
  |
4 | names = []
  |         ^^
  |
  = help: add names = ["v.example.com"]

warning: nobody is alerted when something goes wrong
--> c.toml
 = help: alerts are not available in this version: watch `vodcertd status --check` or /metrics"#;
    assert_eq!(problems.render(false), expected);
}

#[test]
fn a_file_without_certificates_is_of_no_use() {
    let problems = wrong("");
    let messages: Vec<_> = problems
        .iter()
        .map(super::super::Problem::message)
        .collect();
    assert!(
        messages.contains(&"there are no certificates"),
        "{problems}"
    );
}

#[test]
fn one_section_for_several_is_the_only_problem() {
    for (text, hint) in [
        (
            "[certificates]\nnames = [\"v.example.com\"]\n",
            "write [[certificates]]: one section per entry",
        ),
        (
            "[[certificate]]\nnames = [\"v.example.com\"]\n",
            "did you mean `certificates`?",
        ),
        (
            "[[certificates]]\nnames = [\"v.example.com\"]\n[certificates.targets]\n",
            "write [[certificates.targets]]: one section per entry",
        ),
        (
            "[alerts]\n[[certificates]]\nnames = [\"v.example.com\"]\n",
            "write [[alerts]]: one section per entry",
        ),
    ] {
        let problems = short(&wrong(text));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(hint), "{problems:?}");
    }
}

/// What looks like a user in a path is none, and a directory may have a query.
#[test]
fn a_directory_may_be_any_https_url() {
    right(&format!(
        "[issuers.a]\ndirectory = \"https://ca.example.com/acme/@us?tenant=a@b\"\n{CERTIFICATE}"
    ));
}

#[test]
fn a_warning_does_not_stop_anything() {
    let shown = right(CERTIFICATE).warnings.render(false);
    assert!(shown.starts_with("warning: nobody is alerted"), "{shown}");

    let unused = format!("{CERTIFICATE}targets = []\n");
    let shown = right(&unused).warnings.render(false);
    assert!(shown.contains("c.toml:3:11"), "{shown}");

    let region = |text: &str| {
        right(&format!("{text}\n{CERTIFICATE}"))
            .warnings
            .render(false)
    };
    let shown = region("[clouds.a]\nregion = \"cn-shangai\"");
    assert!(
        shown.contains("no VOD endpoint of \"cn-shangai\""),
        "{shown}"
    );
    for known in [
        "[clouds.a]\nregion = \"cn-shanghai\"",
        "[clouds.a]\nregion = \"mars\"\nendpoints = { vod = \"https://vod.example\" }",
    ] {
        assert!(!region(known).contains("no VOD endpoint"), "{known}");
    }
}

#[test]
fn passwords_in_urls_are_not_shown() {
    for text in [
        "[network]\nproxy = \"http://me:s3cret@proxy:3128\"\n",
        "[network]\nproxy = \"://me:s3cret@proxy\"\n",
        "[store]\nurl = \"postgres://vod:s3cret@db/vod\"\n",
        "[store]\nurl = \"mysql://vod:s3cret@db/vod\"\n",
        "[clouds.a]\nendpoints = { vod = \"https://me:s3cret@x\" }\n",
    ] {
        let shown = wrong(&format!("{text}{CERTIFICATE}")).render(false);
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("*****"), "{shown}");
    }
}

/// A secret that stands where its place belongs, or behind a key that looks like it.
#[test]
fn no_secret_in_the_file_is_shown() {
    const SECRET: &str = "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8=";
    let settings = [
        "[store]\nkey_file = VALUE",
        "[store]\npassword_file = VALUE",
        "[http]\ntoken_file = VALUE",
        "[issuers.letsencrypt]\neab = { key_id = \"a\", hmac_key_file = VALUE }",
        "[issuers.letsencrypt]\neab = VALUE",
        "[clouds.a]\ncredentials = { access_key_id = \"a\", access_key_secret_file = VALUE }",
        "[clouds.a]\ncredentials = { source = { access_key_secret_file = VALUE } }",
        "[clouds.a]\ncredentials = VALUE",
        "[solvers.a]\nkind = \"rfc2136\"\ntsig = { name = \"a\", key_file = VALUE }",
        "[solvers.a]\ntsig = VALUE",
        "[[alerts]]\nurl_file = VALUE",
        "[heartbeat]\nurl_file = VALUE",
        "[heartbeat]\nurl_flie = VALUE",
    ];
    let absolute = format!("\"/{}\"", &SECRET[1..]);
    let values = [
        format!("\"{SECRET}\""),
        format!("'{SECRET}'"),
        absolute,
        format!("[\"{SECRET}\"]"),
        format!("{{ x = \"{SECRET}\" }}"),
        // Not TOML.
        SECRET.to_owned(),
        format!("\"{SECRET}"),
        format!("\"\"\"\n{SECRET}\n\"\"\", \"{SECRET}\""),
        format!("\"{SECRET}\" \"{SECRET}\""),
        format!("= \"{SECRET}\""),
    ];
    for setting in settings {
        for value in &values {
            let text = format!("{}\n{CERTIFICATE}", setting.replace("VALUE", value));
            let shown = wrong(&text).render(false);
            assert!(!shown.contains(&SECRET[1..]), "{shown}");
        }
    }
}

#[test]
fn too_many_names_are_refused() {
    let text = |count: usize, more: &str| {
        let names: Vec<_> = (0..count)
            .map(|n| format!("\"n{n}.example.com\""))
            .collect();
        format!(
            "{more}[[certificates]]\nname = \"a\"\nnames = [{}]\n",
            names.join(", ")
        )
    };
    let short_lived = "[issuers.letsencrypt]\nprofile = \"shortlived\"\n";
    right(&text(100, ""));
    right(&text(25, short_lived));
    for text in [text(101, ""), text(26, short_lived)] {
        let problems = short(&wrong(&text));
        assert!(
            problems[0].contains("names are more than the CA takes"),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

/// Only Let's Encrypt is known to refuse it.
#[test]
fn a_name_beside_its_wildcard_is_left_to_other_cas() {
    right(
        "[issuers.mine]\ndirectory = \"https://ca.example.com/dir\"\n\
         [[certificates]]\nname = \"a\"\nissuers = [\"mine\"]\n\
         names = [\"v.example.com\", \"*.example.com\"]\n",
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        if let Err(problems) = parse(&text, "c.toml") {
            problems.render(true);
        }
    }

    /// Settings that exist, with values that may not.
    #[test]
    fn no_value_makes_the_parser_panic(
        (key, value) in (0..VALUES.len(), "\\PC{0,20}|[-*/,0-9 ]{1,20}|[a-z:/@.*]{1,30}"),
    ) {
        let text = VALUES[key].replace("VALUE", &serde_json::Value::from(value).to_string());
        match parse(&text, "c.toml") {
            Ok(loaded) => loaded.warnings.render(false),
            Err(problems) => problems.render(false),
        };
    }
}

/// One of each kind of value.
const VALUES: [&str; 9] = [
    "[[certificates]]\nnames = [VALUE]",
    "[[certificates]]\nnames = [\"v.example.com\"]\nrenew = { at = VALUE }",
    "[[certificates]]\nnames = [\"v.example.com\"]\ntargets = [{ domains = [VALUE] }]",
    "[schedule]\ntick = VALUE\ntimezone = VALUE",
    "[store]\nurl = VALUE\nkey_file = VALUE\nhistory = VALUE",
    "[http]\nlisten = VALUE",
    "[issuers.x]\ndirectory = VALUE\ncontact = [VALUE]",
    "[solvers.alidns]\nzones = [VALUE]\nkind = VALUE",
    "[clouds.x]\nregion = VALUE\ncredentials = VALUE\nendpoints = { vod = VALUE }",
];
