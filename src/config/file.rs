//! The configuration file as it is written: every field of the contract, whether this version can
//! do it or not.
//!
//! Nothing is judged here but the shape: unknown keys, and texts where numbers are due. What a
//! value means is the business of `parse`, which is why values are texts with their places.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

/// A text and its place in the file.
pub(super) type Text = Spanned<String>;

/// A list and its place in the file, with the place of every entry.
pub(super) type List = Spanned<Vec<Text>>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct File {
    /// Mail addresses for every issuer without its own. Default: none.
    pub(super) contact: Option<List>,
    /// Language of alerts and the status page. Default: `en`.
    pub(super) language: Option<Text>,
    /// Where everything is kept.
    pub(super) store: Store,
    /// When and how much work is done.
    pub(super) schedule: Schedule,
    /// The status page and the API.
    pub(super) http: Http,
    /// Whom to ask for DNS.
    pub(super) dns: Dns,
    /// How the outside is reached.
    pub(super) network: Network,
    /// PEM files for others.
    pub(super) export: Export,
    /// CAs by name. The well-known ones exist without being written.
    pub(super) issuers: BTreeMap<Text, Issuer>,
    /// Alibaba Cloud credentials by name. `default` exists without being written.
    pub(super) clouds: BTreeMap<Text, Cloud>,
    /// Ways of proving control of names, by name. `alidns` exists without being written.
    pub(super) solvers: BTreeMap<Text, Solver>,
    /// What certificates and targets leave out.
    pub(super) defaults: Defaults,
    /// The certificates.
    pub(super) certificates: Vec<Spanned<Certificate>>,
    /// Who is told of trouble. Default: nobody.
    pub(super) alerts: Vec<Spanned<Alert>>,
    /// The dead-man's switch.
    pub(super) heartbeat: Heartbeat,
}

/// `[store]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Store {
    /// `sqlite://PATH` or `postgres://…`. Default: `sqlite:///var/lib/vodcertd/state.db`.
    pub(super) url: Option<Text>,
    /// Where the password of a PostgreSQL user lies.
    pub(super) password_file: Option<Text>,
    /// Where the key lies that seals private keys. Default: not sealed.
    pub(super) key_file: Option<Text>,
    /// Whether private keys may lie unsealed in PostgreSQL. Default: false.
    pub(super) plaintext_keys: Option<Spanned<bool>>,
    /// This host's stable name among several.
    pub(super) host: Option<Text>,
    /// Previous pairs kept per certificate. Default: 3.
    pub(super) keep_generations: Option<Spanned<u64>>,
    /// How long the history is kept. Default: 400 days.
    pub(super) history: Option<Text>,
}

/// `[schedule]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Schedule {
    /// The safety net as a cron expression of six fields, seconds first. Default: every 30 seconds.
    pub(super) tick: Option<Text>,
    /// Orders worked on at once. Default: 8.
    pub(super) orders: Option<Spanned<u64>>,
    /// Installs and looks worked on at once. Default: 16.
    pub(super) installs: Option<Spanned<u64>>,
    /// The time zone of every window. Default: `Asia/Shanghai`.
    pub(super) timezone: Option<Text>,
    /// The upper limits of orders.
    pub(super) brake: Brake,
}

/// `schedule.brake`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Brake {
    /// Orders that the CA accepted, per certificate, in any 24 hours. Default: 3.
    pub(super) orders_per_day: Option<Spanned<u64>>,
}

/// `[http]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Http {
    /// `IP:PORT` or `off`. Default: `127.0.0.1:9440`.
    pub(super) listen: Option<Text>,
    /// Where the token lies that callers must send.
    pub(super) token_file: Option<Text>,
    /// Certificates of the CAs whose clients may call.
    pub(super) client_ca_file: Option<Text>,
}

/// `[dns]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Dns {
    /// Recursive resolvers, `IP:PORT`. Default: the system's.
    pub(super) resolvers: Option<List>,
    /// Asked instead of a zone's own name servers, `IP:PORT`. Default: none.
    pub(super) authoritative: Option<List>,
}

/// `[network]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Network {
    /// A proxy for everything. Default: `HTTPS_PROXY`, `NO_PROXY`.
    pub(super) proxy: Option<Text>,
    /// Further trusted roots, PEM. Default: the system's alone.
    pub(super) ca_file: Option<Text>,
    /// The limit for one exchange. Default: 30 seconds.
    pub(super) timeout: Option<Text>,
}

/// `[export]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Export {
    /// The folder. Default: nothing is exported.
    pub(super) dir: Option<Text>,
    /// Run after an export with the certificate's name as last argument. Default: nothing.
    pub(super) command: Option<List>,
}

