//! What the daemon counts while it works, and everything that a scrape shows.
//!
//! The numbers of single certificates are not kept here: they are projected from snapshots when
//! somebody asks ([`projection`](super::projection)), so that they cannot disagree with the page.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::exposition::{self, Format};
use super::projection::Projection;
use crate::time::Timestamp;

/// The upper bounds in seconds: a look takes a moment, an order minutes.
const DURATION_BUCKETS: [f64; 9] = [0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0];

/// What the daemon counts. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    registry: Registry,
    actions: Family<ActionOutcome, Counter>,
    durations: Family<ActionLabel, Histogram>,
    tick_lag: Gauge<f64, AtomicU64>,
    last_search: Mutex<Option<Timestamp>>,
}

/// Calls of a cloud's API that ended the same way, since the start of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCalls {
    /// The cloud's name in the configuration.
    pub cloud: String,
    /// The API action, for example `SetVodDomainSSLCertificate`.
    pub action: String,
    /// `OK`, or the code of the failure.
    pub code: String,
    /// How many.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionOutcome {
    action: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Metrics {
    /// Counts from zero, in a registry of its own.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("vodcertd");
        let actions = Family::<ActionOutcome, Counter>::default();
        registry.register("actions", "Steps taken, by how they ended", actions.clone());
        let durations = Family::<ActionLabel, Histogram>::new_with_constructor(duration_histogram);
        registry.register(
            "action_duration_seconds",
            "How long steps took",
            durations.clone(),
        );
        let tick_lag = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "tick_lag_seconds",
            "How much later than planned the last tick came",
            tick_lag.clone(),
        );
        let build = Family::<Build, Gauge>::default();
        build
            .get_or_create(&Build {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1);
        registry.register("build_info", "Always 1; the labels say what runs", build);
        let last_search = Mutex::new(None);
        Self(Arc::new(Counters {
            registry,
            actions,
            durations,
            tick_lag,
            last_search,
        }))
    }

    /// Counts one step: which, whether it did what it should, how long it took.
    pub fn action(&self, action: &str, done: bool, took: Duration) {
        let outcome = if done { "done" } else { "failed" };
        let labels = ActionOutcome {
            action: action.to_owned(),
            outcome,
        };
        self.0.actions.get_or_create(&labels).inc();
        let labels = ActionLabel {
            action: action.to_owned(),
        };
        self.0
            .durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Notes by how much a tick was late.
    pub fn tick(&self, lag: Duration) {
        self.0.tick_lag.set(lag.as_secs_f64());
    }

    /// Notes that a search for due work went through to its end.
    pub fn beat(&self, now: Timestamp) {
        *self
            .0
            .last_search
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// When the last search for due work went through to its end.
    pub fn last_search(&self) -> Option<Timestamp> {
        *self
            .0
            .last_search
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is counted here and projected from the snapshots, as text.
    pub(super) fn render(&self, projection: Projection, format: Format) -> String {
        let mut projected = Registry::default();
        projected.register_collector(Box::new(projection));
        exposition::render(&[&self.0.registry, &projected], format)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        metrics.render(Projection::default(), Format::Classic)
    }

    #[test]
    fn steps_are_counted_by_how_they_ended() {
        let metrics = Metrics::new();
        metrics.action("look", true, Duration::from_millis(100));
        metrics.clone().action("look", true, Duration::from_secs(2));
        metrics.action("look", false, Duration::from_secs(2));
        let text = text(&metrics);
        for line in [
            r#"vodcertd_actions_total{action="look",outcome="done"} 2"#,
            r#"vodcertd_actions_total{action="look",outcome="failed"} 1"#,
            r#"vodcertd_action_duration_seconds_count{action="look"} 3"#,
            r#"vodcertd_action_duration_seconds_bucket{le="0.25",action="look"} 1"#,
            r#"vodcertd_action_duration_seconds_bucket{le="+Inf",action="look"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_late_tick_and_the_version_are_shown() {
        let metrics = Metrics::new();
        metrics.tick(Duration::from_millis(1500));
        let text = text(&metrics);
        assert!(text.contains("\nvodcertd_tick_lag_seconds 1.5\n"), "{text}");
        let build = format!(
            "vodcertd_build_info{{version=\"{}\"}} 1\n",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.contains(&build), "{text}");
    }

    #[test]
    fn the_last_search_is_remembered() {
        let metrics = Metrics::new();
        assert_eq!(metrics.last_search(), None);
        metrics.beat(Timestamp::from_seconds(5));
        assert_eq!(
            metrics.clone().last_search(),
            Some(Timestamp::from_seconds(5))
        );
    }
}
