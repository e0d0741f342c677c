//! Everything that can be wrong with certificates and targets, with places and hints.

use super::{Case, check};

const NAMES_AND_LABELS: &[Case] = &[
    (
        "what is no DNS name",
        r#"[[certificates]]
name = "a"
names = ["localhost", "10.0.0.1", "a_b.example.com", "*.*.example.com", ""]
"#,
        &[
            r#"3:10 "localhost" is no name for a certificate: a single word: a certificate needs a full name such as "v.example.com" (names look like "v.example.com" or "*.example.com")"#,
            r#"3:23 "10.0.0.1" is no name for a certificate: an IP address, not a DNS name (names look like "v.example.com" or "*.example.com")"#,
            r#"3:35 "a_b.example.com" is no name for a certificate: not a DNS name (names look like "v.example.com" or "*.example.com")"#,
            r#"3:54 "*.*.example.com" is no name for a certificate: a wildcard is only possible as the whole first part, as in "*.example.com" (names look like "v.example.com" or "*.example.com")"#,
            r#"3:73 "" is no name for a certificate: empty (names look like "v.example.com" or "*.example.com")"#,
        ],
    ),
    (
        "the same name written differently",
        r#"[[certificates]]
name = "a"
names = ["V.example.com", "v.example.com."]
"#,
        &[r#"3:27 "v.example.com" is there twice (remove one of the two)"#],
    ),
    (
        "no names at all",
        r#"[[certificates]]
name = "a"
[[certificates]]
name = "b"
names = []
"#,
        &[
            r#"1:1 a certificate without names (add names = ["v.example.com"])"#,
            r#"5:9 a certificate without names (add names = ["v.example.com"])"#,
        ],
    ),
    (
        "names that were mistyped are not also missing",
        r#"[[certificates]]
nmaes = ["v.example.com"]
[[certificates]]
names = "v.example.com"
"#,
        &[
            "2:1 unknown key `nmaes` (did you mean `names`?)",
            r#"4:9 invalid type: string, expected an array (put it in brackets: ["…"])"#,
        ],
    ),
    (
        "names that are missing are told beside what else is wrong",
        r#"[[certificates]]
kee = "rsa-2048"
solver = 5
"#,
        &[
            r#"1:1 a certificate without names (add names = ["v.example.com"])"#,
            "2:1 unknown key `kee` (did you mean `key`?)",
            "3:10 invalid type: integer `5`, expected a string or an array of strings ()",
        ],
    ),
    (
        "names of which none is a text are not missing",
        "[[certificates]]\nnames = [5]\n",
        &["2:10 invalid type: integer `5`, expected a string (put it in quotation marks)"],
    ),
    (
        "more than one name and no label",
        r#"[[certificates]]
names = ["a.example.com", "b.example.com"]
"#,
        &[
            r#"2:27 nothing to call the certificate by (add name = "…": a certificate with several names, or a very long one, needs a label)"#,
        ],
    ),
    (
        "a label that could be a path",
        r#"[[certificates]]
name = "a/b"
names = ["a.example.com"]
"#,
        &[
            r#"2:8 "a/b" is not a label (a label is 1 to 100 letters, digits, ".", "_" or "-", not beginning with ".")"#,
        ],
    ),
    (
        "a label that is there already",
        r#"[[certificates]]
name = "v.example.com"
names = ["w.example.com"]
[[certificates]]
names = ["v.example.com"]
"#,
        &[r#"5:10 there is another certificate "v.example.com" (give each a `name` of its own)"#],
    ),
    (
        "a name that the CA finds redundant",
        r#"[[certificates]]
name = "a"
names = ["v.example.com", "*.example.com"]
"#,
        &[
            r#"3:10 Let's Encrypt refuses "v.example.com" beside "*.example.com" (remove it: the wildcard covers it)"#,
        ],
    ),
];

#[test]
fn names_and_labels_are_checked() {
    check(NAMES_AND_LABELS);
}

const TARGETS: &[Case] = &[
    (
        "one target in two certificates of which the first has no label",
        r#"[[certificates]]
names = ["v.example.com", "w.example.com"]
[[certificates]]
names = ["v.example.com"]
"#,
        &[
            r#"2:27 nothing to call the certificate by (add name = "…": a certificate with several names, or a very long one, needs a label)"#,
            r#"4:10 v.example.com is a target of "v.example.com" already (one domain has one certificate: remove one of the two)"#,
        ],
    ),
    (
        "one target in two certificates",
        r#"[[certificates]]
name = "a"
names = ["v.example.com"]
[[certificates]]
name = "b"
names = ["v.example.com"]
"#,
        &[
            r#"6:10 v.example.com is a target of "a" already (one domain has one certificate: remove one of the two)"#,
        ],
    ),
    (
        "one target twice in a certificate",
        r#"[[certificates]]
names = ["v.example.com"]
[[certificates.targets]]
domains = ["v.example.com", "V.example.com"]
"#,
        &[
            r#"4:29 v.example.com is a target of "v.example.com" already (one domain has one certificate: remove one of the two)"#,
        ],
    ),
    (
        "domains that the certificate does not cover",
        r#"[[certificates]]
name = "a"
names = ["*.example.com"]
[[certificates.targets]]
domains = ["v.example.com", "a.b.example.com", ".example.com", "example.com", ".b.example.com", "no_name"]
"#,
        &[
            r#"5:29 no name of the certificate covers a.b.example.com (add "a.b.example.com" to `names`)"#,
            r#"5:64 no name of the certificate covers example.com (add "example.com" to `names`)"#,
            r#"5:79 no name of the certificate covers .b.example.com (add "*.b.example.com" to `names`)"#,
            r#"5:97 "no_name" is no acceleration domain: not a DNS name (domains look like "v.example.com", wildcard domains like ".example.com")"#,
        ],
    ),
    (
        "the wildcard domain written both ways",
        r#"[[certificates]]
names = ["*.example.com"]
[[certificates.targets]]
domains = [".example.com", "*.example.com"]
"#,
        &[
            r#"4:28 .example.com is a target of "_.example.com" already (one domain has one certificate: remove one of the two)"#,
        ],
    ),
    (
        "an empty list of domains",
        r#"[[certificates]]
names = ["v.example.com"]
[[certificates.targets]]
domains = []
"#,
        &[
            "4:11 a target without domains (name at least one, or leave `domains` out to take one per name)",
        ],
    ),
    (
        "words that are none",
        r#"[[certificates]]
names = ["a.example.com"]
[[certificates.targets]]
kind = "vod"
method = "autom"
cert_region = "cn-shanghai"
key_format = "pkcs1"
on_drift = "ignore"
"#,
        &[
            r#"4:8 "vod" is no kind of target (possible: "aliyun-vod")"#,
            r#"5:10 "autom" is no method (did you mean "auto"? possible: "auto", "upload", "cas")"#,
            r#"6:15 "cn-shanghai" is no region of certificates (possible: "cn-hangzhou", "ap-southeast-1")"#,
            r#"7:14 "pkcs1" is no format of keys (did you mean "pkcs8"? possible: "traditional", "pkcs8")"#,
            r#"8:12 "ignore" is no answer to drift (possible: "repair", "alert")"#,
        ],
    ),
    (
        "a look that cannot be",
        r#"[[certificates]]
names = ["a.example.com"]
[[certificates.targets]]
look = { name = "*.a.example.com", addresses = ["192.0.2.1"], deadline = "0s", every = "6" }
"#,
        &[
            r#"4:17 "*.a.example.com" is not a host name (write a name without "*" that the edge answers to)"#,
            r#"4:49 "192.0.2.1" is not an address with a port (write IP:PORT, as in "192.0.2.1:443" or "[2001:db8::1]:443")"#,
            r#"4:74 "0s" is too short (possible: 1s to 3650d)"#,
            r#"4:88 "6" is not a length of time (write a whole number with its unit: "90s", "10m", "6h", "30d")"#,
        ],
    ),
    (
        "a look at another host",
        r#"[[certificates]]
name = "a"
names = ["a.example.com", "*.a.example.com"]
[[certificates.targets]]
look = { name = "x.a.example.com" }
"#,
        &[
            r#"5:17 "x.a.example.com" is not served by a.example.com (`look.name` is for a wildcard domain: one part in front of it)"#,
        ],
    ),
    (
        "a default that several share is complained of once",
        r#"[defaults]
key = "rsa-1024"
look = { every = "never" }
[[certificates]]
names = ["a.example.com"]
[[certificates]]
names = ["b.example.com"]
"#,
        &[
            r#"2:7 "rsa-1024" is no kind of key (possible: "rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256", "ecdsa-p384")"#,
            r#"3:18 "never" is not a length of time (write a whole number with its unit: "90s", "10m", "6h", "30d")"#,
        ],
    ),
];

#[test]
fn targets_are_checked() {
    check(TARGETS);
}

const REFERENCES: &[Case] = &[
    (
        "what is referred to and is not there",
        r#"[solvers.dns]
kind = "alidns"
cloud = "defualt"
[[certificates]]
names = ["v.example.com"]
issuers = ["letsencyrpt", "mine", "zerossl", "letsencrypt", "letsencrypt"]
solver = ["alidsn", "other"]
[[certificates.targets]]
cloud = "other"
"#,
        &[
            r#"3:9 there is no cloud "defualt" (did you mean "default"?)"#,
            r#"6:12 there is no issuer "letsencyrpt" (did you mean "letsencrypt"?)"#,
            r#"6:27 there is no issuer "mine" (there are: letsencrypt, letsencrypt-staging)"#,
            r#"6:35 "zerossl" takes only accounts with an external account binding (`eab`), which is not available in this version (remove it; "letsencrypt" needs none)"#,
            r#"6:61 the issuer "letsencrypt" is there twice (remove one of the two)"#,
            r#"7:11 there is no solver "alidsn" (did you mean "alidns"?)"#,
            r#"7:21 there is no solver "other" (there are: alidns, dns)"#,
            r#"9:9 there is no cloud "other" (there are: default)"#,
        ],
    ),
    (
        "no zone for a name",
        r#"[solvers.alidns]
zones = ["example.org"]
[solvers.b]
kind = "alidns"
zones = ["example.net"]
[[certificates]]
name = "a"
names = ["v.example.com", "v.example.org"]
solver = ["alidns", "b"]
"#,
        &[
            r#"8:10 no solver is for "v.example.com" (it is not in the `zones` of alidns, b: those hold the names of certificates, not where an alias leads)"#,
        ],
    ),
    (
        "an empty list of solvers",
        r#"[[certificates]]
names = ["v.example.com"]
solver = []
"#,
        &[
            "3:10 no solver (name at least one; for a certificate that is only watched: issuers = [])",
        ],
    ),
    (
        "what is wrong itself is not also missing",
        r#"[issuers.mine]
[solvers.mine]
[clouds.mine]
credentials = {}
[[certificates]]
names = ["v.example.com"]
issuers = ["mine"]
solver = "mine"
[[certificates.targets]]
cloud = "mine"
"#,
        &[
            r#"1:10 the issuer "mine" has no `directory` (add the https URL of the CA's ACME directory)"#,
            r#"2:10 the solver "mine" has no `kind` (add kind = "alidns")"#,
            r#"4:15 this is no source of credentials (possible: "chain", { access_key_id, access_key_secret_file }, { ecs_role } or { assume_role, external_id, source })"#,
        ],
    ),
];

#[test]
fn references_are_checked() {
    check(REFERENCES);
}

const RENEWAL_AND_KEYS: &[Case] = &[(
    "values of renew and key",
    r#"[[certificates]]
names = ["a.example.com"]
renew = { at = "3/2" }
[[certificates]]
names = ["b.example.com"]
renew = { at = "2/3", before = "30d" }
[[certificates]]
names = ["c.example.com"]
renew = {}
[[certificates]]
names = ["d.example.com"]
renew = { before = "0s" }
[[certificates]]
names = ["e.example.com"]
renew = { at = "0.66" }
key = "rsa2048"
"#,
    &[
        r#"3:16 "3/2" is not a fraction of a life (write it as "2/3": more than nothing and less than the whole)"#,
        r#"6:9 `renew` needs either `at` or `before` (write { at = "2/3" } or { before = "30d" })"#,
        r#"9:9 `renew` needs either `at` or `before` (write { at = "2/3" } or { before = "30d" })"#,
        r#"12:20 "0s" is too short (possible: 1s to 3650d)"#,
        r#"15:16 "0.66" is not a fraction of a life (write it as "2/3": more than nothing and less than the whole)"#,
        r#"16:7 "rsa2048" is no kind of key (did you mean "rsa-2048"? possible: "rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256", "ecdsa-p384")"#,
    ],
)];

#[test]
fn renewal_and_keys_are_checked() {
    check(RENEWAL_AND_KEYS);
}
