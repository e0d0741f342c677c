//! vodcertd keeps HTTPS alive on Alibaba Cloud VOD acceleration domains: it obtains certificates by
//! ACME, installs them with the signed call `SetVodDomainSSLCertificate`, proves at the edge that
//! they are served, and renews them before they run out.
//!
//! # The path of a renewal
//!
//! 1. `vodcertd run` loads the configuration ([`config`]) and starts the daemon ([`daemon`]), which
//!    opens the [`store`] and looks for certificates that are due.
//! 2. A worker loads the record of one certificate and asks the core ([`renewal`]) for the next step:
//!    `decide(&Spec, &Record, &Circumstances, now) -> Decision`.
//! 3. `AskRenewalInfo`: the CA says when it wants the certificate renewed ([`acme`]).
//! 4. `Order`: the intent is stored, then the order is placed, its URL, key and request are stored,
//!    its proofs are published ([`solver`]) with a journal row each, the request is handed in, and
//!    the chain is checked and stored as the next *generation*.
//! 5. `ReadBack` at first contact, then `Install` at each [`target`] by the signed call ([`aliyun`]),
//!    then `Look` by TLS handshakes until every address of the name serves the new leaf.
//! 6. `SleepUntil`: the time becomes the certificate's due time in the store.
//!
//! After each step the record is changed by one event and saved. A failure at any point goes onto
//! the record and waits there for its rung of the ladder; a crash at any point leads back to 2.
//!
//! # The code map
//!
//! | module | is | may import |
//! |---|---|---|
//! | [`name`] [`time`] [`secret`] | words that everyone uses | nothing of ours |
//! | [`retry`] | what a failure asks of us, and until when | `time` |
//! | [`certificate`] | certificates, parsed once | `name time secret retry` |
//! | [`clock`] | the only reader of wall time | `name time secret retry` |
//! | [`keys`] | private keys and requests (a key's kind is a word of [`certificate`]) | `certificate name time secret retry` |
//! | [`net`] | the HTTP client with its limits | `name time secret retry` |
//! | [`dns`] | asking resolvers and name servers | `name time secret retry` |
//! | [`renewal`] | **the core**: spec, record, decision, events; pure | `name time certificate retry` |
//! | [`acme`] | CAs | ground except `dns` |
//! | [`aliyun`] | Alibaba Cloud: signature, client, credentials, VOD, stored certificates, DNS records | ground |
//! | [`solver`] [`target`] | proofs of control; places of installation and the look at the edge | `aliyun`, ground |
//! | [`store`] | SQLite: records, generations, orders, leases, journal | `renewal`, ground |
//! | [`status`] | what the outside may see: snapshot, metrics, page | `renewal store`, ground except `secret` |
//! | [`config`] | the file as written, and what it means | settings of the adapters, `renewal`, ground |
//! | [`daemon`] | the shell: dispatch, workers, steps | all of the above |
//! | [`cli`] | the commands | `config daemon store status renewal`, ground |
//!
//! Ground is everything above the core. The table is held by `tests/it/tidy.rs`.
//!
//! # Invariants that are absences
//!
//! - Nothing under `renewal/` awaits, reads a clock, rolls dice or logs.
//! - Only `store/` writes files. Only `clock.rs` reads wall time. Only `net.rs` builds HTTP clients.
//! - Only `daemon/` spawns tasks and rolls dice. Only `cli/` prints, exits or sees `anyhow`.
//! - `acme` knows no DNS and `solver` no ACME: `daemon/order/` and `daemon/proof/` introduce them.
//! - Nothing below `cli`, `daemon/mod.rs` and `daemon/build.rs`, which makes the adapters from their
//!   settings, imports `config`.
//! - An adapter tries once and reports; only what the protocol itself wants repeated, after a nonce or
//!   a clock was refused, is sent once more. The one ladder of retries is `renewal/backoff.rs`.
//! - A private key is never in a URL, a log, an alert, a metric, a page or an error message.
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | *name* | a DNS name on a certificate |
//! | *certificate* | what the admin configured under one label |
//! | *generation* | one issued chain with its key; counted up per certificate |
//! | *issuer* | a CA directory with our account at it |
//! | *solver* | how control of a name is proven |
//! | *cloud* | one set of Alibaba Cloud credentials with its endpoints |
//! | *target* | one place where a certificate is installed |
//! | *install* / *look* | push a generation to a target / see what the edge serves |
//! | *record* | everything known about one certificate, exactly what is stored |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "tests play the outside: they write files, read clocks and spawn servers"
    )
)]

// Ground.
pub mod name;
pub mod time;
pub mod secret;
pub mod retry;
pub mod certificate;
pub mod clock;
pub mod keys;
pub mod net;
pub mod dns;

// The core.
pub mod renewal;

// Adapters: one outside system each, deaf to one another.
pub mod acme;
pub mod aliyun;
pub mod solver;
pub mod target;
pub mod store;

// The shell.
pub mod status;
pub mod config;
pub mod daemon;
pub mod cli;
