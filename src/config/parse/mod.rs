//! From the file as it is written to what it means. Everything wrong in it is found in one run: a
//! value that cannot be used is complained of and replaced by its default, and the rest is checked
//! on.
//!
//! Nothing outside of the text is looked at, except the names of time zones.

mod certificates;
mod clouds;
mod issuers;
mod named;
mod solvers;
mod targets;
mod values;

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use self::certificates::Things;
use self::values::{Meaning, PlainHttp};
use super::error::{Findings, Problem};
use super::file::{self, File, Text};
use super::settings::{Config, Schedule, StoreConfig};
use crate::dns::DnsSettings;
use crate::net::Network;
use crate::secret::SecretSource;

/// Where the status page is served by default.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9440);

/// The brake: orders that a CA accepted, per certificate and day.
const DEFAULT_ORDERS_PER_DAY: u32 = 3;

/// How long one exchange may take: a step that ends later than its lease (a minute) may meet another
/// worker's.
const EXCHANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(45);

/// Where a proxy's password may stand.
const PROXY_WITH_PASSWORD: &str = "remove `proxy` and set HTTPS_PROXY in the daemon's environment, \
                                   where they may stand";

/// What a file means, as far as that can be told without looking at other files.
#[derive(Debug)]
pub(super) struct Draft {
    /// Not to be used if problems were found.
    pub(super) config: Config,
    /// The secrets that it names.
    pub(super) secrets: Secrets,
    /// The file of further trusted roots.
    pub(super) ca_file: Option<Spanned<PathBuf>>,
}

/// Places in the file that say where secrets lie.
#[derive(Debug, Default)]
pub(super) struct Secrets(pub(super) Vec<(Range<usize>, SecretSource)>);

/// Parses and checks the whole file.
pub(super) fn parse(file: File, findings: &mut Findings) -> Draft {
    refuse_what_is_not_there(findings, &file);
    let mut secrets = Secrets::default();
    let contact = issuers::contact(findings, file.contact.as_ref()).unwrap_or_default();
    let clouds = clouds::clouds(findings, &mut secrets, &file.clouds);
    let things = Things {
        issuers: issuers::issuers(findings, &file.issuers, &contact),
        solvers: solvers::solvers(findings, &file.solvers, &clouds),
        clouds,
    };
    let brake = file.schedule.brake.orders_per_day.as_ref();
    let orders_per_day = values::number(findings, brake, 1..=10_000, DEFAULT_ORDERS_PER_DAY);
    let (default_terms, default_target) = file.defaults.split();
    let certificates = certificates::certificates(
        findings,
        &file.certificates,
        (&default_terms, &default_target),
        &things,
        orders_per_day,
    );
    if file.alerts.is_empty() {
        findings.add(Problem::warning("nobody is alerted when something goes wrong").hint(
            "alerts are not available in this version: watch `vodcertd status --check` or /metrics",
        ));
    }
    Draft {
        config: Config {
            store: store(findings, &mut secrets, &file.store),
            schedule: schedule(findings, &file.schedule),
            http: listen(findings, &file.http),
            dns: dns(findings, &file.dns),
            network: network(findings, &file.network),
            issuers: things.issuers.into_right(),
            clouds: things.clouds.into_right(),
            solvers: things.solvers.into_right(),
            certificates,
        },
        secrets,
        ca_file: file
            .network
            .ca_file
            .map(|text| Spanned::new(text.span(), text.into_inner().into())),
    }
}

/// Refuses whole features that are switched on but not available; checks the rest of them all the
/// same.
fn refuse_what_is_not_there(findings: &mut Findings, file: &File) {
    let languages = [("en", Meaning::Is(())), ("zh", Meaning::NotYet)];
    values::word(findings, file.language.as_ref(), "language", &languages, ());
    values::refuse_text(findings, file.export.dir.as_ref(), "`export`");
    values::refuse_list(findings, file.export.command.as_ref(), "`export.command`");
    for alert in &file.alerts {
        values::refuse(findings, alert.span(), "`alerts`");
        let repeat = alert.get_ref().repeat.as_ref();
        values::length(
            findings,
            repeat,
            values::from(Duration::ZERO),
            Duration::ZERO,
        );
    }
    let heartbeat = &file.heartbeat;
    values::refuse_text(findings, heartbeat.url_file.as_ref(), "`heartbeat`");
    values::length(
        findings,
        heartbeat.every.as_ref(),
        values::from(Duration::ZERO),
        Duration::ZERO,
    );
}

// === impl Secrets ===

impl Secrets {
    /// Where a secret lies.
    fn source(&mut self, findings: &mut Findings, text: &Text) -> Option<SecretSource> {
        match text.get_ref().parse::<SecretSource>() {
            Ok(source) => {
                self.0.push((text.span(), source.clone()));
                Some(source)
            }
            Err(error) => {
                // It may be the secret itself.
                findings.hide(text.span());
                findings.add(
                    Problem::error("not a place where a secret can lie")
                        .at(text.span())
                        .hint(error.to_string()),
                );
                None
            }
        }
    }
}

// === sections ===

