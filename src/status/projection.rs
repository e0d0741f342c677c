//! The numbers of single certificates, projected from snapshots at the moment of a scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::budget::BudgetLeft;
use super::metrics::ApiCalls;
use super::snapshot::{Snapshot, TargetState, TargetView};
use crate::time::Timestamp;

/// What a scrape shows beyond what was counted.
#[derive(Debug, Default)]
pub(super) struct Projection {
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) api_calls: Vec<ApiCalls>,
    pub(super) budget: Vec<BudgetLeft>,
}

/// The labels and the value of one sample.
type Sample<'a, const N: usize> = ([(&'static str, &'a str); N], i64);

impl Collector for Projection {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        gauges(
            encoder,
            "vodcertd_certificate_not_after_seconds",
            "When the newest generation ends, in seconds since the epoch.",
            self.snapshots.iter().filter_map(not_after),
        )?;
        gauges(
            encoder,
            "vodcertd_edge_not_after_seconds",
            "When the certificate ends that the edge was seen to serve, in seconds since the epoch.",
            self.targets(|_, view| view.served_not_after.map(Timestamp::as_seconds)),
        )?;
        gauges(
            encoder,
            "vodcertd_edge_current",
            "1 if the edge serves the newest generation, else 0.",
            self.targets(|snapshot, view| Some(i64::from(is_current(snapshot, view)))),
        )?;
        gauges(
            encoder,
            "vodcertd_next_action_seconds",
            "When the next step is due, in seconds since the epoch.",
            self.snapshots.iter().filter_map(next_action),
        )?;
        gauges(
            encoder,
            "vodcertd_failures",
            "Failures in a row that are not overcome, by what is done about them.",
            self.snapshots.iter().filter_map(failures),
        )?;
        gauges(
            encoder,
            "vodcertd_ca_budget_remaining",
            "How many more the CA takes, by our own count; of several subjects the one with the least.",
            self.budget.iter().map(budget),
        )?;
        self.api_calls(encoder)
    }
}

impl Projection {
    /// One sample per target for which there is a value.
    fn targets(
        &self,
        value: impl Fn(&Snapshot, &TargetView) -> Option<i64>,
    ) -> Vec<([(&'static str, String); 2], i64)> {
        let pairs = self
            .snapshots
            .iter()
            .flat_map(|snapshot| snapshot.targets.iter().map(move |view| (snapshot, view)));
        let sample = |(snapshot, view): (&Snapshot, &TargetView)| {
            let labels = [
                ("certificate", snapshot.name.to_string()),
                ("target", view.id()),
            ];
            Some((labels, value(snapshot, view)?))
        };
        pairs.filter_map(sample).collect()
    }

    fn api_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "vodcertd_api_calls",
            "Calls of the cloud's API, by how they ended.",
            None,
            MetricType::Counter,
        )?;
        for calls in &self.api_calls {
            let labels = [
                ("cloud", calls.cloud.as_str()),
                ("action", &calls.action),
                ("code", &calls.code),
            ];
            ConstCounter::new(calls.count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn budget(left: &BudgetLeft) -> Sample<'_, 2> {
    let labels = [
        ("issuer", left.issuer.as_str()),
        ("limit", left.limit.as_str()),
    ];
    (labels, i64::from(left.left))
}

fn not_after(snapshot: &Snapshot) -> Option<Sample<'_, 1>> {
    Some((
        [("certificate", snapshot.name.as_str())],
        snapshot.not_after?.as_seconds(),
    ))
}

fn next_action(snapshot: &Snapshot) -> Option<Sample<'_, 2>> {
    let labels = [
        ("certificate", snapshot.name.as_str()),
        ("action", &snapshot.next.action),
    ];
    Some((labels, snapshot.next.at?.as_seconds()))
}

fn failures(snapshot: &Snapshot) -> Option<Sample<'_, 2>> {
    let failure = snapshot.failure.as_ref()?;
    let labels = [
        ("certificate", snapshot.name.as_str()),
        ("class", &failure.class),
    ];
    Some((labels, i64::from(failure.in_a_row)))
}

