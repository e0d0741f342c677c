//! Everything that can be wrong with the other sections, with places and hints.

use super::{Case, check};

const ISSUERS: &[Case] = &[
    (
        "directories",
        r#"[issuers.mine]
[issuers.plain]
directory = "http://ca.example.com/dir"
[issuers.local]
directory = "http://127.0.0.1/dir"
[issuers.ftp]
directory = "ftp://x/y"
[issuers.typo]
directory = "letsencript"
[issuers.unknown]
directory = "buypass"
[issuers.bad]
directory = "https://"
[issuers.fragment]
directory = "https://ca.example.com/dir#x"
[issuers.user]
directory = "https://me:s3cret@ca.example.com/dir"
"#,
        &[
            r#"1:10 the issuer "mine" has no `directory` (add the https URL of the CA's ACME directory)"#,
            r#"3:13 "http://ca.example.com/dir" is not an https URL (write it as "https://HOST/PATH")"#,
            r#"5:13 "http://127.0.0.1/dir" is not an https URL (write it as "https://HOST/PATH")"#,
            r#"7:13 "ftp://x/y" is not an https URL (write it as "https://HOST/PATH")"#,
            r#"9:13 "letsencript" is no CA that is known (did you mean "letsencrypt"?)"#,
            r#"11:13 "buypass" is no CA that is known (write the https URL of its ACME directory)"#,
            r#"13:13 "https://" is not a URL (write it as "https://HOST/PATH")"#,
            r##"15:13 "https://ca.example.com/dir#x" ends in a fragment (remove it, from "#" on)"##,
            "17:13 a URL in this file must not hold a user name or a password (remove them)",
        ],
    ),
    (
        "limits",
        r#"[issuers.letsencrypt]
limits = { orders_per_account = "300", exact_set = "0/1h", registered_domain = "5/soon", failed_validations = "" }
"#,
        &[
            r#"2:33 "300" is no limit (write COUNT/DURATION, as in "300/3h", or "off")"#,
            r#"2:52 "0/1h" is no limit (write COUNT/DURATION, as in "300/3h", or "off")"#,
            r#"2:80 "5/soon" is no limit (write COUNT/DURATION, as in "300/3h", or "off")"#,
            r#"2:111 "" is no limit (write COUNT/DURATION, as in "300/3h", or "off")"#,
        ],
    ),
    (
        "CAs that need an external account binding",
        r#"[issuers.google]
[issuers.z]
directory = "https://acme.zerossl.com/v2/DV90"
"#,
        &[
            r#"1:10 "google" takes only accounts with an external account binding (`eab`), which is not available in this version (remove it; "letsencrypt" needs none)"#,
            r#"3:13 "https://acme.zerossl.com/v2/DV90" takes only accounts with an external account binding (`eab`), which is not available in this version (remove it; "letsencrypt" needs none)"#,
        ],
    ),
    (
        "names and contacts",
        r#"contact = ["a b@example.com"]
[issuers."a/b"]
directory = "https://ca.example.com/dir"
contact = ["ops", "mailto:ops@example.com", "a@b@c.d", "ops@localhost"]
"#,
        &[
            r#"1:12 "a b@example.com" is not a mail address (write one address, such as "ops@example.com")"#,
            r#"2:10 "a/b" cannot be the name of this issuer (use letters, digits, ".", "_" and "-")"#,
            r#"4:12 "ops" is not a mail address (write one address, such as "ops@example.com")"#,
            r#"4:45 "a@b@c.d" is not a mail address (write one address, such as "ops@example.com")"#,
            r#"4:56 "ops@localhost" is not a mail address (write one address, such as "ops@example.com")"#,
        ],
    ),
];

#[test]
fn issuers_are_checked() {
    check(ISSUERS);
}