/// `[issuers.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Issuer {
    /// A well-known name or an https URL. Default: what the issuer's own name means.
    pub(super) directory: Option<Text>,
    /// Mail addresses. Default: those of the file.
    pub(super) contact: Option<List>,
    /// The profile to order. Default: the CA's own.
    pub(super) profile: Option<Text>,
    /// The common name at the top of the chain wanted. Default: the CA's first chain.
    pub(super) preferred_chain: Option<Text>,
    /// The external account binding (RFC 8555 §7.3.4).
    pub(super) eab: Option<Spanned<Eab>>,
    /// What the CA allows. Default: what is known of the well-known ones.
    pub(super) limits: Option<Spanned<Limits>>,
}

/// `issuers.NAME.eab`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Eab {
    /// Names the key; given by the CA.
    pub(super) key_id: Option<Text>,
    /// Where the key lies.
    pub(super) hmac_key_file: Option<Text>,
}

/// `issuers.NAME.limits`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Limits {
    /// Orders of one account, `COUNT/DURATION`, or `off`; so are the others.
    pub(super) orders_per_account: Option<Text>,
    /// Certificates for one registered domain.
    pub(super) registered_domain: Option<Text>,
    /// Certificates for exactly one set of names.
    pub(super) exact_set: Option<Text>,
    /// Failed validations of one name.
    pub(super) failed_validations: Option<Text>,
}

/// `[clouds.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Cloud {
    /// The region, which chooses endpoints. Default: `cn-shanghai`.
    pub(super) region: Option<Text>,
    /// Where the access key comes from. Default: `chain`.
    pub(super) credentials: Option<Spanned<Credentials>>,
    /// The number of the account that calls count against. Default: what the credentials tell.
    pub(super) account: Option<Text>,
    /// How calls are signed. Default: `hmac-sha1`.
    pub(super) signature: Option<Text>,
    /// Calls a second.
    pub(super) rate: Rate,
    /// Where the services are. Default: the public ones of the region.
    pub(super) endpoints: Endpoints,
}

/// `clouds.NAME.credentials`
#[derive(Debug)]
pub(super) enum Credentials {
    /// A word: `chain`.
    Word(String),
    /// A source with its settings.
    Source(Box<CredentialsTable>),
}

/// `clouds.NAME.credentials = { … }`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct CredentialsTable {
    /// Names an access key.
    pub(super) access_key_id: Option<Text>,
    /// Where its secret lies.
    pub(super) access_key_secret_file: Option<Text>,
    /// The role of the machine.
    pub(super) ecs_role: Option<Text>,
    /// A role that is taken on.
    pub(super) assume_role: Option<Text>,
    /// What the owner of that role asks for.
    pub(super) external_id: Option<Text>,
    /// With which credentials the role is taken on.
    pub(super) source: Option<Spanned<Credentials>>,
}

/// `clouds.NAME.rate`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Rate {
    /// Installs a second. Default: 30.
    pub(super) install: Option<Spanned<u64>>,
    /// Calls a second of every other action. Default: 10.
    pub(super) other: Option<Spanned<u64>>,
}

/// `clouds.NAME.endpoints`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Endpoints {
    /// Video on demand.
    pub(super) vod: Option<Text>,
    /// Alibaba Cloud DNS.
    pub(super) alidns: Option<Text>,
    /// Certificate Management Service.
    pub(super) cas: Option<Text>,
    /// Security Token Service.
    pub(super) sts: Option<Text>,
    /// Alibaba Cloud CDN.
    pub(super) cdn: Option<Text>,
    /// The metadata service of a machine; may be plain http.
    pub(super) imds: Option<Text>,
}

/// `[solvers.NAME]`; which fields mean something depends on the kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Solver {
    /// How control is proven. Default: the solver's own name, if it is a kind.
    pub(super) kind: Option<Text>,
    /// The cloud that holds the zones. Default: `default`.
    pub(super) cloud: Option<Text>,
    /// The zones that it is for. Default: any.
    pub(super) zones: Option<List>,
    /// How long to wait for the name servers.
    pub(super) propagation: Propagation,
    /// Where updates are sent, `IP:PORT` (rfc2136).
    pub(super) server: Option<Text>,
    /// What updates are signed with (rfc2136).
    pub(super) tsig: Option<Spanned<Tsig>>,
    /// What is run (exec).
    pub(super) command: Option<List>,
    /// How long it may run (exec).
    pub(super) timeout: Option<Text>,
    /// Where requests are sent (httpreq).
    pub(super) url: Option<Text>,
    /// Where the CA is answered, `IP:PORT` (http-01).
    pub(super) listen: Option<Text>,
    /// The folder of a web server (webroot).
    pub(super) dir: Option<Text>,
}

