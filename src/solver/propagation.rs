//! Waiting until a published value is seen at every name server of its zone.
//!
//! A CA asks the zone's own servers, so they are asked here, directly and all of them. What they
//! say is no proof (an anycast server has many faces), which is why no outcome forbids to go on:
//! an order is rather tried once than never.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dns::Dns;

/// How many name servers are asked at the same time.
const CONCURRENT_QUESTIONS: usize = 16;

/// How long to wait (`propagation` of a solver).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// The longest wait for the servers; zero means not to ask at all.
    pub timeout: Duration,
    /// The pause between two rounds.
    pub poll: Duration,
    /// A further wait once the values are seen, for servers that one cannot see from here.
    pub settle: Duration,
}

/// What the wait came to. Whatever it is, the caller may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every authoritative server that answers shows all values.
    Seen,
    /// No authoritative server answers, but the recursive resolvers show all values.
    SeenAtResolversOnly,
    /// Time is up.
    NotSeen {
        /// The authoritative servers that lack a value; none where no server answers.
        servers: BTreeSet<SocketAddr>,
    },
    /// There was no wait, as configured.
    Skipped,
}

/// What the servers said in one round.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Round {
    /// All that answered as an authority show all values.
    Complete,
    /// These do not.
    Lacking(BTreeSet<SocketAddr>),
    /// None answered as an authority.
    Silent,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(5),
            poll: Duration::from_secs(2),
            settle: Duration::ZERO,
        }
    }
}

impl Propagation {
    /// Waits until all of `values` are seen as `TXT` at `fqdn`.
    pub async fn wait(&self, dns: &Dns, fqdn: &str, values: &BTreeSet<String>) -> Outcome {
        if self.timeout.is_zero() {
            return Outcome::Skipped;
        }
        let deadline = Instant::now() + self.timeout;
        let mut servers = BTreeSet::new();
        let mut lacking = BTreeSet::new();
        let mut warned = false;
        loop {
            if servers.is_empty() {
                servers = find_servers(dns, fqdn).await;
            }
            match ask_all(dns, &servers, fqdn, values).await {
                Round::Complete => {
                    sleep(self.settle).await;
                    return Outcome::Seen;
                }
                Round::Lacking(these) => lacking = these,
                Round::Silent => {
                    lacking.clear();
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(name = fqdn, "no name server of the zone answers");
                    }
                    if resolvers_show(dns, fqdn, values).await {
                        sleep(self.settle).await;
                        return Outcome::SeenAtResolversOnly;
                    }
                }
            }
            if Instant::now() >= deadline {
                return Outcome::NotSeen { servers: lacking };
            }
            sleep_until(deadline.min(Instant::now() + self.poll)).await;
        }
    }
}

/// The servers of the zone that the name lies in; none if they cannot be found out.
async fn find_servers(dns: &Dns, fqdn: &str) -> BTreeSet<SocketAddr> {
    let found = match dns.zone_of(fqdn).await {
        Ok(zone) => dns.servers_of(&zone).await,
        Err(error) => Err(error),
    };
    found.unwrap_or_else(|error| {
        tracing::debug!(
            name = fqdn,
            error = &error as &dyn std::error::Error,
            "found no name servers to ask"
        );
        BTreeSet::new()
    })
}

/// Asks every server once.
async fn ask_all(
    dns: &Dns,
    servers: &BTreeSet<SocketAddr>,
    fqdn: &str,
    values: &BTreeSet<String>,
) -> Round {
    let answers: Vec<_> = stream::iter(servers.iter().copied())
        .map(|server| async move { (server, shows(dns, server, fqdn, values).await) })
        .buffer_unordered(CONCURRENT_QUESTIONS)
        .collect()
        .await;
    judge(answers)
}

/// Whether one server shows all values; nothing if it does not answer as an authority. Resolvers
/// pass over such servers as well.
async fn shows(
    dns: &Dns,
    server: SocketAddr,
    fqdn: &str,
    values: &BTreeSet<String>,
) -> Option<bool> {
    match dns.ask_txt(server, fqdn).await {
        Ok(answer) if answer.authoritative => Some(answer.values.is_superset(values)),
        Ok(_) => {
            tracing::debug!(%server, name = fqdn, "not an authority for the name");
            None
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(%server, name = fqdn, error, "no answer");
            None
        }
    }
}

fn judge(answers: Vec<(SocketAddr, Option<bool>)>) -> Round {
    if answers.iter().all(|(_, shows)| shows.is_none()) {
        return Round::Silent;
    }
    let lacks =
        |(server, shows): (SocketAddr, Option<bool>)| (shows == Some(false)).then_some(server);
    let lacking: BTreeSet<SocketAddr> = answers.into_iter().filter_map(lacks).collect();
    if lacking.is_empty() {
        Round::Complete
    } else {
        Round::Lacking(lacking)
    }
}

async fn resolvers_show(dns: &Dns, fqdn: &str, values: &BTreeSet<String>) -> bool {
    match dns.resolve_txt(fqdn).await {
        Ok(found) => found.is_superset(values),
        Err(error) => {
            tracing::debug!(
                name = fqdn,
                error = &error as &dyn std::error::Error,
                "the recursive resolvers do not know either"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 53))
    }

    #[test]
    fn only_servers_that_answer_as_an_authority_count() {
        let cases = [
            ("nobody was asked", vec![], Round::Silent),
            ("nobody answered", vec![None, None], Round::Silent),
            ("all show it", vec![Some(true), Some(true)], Round::Complete),
            ("one is down", vec![None, Some(true)], Round::Complete),
            (
                "one lacks it",
                vec![Some(true), Some(false), None],
                Round::Lacking(BTreeSet::from([server(1)])),
            ),
            (
                "one lacks it and one is down",
                vec![Some(false), None],
                Round::Lacking(BTreeSet::from([server(0)])),
            ),
        ];
        for (case, shown, expected) in cases {
            let answers = (0..).map(server).zip(shown).collect();
            assert_eq!(judge(answers), expected, "{case}");
        }
    }
}