const CLOUDS: &[Case] = &[
    (
        "words",
        r#"[clouds.a]
region = "cn shanghai"
credentials = "chian"
signature = "hmac-sha256"
"#,
        &[
            r#"2:10 "cn shanghai" is not a region (regions are written as "cn-shanghai" or "ap-southeast-1")"#,
            r#"3:15 "chian" is no source of credentials (did you mean "chain"?)"#,
            r#"4:13 "hmac-sha256" is no signature (did you mean "hmac-sha1"? possible: "hmac-sha1", "acs3-hmac-sha256")"#,
        ],
    ),
    (
        "access keys",
        r#"[clouds.b]
credentials = { access_key_id = "", access_key_secret_file = "credential:" }
[clouds.c]
credentials = {}
"#,
        &[
            r#"2:15 the credentials have no `access_key_id` (write { access_key_id = "…", access_key_secret_file = "PATH" })"#,
            r#"2:62 not a place where a secret can lie (expected an absolute path, "credential:NAME" or "env:NAME")"#,
            r#"4:15 this is no source of credentials (possible: "chain", { access_key_id, access_key_secret_file }, { ecs_role } or { assume_role, external_id, source })"#,
        ],
    ),
    (
        "roles",
        r#"[clouds.a]
credentials = { ecs_role = "a/b" }
[clouds.b]
credentials = { assume_role = "vodcertd", source = "chian" }
[clouds.c]
credentials = { external_id = "x", source = { ecs_role = "" } }
[clouds.d]
credentials = { assume_role = "acs:ram::1:role/a", source = { assume_role = "acs:ram::2:user/b", source = {} } }
"#,
        &[
            r#"2:28 "a/b" is not the name of a role (write the name alone; "chain" finds the role that the machine has by itself)"#,
            r#"4:31 "vodcertd" is not the name of a role (expected "acs:ram::ACCOUNT:role/NAME")"#,
            r#"4:52 "chian" is no source of credentials (did you mean "chain"?)"#,
            r#"6:15 the credentials have no `assume_role` (write { assume_role = "acs:ram::ACCOUNT:role/NAME", source = … })"#,
            r#"6:58 "" is not the name of a role (write the name alone; "chain" finds the role that the machine has by itself)"#,
            r#"8:77 "acs:ram::2:user/b" is not the name of a role (expected "acs:ram::ACCOUNT:role/NAME")"#,
            r#"8:107 this is no source of credentials (possible: "chain", { access_key_id, access_key_secret_file }, { ecs_role } or { assume_role, external_id, source })"#,
        ],
    ),
    (
        "two sources at once",
        r#"[clouds.a]
credentials = { access_key_id = "LTAI", ecs_role = "a" }
"#,
        &[
            r#"2:15 the credentials have no `access_key_secret_file` (write { access_key_id = "…", access_key_secret_file = "PATH" })"#,
            r#"2:15 credentials come from one source (possible: "chain", { access_key_id, access_key_secret_file }, { ecs_role } or { assume_role, external_id, source })"#,
        ],
    ),
    (
        "accounts",
        r#"[clouds.a]
account = "acs:ram::1"
"#,
        &[
            r#"2:11 "acs:ram::1" is not the number of an account (write its digits, as they stand in the names of its roles)"#,
        ],
    ),
    (
        "endpoints",
        r#"[clouds.d.endpoints]
vod = "http://vod.example.com"
alidns = "vod.aliyuncs.com"
cas = "https://x?y"
sts = "http://localhost:1"
imds = "ftp://100.100.100.200"
"#,
        &[
            r#"2:7 "http://vod.example.com" would be reached without TLS (use https; http is only possible to an address of this machine, such as 127.0.0.1)"#,
            r#"3:10 "vod.aliyuncs.com" is not a URL (write it as "https://HOST")"#,
            r#"4:7 "https://x?y" holds more than a host (write it as "https://x")"#,
            r#"5:7 "http://localhost:1" would be reached without TLS (use https; http is only possible to an address of this machine, such as 127.0.0.1)"#,
            r#"6:8 "ftp://100.100.100.200" is neither an https nor an http URL (write it as "https://HOST" or "http://HOST")"#,
        ],
    ),
    (
        "endpoints that are more than a host",
        r#"[clouds.d.endpoints]
vod = "https://vod-vpc.cn-shanghai.aliyuncs.com/?Action=DescribeVodDomainDetail"
alidns = "https://alidns.aliyuncs.com:8443/v2/"
cas = "https://cas.aliyuncs.com/#x"
sts = "https://me:s3cret@sts.aliyuncs.com"
imds = "http://100.100.100.200/latest/meta-data"
"#,
        &[
            r#"2:7 "https://vod-vpc.cn-shanghai.aliyuncs.com/?Action=DescribeVodDomainDetail" holds more than a host (write it as "https://vod-vpc.cn-shanghai.aliyuncs.com")"#,
            r#"3:10 "https://alidns.aliyuncs.com:8443/v2/" holds more than a host (write it as "https://alidns.aliyuncs.com:8443")"#,
            r##"4:7 "https://cas.aliyuncs.com/#x" ends in a fragment (remove it, from "#" on)"##,
            "5:7 a URL in this file must not hold a user name or a password (remove them)",
            r#"6:8 "http://100.100.100.200/latest/meta-data" holds more than a host (write it as "http://100.100.100.200")"#,
        ],
    ),
    (
        "rates",
        r"[clouds.e]
rate = { install = 0, other = 101 }
[clouds.f]
rate = { install = 1, other = 100 }
",
        &[
            "2:20 0 is out of range (possible: 1 to 100)",
            "2:31 101 is out of range (possible: 1 to 100)",
        ],
    ),
];