/// Whether the edge serves the newest generation, as far as we could see. What was never seen counts
/// if the API's word is all that the configuration asks for.
fn is_current(snapshot: &Snapshot, view: &TargetView) -> bool {
    match view.served_fingerprint {
        Some(served) => Some(served) == snapshot.fingerprint && view.look_failure.is_none(),
        None => view.state == TargetState::Seen,
    }
}

fn gauges<K, V, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = ([(K, V); N], i64)>,
) -> fmt::Result
where
    [(K, V); N]: prometheus_client::encoding::EncodeLabelSet,
{
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::{Circumstances, Limit, Quota, Record};
    use crate::retry::Class;
    use crate::status::Metrics;
    use crate::status::exposition::Format;
    use crate::status::testing::{DAY, fingerprint, now, served, spec, trouble};

    fn text(change: fn(&mut Record)) -> String {
        let spec = spec("video", "v.example.com");
        let mut record = served(&spec, 2);
        change(&mut record);
        let snapshot = Snapshot::of(&spec, &record, &Circumstances::default(), now());
        let calls = ApiCalls {
            cloud: "default".into(),
            action: "SetVodDomainSSLCertificate".into(),
            code: "Throttling.User".into(),
            count: 7,
        };
        let projection = Projection {
            snapshots: vec![snapshot],
            api_calls: vec![calls],
            budget: vec![BudgetLeft {
                issuer: "letsencrypt".into(),
                limit: Limit::RegisteredDomain,
                quota: Quota::new(50, DAY * 7).unwrap(),
                subject: Some("example.com".into()),
                left: 42,
            }],
        };
        Metrics::new().render(projection, Format::Classic)
    }

    #[track_caller]
    fn assert_line(text: &str, line: &str) {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }

    const TARGET: &str = r#"certificate="video",target="aliyun-vod/default/v.example.com""#;

    #[test]
    fn a_certificate_that_is_served_is_projected() {
        let text = text(|_| {});
        let not_after = now().as_seconds() + 60 * 86_400;
        for line in [
            format!(r#"vodcertd_certificate_not_after_seconds{{certificate="video"}} {not_after}"#),
            format!("vodcertd_edge_not_after_seconds{{{TARGET}}} {not_after}"),
            format!("vodcertd_edge_current{{{TARGET}}} 1"),
            r#"vodcertd_api_calls_total{cloud="default",action="SetVodDomainSSLCertificate",code="Throttling.User"} 7"#.into(),
            "# TYPE vodcertd_api_calls_total counter".into(),
            r#"vodcertd_ca_budget_remaining{issuer="letsencrypt",limit="registered-domain"} 42"#.into(),
        ] {
            assert_line(&text, &line);
        }
        assert!(text.contains(r#"vodcertd_next_action_seconds{certificate="video",action=""#));
        assert!(!text.contains("vodcertd_failures{"), "{text}");
    }

    #[test]
    fn an_edge_that_serves_another_leaf_is_not_current() {
        let older = text(|record| {
            let target = record.targets.values_mut().next().unwrap();
            target.served.as_mut().unwrap().fingerprint = fingerprint(1);
        });
        assert_line(&older, &format!("vodcertd_edge_current{{{TARGET}}} 0"));
        let partly = text(|record| {
            let target = record.targets.values_mut().next().unwrap();
            target.look_failure = Some("the addresses serve 2 different certificates".into());
        });
        assert_line(&partly, &format!("vodcertd_edge_current{{{TARGET}}} 0"));
    }

    #[test]
    fn nothing_is_made_up_for_a_certificate_that_has_nothing() {
        let text = text(|record| *record = Record::default());
        assert!(
            !text.contains("vodcertd_certificate_not_after_seconds{"),
            "{text}"
        );
        assert!(!text.contains("vodcertd_edge_not_after_seconds{"), "{text}");
        assert_line(&text, &format!("vodcertd_edge_current{{{TARGET}}} 0"));
    }

    #[test]
    fn failures_are_shown_with_their_class() {
        let text = text(|record| record.orders.trouble = Some(trouble("x", Class::Operator, 3)));
        assert_line(
            &text,
            r#"vodcertd_failures{certificate="video",class="operator"} 3"#,
        );
    }

    #[test]
    fn every_metric_has_help() {
        let text = text(|_| {});
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().unwrap();
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }
}