fn store(findings: &mut Findings, secrets: &mut Secrets, written: &file::Store) -> StoreConfig {
    values::refuse_switch(
        findings,
        written.plaintext_keys.as_ref(),
        "`plaintext_keys`",
    );
    values::refuse_text(findings, written.host.as_ref(), "`store.host`");
    values::refuse_text(findings, written.password_file.as_ref(), "`password_file`");
    let default = StoreConfig::default();
    let path = written
        .url
        .as_ref()
        .and_then(|url| sqlite_path(findings, url));
    let key_file = written.key_file.as_ref();
    let keep = written.keep_generations.as_ref();
    let day = Duration::from_hours(24);
    StoreConfig {
        path: path.unwrap_or(default.path),
        seal_key: key_file.and_then(|text| secrets.source(findings, text)),
        keep_generations: values::number(findings, keep, 0..=1000, default.keep_generations),
        history: values::length(
            findings,
            written.history.as_ref(),
            values::from(day),
            default.history,
        ),
    }
}

fn sqlite_path(findings: &mut Findings, text: &Text) -> Option<PathBuf> {
    let url = text.get_ref();
    if url.contains('@') {
        // What stands before it may be a password.
        findings.hide(text.span());
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let problem = Problem::error("PostgreSQL is not available in this version");
        findings.add(problem.at(text.span()).hint("use \"sqlite:///PATH\""));
        return None;
    }
    let path = url.strip_prefix("sqlite://").filter(|path| {
        path.len() > 1 && path.starts_with('/') && !path.ends_with('/') && !path.contains('?')
    });
    if path.is_none() {
        findings.add(
            Problem::error("not the URL of a store")
                .at(text.span())
                .hint("write \"sqlite://\" and an absolute path: \"sqlite:///var/lib/vodcertd/state.db\""),
        );
    }
    path.map(PathBuf::from)
}

fn schedule(findings: &mut Findings, written: &file::Schedule) -> Schedule {
    let default = Schedule::default();
    let tick = written.tick.as_ref().filter(|text| is_cron(findings, text));
    let zone = written.timezone.as_ref();
    let zone = zone.filter(|text| is_time_zone(findings, text));
    let (orders, installs) = (written.orders.as_ref(), written.installs.as_ref());
    Schedule {
        tick: tick.map_or(default.tick, |text| text.get_ref().clone()),
        orders: values::number(findings, orders, 1..=1000, default.orders),
        installs: values::number(findings, installs, 1..=1000, default.installs),
        timezone: zone.map_or(default.timezone, |text| text.get_ref().clone()),
    }
}

/// Asks the scheduler itself, so that what passes here is what it takes.
fn is_cron(findings: &mut Findings, text: &Text) -> bool {
    let never = 0;
    let next_tick = tokio_cron_scheduler::Job::new(text.get_ref(), |_, _| {})
        .and_then(|mut job| job.job_data())
        .map(|job| job.next_tick);
    let hint = match next_tick {
        Ok(next) if next != never => return true,
        Ok(_) => "it names a day that never comes",
        Err(_) => "write six fields, seconds first: \"*/30 * * * * *\"",
    };
    let message = format!("{:?} is not a time of a tick", text.get_ref());
    findings.add(Problem::error(message).at(text.span()).hint(hint));
    false
}

fn is_time_zone(findings: &mut Findings, text: &Text) -> bool {
    let known = jiff::tz::TimeZone::get(text.get_ref()).is_ok();
    if !known {
        let message = format!(
            "{:?} is not a time zone that this machine knows",
            text.get_ref()
        );
        findings.add(
            Problem::error(message)
                .at(text.span())
                .hint("write an IANA name such as \"Asia/Shanghai\"; is `tzdata` installed?"),
        );
    }
    known
}

fn listen(findings: &mut Findings, written: &file::Http) -> Option<SocketAddr> {
    values::refuse_text(findings, written.token_file.as_ref(), "`token_file`");
    values::refuse_text(
        findings,
        written.client_ca_file.as_ref(),
        "`client_ca_file`",
    );
    let Some(text) = &written.listen else {
        return Some(DEFAULT_LISTEN);
    };
    if text.get_ref() == "off" {
        return None;
    }
    let address = values::address(findings, text)?;
    if !address.ip().is_loopback() {
        let message = format!("{address} can be reached by others, and nothing would guard it");
        findings.add(Problem::error(message).at(text.span()).hint(
            "listen on 127.0.0.1 or [::1]: `token_file` and `client_ca_file` are not available in \
             this version",
        ));
    }
    Some(address)
}

fn dns(findings: &mut Findings, written: &file::Dns) -> DnsSettings {
    let mut addresses =
        |list: &Option<file::List>| values::addresses(findings, list.as_ref()).unwrap_or_default();
    DnsSettings {
        resolvers: addresses(&written.resolvers),
        authoritative: addresses(&written.authoritative),
    }
}

/// Without the roots of `ca_file`, which are in a file of their own.
fn network(findings: &mut Findings, written: &file::Network) -> Network {
    let default = Network::default();
    let proxy = written
        .proxy
        .as_ref()
        .filter(|text| !text.get_ref().is_empty());
    let proxy = proxy.and_then(|text| {
        let url = values::whole_url(findings, text, PlainHttp::Allowed, PROXY_WITH_PASSWORD)?;
        values::without_query(findings, text, url)
    });
    let timeout = written.timeout.as_ref();
    Network {
        proxy,
        extra_roots: default.extra_roots,
        timeout: values::length(findings, timeout, EXCHANGE, default.timeout),
    }
}