/// `solvers.NAME.propagation`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Propagation {
    /// The longest wait; `0s` for none. Default: 5 minutes.
    pub(super) timeout: Option<Text>,
    /// The pause between two questions. Default: 2 seconds.
    pub(super) poll: Option<Text>,
    /// A further wait once everything is seen. Default: none.
    pub(super) settle: Option<Text>,
}

/// `solvers.NAME.tsig` (RFC 8945)
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Tsig {
    /// The name of the key.
    pub(super) name: Option<Text>,
    /// The algorithm.
    pub(super) algorithm: Option<Text>,
    /// Where the key lies.
    pub(super) key_file: Option<Text>,
}

/// `[defaults]`: every field of a certificate or a target that may be left out there, except those
/// that tell one from another.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Defaults {
    pub(super) issuers: Option<List>,
    pub(super) solver: Option<Spanned<OneOrMany>>,
    pub(super) key: Option<Text>,
    pub(super) reuse_key: Option<Spanned<bool>>,
    pub(super) challenge_alias: Option<Text>,
    pub(super) renew: Option<Spanned<Renew>>,
    pub(super) kind: Option<Text>,
    pub(super) cloud: Option<Text>,
    pub(super) discover: Option<Text>,
    pub(super) method: Option<Text>,
    pub(super) cert_region: Option<Text>,
    pub(super) key_format: Option<Text>,
    pub(super) adopt: Option<Text>,
    pub(super) on_drift: Option<Text>,
    pub(super) verify_owner: Option<Spanned<bool>>,
    pub(super) staging: Staging,
    pub(super) rollout: Rollout,
    pub(super) windows: Option<List>,
    pub(super) look: Look,
    pub(super) rollback: Option<Text>,
    pub(super) collect: Collect,
}

/// `[[certificates]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Certificate {
    /// Its label. Default: the only name.
    pub(super) name: Option<Text>,
    /// The DNS names on it.
    pub(super) names: Option<List>,
    /// The CAs, in the order of fallback; empty for none: watched only. Default: `letsencrypt`.
    pub(super) issuers: Option<List>,
    /// A solver, or several of which the first whose zones match is used. Default: `alidns`.
    pub(super) solver: Option<Spanned<OneOrMany>>,
    /// The kind of key. Default: `rsa-2048`.
    pub(super) key: Option<Text>,
    /// Whether the next generation keeps the key. Default: false.
    pub(super) reuse_key: Option<Spanned<bool>>,
    /// Where `_acme-challenge` leads. Default: wherever its own aliases lead.
    pub(super) challenge_alias: Option<Text>,
    /// When to renew at the latest. Default: as the CA suggests, else at 2/3 of the life.
    pub(super) renew: Option<Spanned<Renew>>,
    /// Where it is installed. Default: one VOD target per name.
    pub(super) targets: Option<Spanned<Vec<Spanned<Target>>>>,
}

/// `certificates.renew`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Renew {
    /// A fraction of the life, `A/B`.
    pub(super) at: Option<Text>,
    /// How long before the end.
    pub(super) before: Option<Text>,
}

/// `[[certificates.targets]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Target {
    /// What it is. Default: `aliyun-vod`.
    pub(super) kind: Option<Text>,
    /// The cloud it lies in. Default: `default`.
    pub(super) cloud: Option<Text>,
    /// The acceleration domains. Default: one per name, `.x` for `*.x`.
    pub(super) domains: Option<List>,
    /// `san`: every online domain that the certificate covers.
    pub(super) discover: Option<Text>,
    /// How a certificate gets there. Default: `auto`.
    pub(super) method: Option<Text>,
    /// Where the cloud stores certificates. Default: as the cloud says.
    pub(super) cert_region: Option<Text>,
    /// How private keys are written. Default: `traditional`.
    pub(super) key_format: Option<Text>,
    /// What becomes of a foreign certificate found at first. Default: `replace`.
    pub(super) adopt: Option<Text>,
    /// What to do when the edge stops serving what was proven. Default: `repair`.
    pub(super) on_drift: Option<Text>,
    /// Whether it is proven by DNS who owns the domain, if the cloud asks for that. Default: false.
    pub(super) verify_owner: Option<Spanned<bool>>,
    /// The staging edge.
    pub(super) staging: Staging,
    /// In which portions many targets are done.
    pub(super) rollout: Rollout,
    /// When production installs may happen. Default: always.
    pub(super) windows: Option<List>,
    /// How it is proven that the edge serves the certificate.
    pub(super) look: Look,
    /// Whether a broken generation is replaced by the one before. Default: `off`.
    pub(super) rollback: Option<Text>,
    /// Whether old uploads are deleted.
    pub(super) collect: Collect,
}

