//! `vodcertd plan`: what the daemon would do now, or at another time, and why.
//!
//! It asks the same core as the daemon, on the stored facts: what a step will bring is not foreseen.

use std::path::Path;

use serde::Serialize;

use super::arguments::Plan;
use super::exit::{Exit, Failure};
use super::inputs::Inputs;
use super::output::{Output, Style};
use super::table::{Cell, Table};
use crate::clock::Clock;
use crate::name::{DnsName, Label, TargetId};
use crate::renewal::{Action, Decision, Reason, Spec, decide};
use crate::status::{Facts, Next};
use crate::time::{Timestamp, format_relative};

/// Prints the next step of the chosen certificates.
pub(super) fn plan(path: &Path, asked: &Plan, output: Output) -> Result<Exit, Failure> {
    let inputs = Inputs::read(path)?;
    let now = Clock::System.now();
    let at = asked.at.unwrap_or(now);
    let specs = inputs.chosen(asked.name.as_deref())?;
    let steps: Vec<Step> = specs
        .into_iter()
        .map(|spec| Step::of(spec, &inputs.facts, at))
        .collect();
    if asked.json {
        output.print_json(&steps)?;
    } else {
        output.print(&table(&steps, now).render(output.colour()))?;
    }
    Ok(Exit::Done)
}

/// The next step of one certificate. The fields of its JSON form are a promise: they are added to,
/// never changed.
#[derive(Debug, PartialEq, Serialize)]
struct Step {
    name: Label,
    /// The time for which it was decided.
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    action: &'static str,
    reason: &'static str,
    /// The reason as a sentence.
    because: String,
    target: Option<TargetId>,
    generation: Option<u32>,
    issuer: Option<String>,
    names: Vec<DnsName>,
    /// What ends the sleep, if it sleeps.
    then: Option<Next>,
}

impl Step {
    fn of(spec: &Spec, facts: &Facts, at: Timestamp) -> Self {
        match facts.record(&spec.label) {
            Ok(record) => {
                let decision = decide(spec, &record, &facts.circumstances, at);
                let then = matches!(decision.action, Action::SleepUntil(_))
                    .then(|| facts.snapshot(spec, at).next);
                Self::decided(spec, decision, at, then)
            }
            Err(error) => Self {
                because: format!("the stored record cannot be read: {error}"),
                ..Self::plain(spec, at, "none", "record-unreadable")
            },
        }
    }

    fn decided(spec: &Spec, decision: Decision, at: Timestamp, then: Option<Next>) -> Self {
        let (action, reason) = (decision.action.as_str(), decision.reason);
        let step = Self {
            because: because(reason).to_owned(),
            target: decision.action.target().cloned(),
            then,
            ..Self::plain(spec, at, action, reason.as_str())
        };
        match decision.action {
            Action::Install { generation, .. } => Self {
                generation: Some(generation),
                ..step
            },
            Action::Order { issuer, names, .. } => Self {
                issuer: Some(issuer.name),
                names: names.into_iter().collect(),
                ..step
            },
            Action::AskRenewalInfo
            | Action::DistrustClock { .. }
            | Action::Look { .. }
            | Action::ProveOwner { .. }
            | Action::ReadBack { .. }
            | Action::SleepUntil(_) => step,
        }
    }

    fn plain(spec: &Spec, at: Timestamp, action: &'static str, reason: &'static str) -> Self {
        Self {
            name: spec.label.clone(),
            at,
            action,
            reason,
            because: String::new(),
            target: None,
            generation: None,
            issuer: None,
            names: Vec::new(),
            then: None,
        }
    }

    /// What the step is about, in a few words.
    fn object(&self, now: Timestamp) -> Option<String> {
        if let Some(next) = &self.then {
            let at = next
                .at
                .map(|at| format_relative(at, now))
                .unwrap_or_default();
            let target = next
                .target
                .as_ref()
                .map(|id| format!(" {id}"))
                .unwrap_or_default();
            return Some(format!("{}{target} {at} ({})", next.action, next.reason));
        }
        if let Some(issuer) = &self.issuer {
            let names: Vec<&str> = self.names.iter().map(DnsName::as_str).collect();
            return Some(format!("{} from {issuer}", names.join(" ")));
        }
        let target = self.target.as_ref()?;
        match self.generation {
            Some(generation) => Some(format!("generation {generation} on {target}")),
            None => Some(target.to_string()),
        }
    }
}

fn table(steps: &[Step], now: Timestamp) -> Table {
    let mut table = Table::new(&["NAME", "DOES", "WHAT", "WHY"]);
    for step in steps {
        let (does, what) = match &step.then {
            Some(_) => (
                "sleep",
                step.object(now).map(|object| format!("then {object}")),
            ),
            None => (step.action, step.object(now)),
        };
        table.add(vec![
            Cell::new(&step.name),
            Cell::styled(does, Style::Heading),
            Cell::or_nothing(what),
            Cell::new(&step.because),
        ]);
    }
    table
}

