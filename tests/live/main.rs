//! Confirms at the live service what vodcertd relies on, with vodcertd's own client, and leaves nothing
//! behind. Run by `tests/live.sh`, which says what it does to the account.

/// Tells a line to whoever listens. Nobody may, after a terminal hung up or a reader of the pipe left:
/// what was changed is put back all the same, so a failure to write is none of this program.
macro_rules! tell {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

mod pair;
mod patience;
mod steps;
mod traces;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vodcertd::aliyun::{Client, Cloud, Environment, Limiter, Signature};
use vodcertd::clock::Clock;
use vodcertd::config::{self, Config};
use vodcertd::name::AccelerationDomain;
use vodcertd::time::parse_span;

use self::patience::Patience;
use self::steps::{Steps, Verdicts};
use self::traces::Traces;

/// Confirms at the live Alibaba Cloud what vodcertd relies on. Credentials come from where the
/// configuration says, never from the command line.
#[derive(Debug, Parser)]
#[command(name = "live.sh")]
struct Arguments {
    /// A VOD acceleration domain of yours that nobody needs for some minutes and that no daemon looks
    /// after (".x" for a wildcard domain).
    domain: AccelerationDomain,
    /// A configuration of vodcertd, for its clouds and its network. `tests/live.sh` gives the minimal one.
    #[arg(long, value_name = "PATH", env = "VODCERTD_LIVE_CONFIG")]
    config: PathBuf,
    /// The cloud of the configuration that the domain lies in.
    #[arg(long, value_name = "NAME", default_value = "default")]
    cloud: String,
    /// The cloud that holds the domain's DNS zone. Default: the same.
    #[arg(long, value_name = "NAME")]
    dns_cloud: Option<String>,
    /// Begin without asking.
    #[arg(long)]
    yes: bool,
    /// Within this a change is told everywhere. The documentation says "within 1 minute" of a new
    /// certificate.
    #[arg(long, hide = true, value_name = "SPAN", default_value = "3m", value_parser = parse_span)]
    takes_effect: Duration,
}

/// A client for each signature, and one for DNS.
struct Clients {
    version_1: Client,
    version_3: Client,
    dns: Client,
}

/// How it ended, as exit codes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All was confirmed.
    Confirmed = 0,
    /// Something was not, but all is as it was.
    Refused = 1,
    /// Something is not as it was.
    LeftBehind = 2,
}

/// Of a wrong command line (`EX_USAGE`), as vodcertd has it.
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(other) => {
            // Nobody may listen, see `tell!`.
            let _ = other.print();
            return ExitCode::from(if other.use_stderr() { USAGE } else { 0 });
        }
    };
    match run(&arguments).await {
        Ok(end) => ExitCode::from(end as u8),
        Err(failure) => {
            tell!("nothing was done: {failure:#}");
            ExitCode::from(End::Refused as u8)
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<End> {
    let stop = CancellationToken::new();
    let loaded = config::load(&arguments.config);
    let config = loaded.map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))?;
    let clients = Clients::new(&config.config, arguments)?;
    let domain = &arguments.domain;
    let patience = Patience {
        takes_effect: arguments.takes_effect,
    };
    let mut verdicts = Verdicts::default();
    let (client, detail) = verdicts.first_look(&clients, domain).await?;
    let mut traces = Traces::before(&clients, client, domain, detail, patience).await?;
    tell!("{domain} {}.", traces.as_it_was());
    if !arguments.yes && !confirmed(domain)? {
        bail!("not confirmed");
    }
    let mut steps = Steps {
        clients: &clients,
        domain,
        traces: &mut traces,
        verdicts: &mut verdicts,
        stop: &stop,
        patience,
    };
    let finished = tokio::select! {
        biased;
        never = stop_at_signal(&stop) => match never {},
        finished = steps.run() => finished,
    };
    if !finished {
        tell!("interrupted: what was changed is put back");
    }
    // From here on signals are heard and nothing more is left off.
    let clean = tokio::select! {
        biased;
        never = stop_at_signal(&stop) => match never {},
        clean = traces.remove() => clean,
    };
    tell!("{} confirmed, {} not", verdicts.confirmed, verdicts.refused);
    Ok(match (clean, finished && verdicts.refused == 0) {
        (false, _) => End::LeftBehind,
        (true, false) => End::Refused,
        (true, true) => End::Confirmed,
    })
}

impl Clients {
    fn new(config: &Config, arguments: &Arguments) -> anyhow::Result<Self> {
        let (limiter, environment) = (Limiter::default(), Environment::of_process());
        let of = |name: &str, signature: Option<Signature>| {
            let cloud = config.clouds.get(name);
            let cloud =
                cloud.with_context(|| format!("the configuration has no cloud {name:?}"))?;
            let cloud = Cloud {
                signature: signature.unwrap_or(cloud.signature),
                ..cloud.clone()
            };
            let network = &config.network;
            let client = Client::new(cloud, network, &environment, Clock::System, limiter.clone());
            client.context("cannot make a client")
        };
        let dns = arguments.dns_cloud.as_ref().unwrap_or(&arguments.cloud);
        Ok(Self {
            version_1: of(&arguments.cloud, Some(Signature::HmacSha1))?,
            version_3: of(&arguments.cloud, Some(Signature::Acs3HmacSha256))?,
            dns: of(dns, None)?,
        })
    }
}

/// Asks whoever sits at the terminal; without one nobody has confirmed.
fn confirmed(domain: &AccelerationDomain) -> anyhow::Result<bool> {
    tell!("For some minutes it will serve certificates that no browser trusts, then this again.");
    if !std::io::stdin().is_terminal() {
        tell!("There is no terminal to ask at: --yes begins without asking.");
    }
    tell!("Type its name to begin:");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == domain.as_str())
}

/// Cancels `stop` at ^C, SIGTERM and SIGHUP, again and again.
async fn stop_at_signal(stop: &CancellationToken) -> std::convert::Infallible {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let signals = kinds.map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        tell!("stopping: the call under way is waited for, then all is put back");
        stop.cancel();
    }
}
