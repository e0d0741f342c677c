//! What the cloud has counted, and the passing of time for a daemon that does not run.

use std::time::Duration;

use vodcertd::clock::Clock;
use vodcertd::name::Label;
use vodcertd::renewal::{Record, Trouble};
use vodcertd::store::Stored;
use vodcertd::time::{Deadline, Timestamp};
use vodcertd_sandbox::world::RecordKind;

use super::Scene;

/// The call that installs.
pub(crate) const SET: &str = "SetVodDomainSSLCertificate";

/// The call that reads back.
pub(crate) const READ: &str = "DescribeVodDomainCertificateInfo";

impl Scene {
    /// How many orders the CA has taken since it was started first.
    pub(crate) fn orders_at_ca(&self) -> usize {
        self.in_ca_log("Added order \"")
    }

    /// How many of them were said to replace a certificate.
    pub(crate) fn replacements_at_ca(&self) -> usize {
        self.in_ca_log(" is a replacement of ")
    }

    /// How many accounts the CA has made since it was started first.
    pub(crate) fn accounts_at_ca(&self) -> usize {
        self.in_ca_log(" accounts in memory")
    }

    /// How many certificates the CA has issued since it was started first.
    pub(crate) fn certificates_at_ca(&self) -> usize {
        self.in_ca_log("Issued certificate serial ")
    }

    /// How often a text stands in the log of the CA.
    pub(crate) fn in_ca_log(&self, text: &str) -> usize {
        let log = self.pebble.log().unwrap();
        log.matches(text).count()
    }

    /// How many installs the cloud has performed, whatever it said.
    pub(crate) fn installs(&self) -> usize {
        self.gateway.calls().performed(SET)
    }

    /// How many proofs stand in the zone.
    pub(crate) fn proofs(&self) -> usize {
        let records = self.world.records("example.com");
        let proofs = records
            .iter()
            .filter(|record| record.kind == RecordKind::Txt);
        proofs.count()
    }

    /// What is stored of a certificate, with the time at which it is due.
    pub(crate) async fn stored(&self, label: &str) -> Option<Stored> {
        let store = self.read_store().await?;
        let label: Label = label.parse().unwrap();
        let stored = store.load(&label).await;
        store.close().await;
        stored.ok()?
    }

    /// How long it is until a certificate is worked on next.
    pub(crate) async fn rests_for(&self, label: &str) -> Duration {
        let stored = self.stored(label).await.unwrap();
        stored.due_at.since(Clock::System.now())
    }

    /// Waits until there is nothing to do for a certificate.
    pub(crate) async fn until_at_rest(&self, label: &str) {
        self.until(&format!("{label} at rest"), async || {
            let stored = self.stored(label).await;
            stored.is_some_and(|stored| stored.due_at > Clock::System.now())
        })
        .await;
    }

    /// Waits until something stands in the history of a certificate so many times.
    pub(crate) async fn until_told(&self, label: &str, kind: &str, times: usize) {
        self.until(
            &format!("{kind} of {label} told {times} times"),
            async || self.count(label, kind).await >= times,
        )
        .await;
    }

    /// Runs the daemon until there is nothing to do for a certificate.
    pub(crate) async fn run_until_at_rest(&self, label: &str) {
        let daemon = self.run();
        self.until_at_rest(label).await;
        daemon.stop().await;
    }

    /// Lets time pass for these certificates and for everything that is not one certificate's own, as
    /// though the daemon had not run meanwhile: everything stored happened that much earlier.
    /// Certificates do not age.
    pub(crate) async fn let_pass(&self, labels: &[&str], time: Duration) {
        for label in labels {
            self.change_record(label, |record| age(record, time)).await;
        }
        let time = time.as_millis();
        // What could not be taken away is left alone for a while.
        self.execute(format!(
            "UPDATE deadlines SET until = until - {time}, set_at = set_at - {time};
             UPDATE journal SET payload = json_set(payload,
                 '$.pause.until', json_extract(payload, '$.pause.until') - {time},
                 '$.pause.set_at', json_extract(payload, '$.pause.set_at') - {time})
             WHERE json_extract(payload, '$.pause') IS NOT NULL"
        ))
        .await;
    }
}

fn age(record: &mut Record, time: Duration) {
    let earlier = |at: &mut Timestamp| *at = *at - time;
    if let Some(issued) = &mut record.issued {
        earlier(&mut issued.at);
        if let Some(info) = &mut issued.renewal_info {
            earlier(&mut info.asked_at);
            earlier(&mut info.ask_again);
        }
        if let Some(unusable) = &mut issued.unusable {
            earlier(&mut unusable.at);
        }
    }
    let orders = &mut record.orders;
    for accepted in &mut orders.accepted {
        earlier(&mut accepted.at);
    }
    if let Some(open) = &mut orders.open {
        earlier(&mut open.intended_at);
        open.accepted_at.iter_mut().for_each(earlier);
    }
    let troubles = [&mut orders.trouble, &mut orders.reissues];
    for trouble in troubles.into_iter().flatten() {
        age_trouble(trouble, time);
    }
    for issuer in orders.issuers.values_mut() {
        earlier(&mut issuer.since);
        issuer.named = issuer.named.map(|named| earlier_deadline(named, time));
    }
    for target in record.targets.values_mut() {
        if let Some(installed) = &mut target.installed {
            earlier(&mut installed.at);
        }
        if let Some(seen) = &mut target.seen {
            earlier(&mut seen.at);
        }
        if let Some(proving) = &mut target.proving {
            earlier(&mut proving.since);
        }
        target.looked_at.iter_mut().for_each(earlier);
        target.asked_at.iter_mut().for_each(earlier);
        if let Some(attempt) = &mut target.owner_proof {
            earlier(&mut attempt.at);
        }
        if let Some(trouble) = &mut target.trouble {
            age_trouble(trouble, time);
        }
    }
}

fn age_trouble(trouble: &mut Trouble, time: Duration) {
    trouble.since = trouble.since - time;
    trouble.last_at = trouble.last_at - time;
    trouble.failure.not_before = trouble.failure.not_before.map(|until| until - time);
}

fn earlier_deadline(deadline: Deadline, time: Duration) -> Deadline {
    Deadline {
        until: deadline.until - time,
        set_at: deadline.set_at - time,
    }
}