/// A reason as a sentence.
fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::CaBudget => "the limits of the CA leave no room for an order",
        Reason::BeforeInstall => "the edge is looked at once more before an install",
        Reason::ClockWrong => "the local clock is off by more than an hour",
        Reason::Drift => "the edge stopped serving what had been seen",
        Reason::DriftCheck => "the edge is looked at again now and then",
        Reason::Due => "the time of renewal",
        Reason::Expired => "what is held has expired",
        Reason::FirstContact => "the target was never asked what it has",
        Reason::KeyChanged => "another kind of key is configured",
        Reason::LostAnswer => "the answer to an install was lost",
        Reason::NamesChanged => "other names are configured",
        Reason::NeverLooked => "the edge was never looked at",
        Reason::NewerElsewhere => "a target has a newer generation than this store",
        Reason::NothingIssued => "nothing was issued yet",
        Reason::NothingToDo => "there is nothing to do",
        Reason::NotInstalled => "the target does not have this generation",
        Reason::NotSeen => "installed, but not seen at the edge yet",
        Reason::OwnerUnproven => "the cloud asks for a proof of who owns the domain",
        Reason::ProfileChanged => "another profile is configured",
        Reason::Refused => "the pair was refused as unusable",
        Reason::RenewalInfoStale => "what the CA said about renewal is out of date",
        Reason::Resume => "an order is under way",
        Reason::Revoked => "it was revoked",
        Reason::UnknownLeaf => "the edge serves a certificate that nobody here knows",
        Reason::Waiting => "something that failed, or a limit, says when",
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
fn rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::renewal::{ClockTrust, Record};
    use crate::status::testing::{self, DAY, now, served, spec, target_id};
    use crate::store::ReadStore;

    /// The step of a certificate of which this is stored.
    async fn step(at: Timestamp, change: fn(&mut Record)) -> Step {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec("video", "v.example.com");
        let mut record = served(&spec, 2);
        change(&mut record);
        let records = [(spec.label.clone(), record)].into();
        testing::store(folder.path(), &records).await.close().await;
        let store = ReadStore::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        let facts = Facts::read(&store, ClockTrust::Trusted).await.unwrap();
        Step::of(&spec, &facts, at)
    }

    #[tokio::test]
    async fn an_install_is_planned_with_its_generation() {
        let step = step(now(), |record| {
            let target = record.targets.values_mut().next().unwrap();
            target.installed = None;
            target.seen = None;
            target.api = crate::renewal::Api::Nothing;
            target.asked_at = Some(now());
            target.looked_at = Some(now());
        })
        .await;
        assert_eq!((step.action, step.generation), ("install", Some(2)));
        assert_eq!(step.target, Some(target_id("v.example.com")));
        assert_eq!(
            table(&[step], now()).render(false),
            "NAME   DOES     WHAT                                              WHY\n\
             video  install  generation 2 on aliyun-vod/default/v.example.com  \
             the target does not have this generation\n"
        );
    }

    #[tokio::test]
    async fn another_time_is_decided_on_todays_facts() {
        let step = step(now() + 61 * DAY, |record| record.targets.clear()).await;
        assert_eq!(step.action, "look");
        let json = serde_json::to_value(&step).unwrap();
        assert_eq!(json["name"], "video");
        assert_eq!(json["at"], "2026-05-01T12:00:00Z");
        assert_eq!(json["then"], Value::Null);
    }

    #[tokio::test]
    async fn a_sleep_is_planned_with_what_ends_it() {
        let step = step(now(), |record| {
            let target = record.targets.values_mut().next().unwrap();
            target.asked_at = Some(now());
            target.api = crate::renewal::Api::Ours { generation: 2 };
        })
        .await;
        let then = step.then.as_ref().unwrap();
        assert_eq!((step.action, then.action.as_str()), ("sleep", "look"));
        assert!(then.at.unwrap() > now());
        let text = table(&[step], now()).render(false);
        assert!(
            text.contains("sleep  then look aliyun-vod/default/v.example.com in 5h"),
            "{text}"
        );
    }

    #[test]
    fn every_reason_has_a_sentence_of_its_own() {
        let reasons = [
            Reason::ClockWrong,
            Reason::Drift,
            Reason::DriftCheck,
            Reason::Due,
            Reason::Expired,
            Reason::FirstContact,
            Reason::KeyChanged,
            Reason::LostAnswer,
            Reason::NamesChanged,
            Reason::NeverLooked,
            Reason::NewerElsewhere,
            Reason::NothingIssued,
            Reason::NothingToDo,
            Reason::NotInstalled,
            Reason::NotSeen,
            Reason::ProfileChanged,
            Reason::Refused,
            Reason::RenewalInfoStale,
            Reason::Resume,
            Reason::Revoked,
            Reason::UnknownLeaf,
            Reason::Waiting,
        ];
        let sentences: BTreeSet<&str> = reasons.into_iter().map(because).collect();
        assert_eq!(sentences.len(), reasons.len());
    }
}