#[test]
fn clouds_are_checked() {
    check(CLOUDS);
}

const SOLVERS: &[Case] = &[
    (
        "kinds",
        r#"[solvers.x]
[solvers.y]
kind = "cloudflare"
[solvers.z]
kind = "alidsn"
"#,
        &[
            r#"1:10 the solver "x" has no `kind` (add kind = "alidns")"#,
            r#"3:8 "cloudflare" is no kind of solver (possible: "alidns"; the providers of the DNS library are not available in this version)"#,
            r#"5:8 "alidsn" is no kind of solver (did you mean "alidns"? possible: "alidns")"#,
        ],
    ),
    (
        "settings of other kinds",
        r#"[solvers.alidns]
server = "192.0.2.53:53"
tsig = {}
command = []
timeout = "5s"
url = "https://x"
listen = "off"
dir = "/x"
"#,
        &[
            r#"2:10 `server` means nothing to a solver of kind "alidns" (remove it)"#,
            r#"3:8 `tsig` means nothing to a solver of kind "alidns" (remove it)"#,
            r#"4:11 `command` means nothing to a solver of kind "alidns" (remove it)"#,
            r#"5:11 `timeout` means nothing to a solver of kind "alidns" (remove it)"#,
            r#"6:7 `url` means nothing to a solver of kind "alidns" (remove it)"#,
            r#"7:10 `listen` means nothing to a solver of kind "alidns" (remove it)"#,
            r#"8:7 `dir` means nothing to a solver of kind "alidns" (remove it)"#,
        ],
    ),
    (
        "zones and waits",
        r#"[solvers.alidns]
zones = ["example", ""]
propagation = { timeout = "0s", poll = "0s", settle = "1w" }
"#,
        &[
            r#"2:10 "example" is not a DNS zone (write the zone of names that it is for, such as "example.com")"#,
            r#"2:21 "" is not a DNS zone (write the zone of names that it is for, such as "example.com")"#,
            r#"3:40 "0s" is too short (possible: 1s to 3650d)"#,
            r#"3:55 "1w" is not a length of time (write a whole number with its unit: "90s", "10m", "6h", "30d")"#,
        ],
    ),
];

#[test]
fn solvers_are_checked() {
    check(SOLVERS);
}