/// `certificates.targets.staging`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Staging {
    /// Whether the staging edge comes first. Default: false.
    pub(super) enabled: Option<Spanned<bool>>,
    /// How long it must serve well. Default: 10 minutes.
    pub(super) soak: Option<Text>,
    /// The staging edge, `IP:PORT`. Default: found out.
    pub(super) addresses: Option<List>,
}

/// `certificates.targets.rollout`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Rollout {
    /// The domains that come first. Default: none.
    pub(super) canaries: Option<List>,
    /// Targets between two pauses. Default: 20.
    pub(super) batch: Option<Spanned<u64>>,
    /// The pause. Default: 1 minute.
    pub(super) pause: Option<Text>,
    /// So many failures stop it. Default: 1.
    pub(super) max_failures: Option<Spanned<u64>>,
}

/// `certificates.targets.look`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Look {
    /// Whether at all. Default: true.
    pub(super) enabled: Option<Spanned<bool>>,
    /// The name to ask for. Default: the domain, or one of our own below a wildcard domain.
    pub(super) name: Option<Text>,
    /// The edge, `IP:PORT`. Default: the addresses of the name, port 443.
    pub(super) addresses: Option<List>,
    /// How long the edge may lag. Default: 15 minutes.
    pub(super) deadline: Option<Text>,
    /// How often it is looked at again. Default: 6 hours.
    pub(super) every: Option<Text>,
}

/// `certificates.targets.collect`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Collect {
    /// Whether at all. Default: false.
    pub(super) enabled: Option<Spanned<bool>>,
    /// Old uploads kept. Default: 2.
    pub(super) keep: Option<Spanned<u64>>,
    /// How long an upload is kept after its successor was proven. Default: 7 days.
    pub(super) grace: Option<Text>,
}

/// `[[alerts]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Alert {
    /// The channel.
    pub(super) kind: Option<Text>,
    /// Where its URL lies.
    pub(super) url_file: Option<Text>,
    /// Less than this is not told. Default: `warning`.
    pub(super) min_severity: Option<Text>,
    /// After how long the same trouble is told again. Default: 1 day.
    pub(super) repeat: Option<Text>,
}

/// `[heartbeat]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Heartbeat {
    /// Where the URL lies. Default: no heartbeat.
    pub(super) url_file: Option<Text>,
    /// How often. Default: 5 minutes.
    pub(super) every: Option<Text>,
}

/// One text or a list of them.
#[derive(Debug)]
pub(super) enum OneOrMany {
    /// `"x"`
    One(String),
    /// `["x", "y"]`
    Many(Vec<Text>),
}

impl Defaults {
    /// The same as a certificate and a target of which everything that is left out is taken.
    pub(super) fn split(self) -> (Certificate, Target) {
        let certificate = Certificate {
            name: None,
            names: None,
            issuers: self.issuers,
            solver: self.solver,
            key: self.key,
            reuse_key: self.reuse_key,
            challenge_alias: self.challenge_alias,
            renew: self.renew,
            targets: None,
        };
        let target = Target {
            kind: self.kind,
            cloud: self.cloud,
            domains: None,
            discover: self.discover,
            method: self.method,
            cert_region: self.cert_region,
            key_format: self.key_format,
            adopt: self.adopt,
            on_drift: self.on_drift,
            verify_owner: self.verify_owner,
            staging: self.staging,
            rollout: self.rollout,
            windows: self.windows,
            look: self.look,
            rollback: self.rollback,
            collect: self.collect,
        };
        (certificate, target)
    }
}

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;

        impl<'de> Visitor<'de> for WordOrTable {
            type Value = Credentials;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("\"chain\" or a table")
            }

            fn visit_str<E>(self, word: &str) -> Result<Self::Value, E> {
                Ok(Credentials::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Credentials::Source(Box::new(table)))
            }
        }

        deserializer.deserialize_any(WordOrTable)
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList;

        impl<'de> Visitor<'de> for TextOrList {
            type Value = OneOrMany;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or an array of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                let list = Deserialize::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(OneOrMany::Many(list))
            }
        }

        deserializer.deserialize_any(TextOrList)
    }
}