const SECTIONS: &[Case] = &[
    (
        "store",
        r#"[store]
url = "sqlite://state.db"
key_file = ""
history = "1h"
keep_generations = 5000
"#,
        &[
            r#"2:7 not the URL of a store (write "sqlite://" and an absolute path: "sqlite:///var/lib/vodcertd/state.db")"#,
            r#"3:12 not a place where a secret can lie (expected an absolute path, "credential:NAME" or "env:NAME")"#,
            r#"4:11 "1h" is too short (possible: 1d to 3650d)"#,
            "5:20 5000 is out of range (possible: 0 to 1000)",
        ],
    ),
    (
        "another kind of store",
        r#"[store]
url = "mysql://x"
"#,
        &[
            r#"2:7 not the URL of a store (write "sqlite://" and an absolute path: "sqlite:///var/lib/vodcertd/state.db")"#,
        ],
    ),
    (
        "schedule",
        r#"[schedule]
tick = "* * * * *"
orders = 0
installs = 100000
timezone = "Asia/Shangai"
brake = { orders_per_day = 0 }
"#,
        &[
            r#"2:8 "* * * * *" is not a time of a tick (write six fields, seconds first: "*/30 * * * * *")"#,
            "3:10 0 is out of range (possible: 1 to 1000)",
            "4:12 100000 is out of range (possible: 1 to 1000)",
            r#"5:12 "Asia/Shangai" is not a time zone that this machine knows (write an IANA name such as "Asia/Shanghai"; is `tzdata` installed?)"#,
            "6:28 0 is out of range (possible: 1 to 10000)",
        ],
    ),
    (
        "a tick that never comes",
        r#"[schedule]
tick = "0 0 0 31 2 *"
"#,
        &[r#"2:8 "0 0 0 31 2 *" is not a time of a tick (it names a day that never comes)"#],
    ),
    (
        "an open door",
        r#"[http]
listen = "0.0.0.0:9440"
"#,
        &[
            "2:10 0.0.0.0:9440 can be reached by others, and nothing would guard it (listen on 127.0.0.1 or [::1]: `token_file` and `client_ca_file` are not available in this version)",
        ],
    ),
    (
        "a port alone",
        r#"[http]
listen = "9440"
"#,
        &[
            r#"2:10 "9440" is not an address with a port (write IP:PORT, as in "192.0.2.1:443" or "[2001:db8::1]:443")"#,
        ],
    ),
    (
        "dns",
        r#"[dns]
resolvers = ["192.0.2.1", "192.0.2.1:99999", "[::1]:53"]
authoritative = ["ns.example.com:53"]
"#,
        &[
            r#"2:14 "192.0.2.1" is not an address with a port (write IP:PORT, as in "192.0.2.1:443" or "[2001:db8::1]:443")"#,
            r#"2:27 "192.0.2.1:99999" is not an address with a port (write IP:PORT, as in "192.0.2.1:443" or "[2001:db8::1]:443")"#,
            r#"3:18 "ns.example.com:53" is not an address with a port (write IP:PORT, as in "192.0.2.1:443" or "[2001:db8::1]:443")"#,
        ],
    ),
    (
        "network",
        r#"[network]
proxy = "socks5://x:1"
timeout = "1.5s"
"#,
        &[
            r#"2:9 "socks5://x:1" is neither an https nor an http URL (write it as "https://HOST" or "http://HOST")"#,
            r#"3:11 "1.5s" is not a length of time (write a whole number with its unit: "90s", "10m", "6h", "30d")"#,
        ],
    ),
    (
        "lengths that nobody waits for",
        r#"[network]
timeout = "46s"
[solvers.alidns]
propagation = { timeout = "200000000000000d" }
[store]
history = "3651d"
"#,
        &[
            r#"2:11 "46s" is too long (possible: 1s to 45s)"#,
            r#"4:27 "200000000000000d" is too long (possible: 0s to 3650d)"#,
            r#"6:11 "3651d" is too long (possible: 1d to 3650d)"#,
        ],
    ),
    (
        "a password in a URL",
        r#"[network]
proxy = "http://me:s3cret@proxy:3128"
"#,
        &[
            "2:9 a URL in this file must not hold a user name or a password (remove `proxy` and set HTTPS_PROXY in the daemon's environment, where they may stand)",
        ],
    ),
];

#[test]
fn sections_are_checked() {
    check(SECTIONS);
}
