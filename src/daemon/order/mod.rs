//! Performs an order: from the intent to the stored certificate.
//!
//! | killed after | what the next start finds, and does |
//! |---|---|
//! | the intent is stored | a row without URL: it is closed, its budget stands, a new order |
//! | the order is placed, its URL not stored | the same; the CA lets the order lapse |
//! | URL, key and request are stored | the order is taken up by its URL, as far as it is at the CA |
//! | proofs are published | rows in the journal: adopted by the resumed order, else removed |
//! | the proof is answered, or the request handed in | the same order, further on |
//! | the chain is downloaded, not stored | the order is valid at the CA: downloaded again |
//!
//! Here the CA and the proof of control meet: `acme` knows no DNS and `solver` no ACME.

mod account;
mod fulfil;
mod place;

use std::collections::BTreeSet;

use super::proof;
use super::shared::roll;
use super::trust::Verdict;
use super::worker::{Step, Worker};
use crate::acme::{Account, AcmeError, Order, directory};
use crate::keys::{KeyError, PrivateKey};
use crate::name::DnsName;
use crate::renewal::{Event, Exhausted, IssuerSpec, OrderFate, Record};
use crate::retry::{Class, Failure, with_causes};
use crate::store::{OrderId, OrderRow, StoreError};

/// Why an order has not come to its end.
pub(super) enum Unfinished {
    /// The store failed; nothing is known to have been written.
    Store(StoreError),
    /// It was left off, because the daemon is stopping or the clock is wrong. An order under way
    /// stays open.
    Parked,
    /// The CA's limits leave no room for it; it was not sent.
    HeldBack(Exhausted),
    /// It failed.
    Failed(Box<Failed>),
}

/// A failed order.
pub(super) struct Failed {
    /// Why.
    pub(super) failure: Failure,
    /// What that means for the order under way.
    pub(super) order: OrderFate,
    /// Whether the CA does not know our account any more.
    pub(super) account_is_lost: bool,
}

/// What is to be obtained, as it was decided.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) issuer: &'a IssuerSpec,
    pub(super) names: &'a BTreeSet<DnsName>,
    pub(super) replaces: bool,
    pub(super) overdraws: bool,
}

/// An order that the CA has accepted, with the key that is stored for it.
struct Open {
    id: OrderId,
    order: Order,
    key: PrivateKey,
    csr: Vec<u8>,
    account: String,
    directory: String,
}

/// Obtains the next generation: takes up the order under way, or places a new one.
pub(super) async fn order(worker: &mut Worker<'_>, wanted: Wanted<'_>) -> Result<Step, StoreError> {
    let issuer = wanted.issuer;
    match obtain(worker, wanted).await {
        Ok(()) => Ok(Step::Done),
        Err(Unfinished::Parked) => Ok(Step::Parked),
        Err(Unfinished::Store(error)) => Err(error),
        Err(Unfinished::HeldBack(exhausted)) => {
            worker
                .take(Event::OrderHeldBack {
                    issuer: issuer.name.clone(),
                    exhausted,
                    jitter: roll(),
                })
                .await?;
            Ok(Step::Parked)
        }
        Err(Unfinished::Failed(failed)) => {
            fail(worker, issuer, *failed).await?;
            Ok(Step::Failed)
        }
    }
}

async fn obtain(worker: &mut Worker<'_>, wanted: Wanted<'_>) -> Result<(), Unfinished> {
    let account = account::of(worker, wanted.issuer).await?;
    check_clock(worker, wanted.issuer).await?;
    let row = worker.shared.store.open_order(worker.lease.label()).await?;
    let open = match row {
        Some(row) if suits(&row, worker, wanted) => match take_up(worker, &account, &row).await? {
            Some(open) => open,
            None => return Ok(()),
        },
        other => {
            if let Some(row) = other {
                give_up(worker, &account, &row).await?;
            }
            place::place(worker, &account, wanted).await?
        }
    };
    fulfil::fulfil(worker, wanted, open).await
}

/// Leaves the order off if the clock is wrong; the next decision knows it then. If nobody has said
/// the time yet, because the network came up after the daemon or a long silence, the CA is asked
/// before anything is sent that cannot be taken back.
async fn check_clock(worker: &Worker<'_>, issuer: &IssuerSpec) -> Result<(), Unfinished> {
    let shared = worker.shared;
    if shared.clock_verdict() == Verdict::Unknown
        && let Some(ca) = shared.ca_of(&issuer.directory)
    {
        directory::fetch(ca).await.map_err(|error| {
            let failure = error.failure(shared.clock.now(), &issuer.directory);
            Unfinished::of(failure, OrderFate::Open)
        })?;
    }
    match shared.clock_verdict() {
        Verdict::Wrong => Err(Unfinished::Parked),
        Verdict::Right | Verdict::Unknown => Ok(()),
    }
}

/// Whether a stored order is the one that is wanted and can be taken up.
fn suits(row: &OrderRow, worker: &Worker<'_>, wanted: Wanted<'_>) -> bool {
    row.url.is_some()
        && row.names == *wanted.names
        && row.key_type == worker.job.spec.key
        && row.directory == wanted.issuer.directory
        && row.profile == wanted.issuer.profile
}

/// Takes up an order by its URL; nothing if the CA has dropped it, which is worth a new decision.
async fn take_up(
    worker: &mut Worker<'_>,
    account: &Account,
    row: &OrderRow,
) -> Result<Option<Open>, Unfinished> {
    let resumed = match &row.url {
        Some(url) => Order::resume(account, url)
            .await
            .map_err(|error| failed(worker, &error, &row.directory))?,
        None => None,
    };
    let Some(order) = resumed else {
        drop_open_order(worker, "gone").await?;
        return Ok(None);
    };
    let (key, csr) = stored_key(worker, row).await?;
    tracing::info!(certificate = %worker.job.spec.label, order = order.url(), "order taken up");
    Ok(Some(Open {
        id: row.id.clone(),
        order,
        key,
        csr,
        account: account.url().to_owned(),
        directory: row.directory.clone(),
    }))
}

/// The key and the request of an order under way. Without them the order is worth nothing: it was
/// made for this key.
async fn stored_key(
    worker: &Worker<'_>,
    row: &OrderRow,
) -> Result<(PrivateKey, Vec<u8>), Unfinished> {
    let store = &worker.shared.store;
    let stored = match store.order_key(worker.lease.label(), &row.id).await {
        Err(error @ StoreError::Unsealable { .. }) => {
            tracing::warn!(
                certificate = %worker.job.spec.label,
                error = &error as &dyn std::error::Error,
                "the key of the order under way is lost"
            );
            None
        }
        stored => stored?,
    };
    let key = stored.and_then(|key| PrivateKey::from_pkcs8(key.expose()).ok());
    key.zip(row.csr.clone()).ok_or_else(|| {
        let failure = Failure::here(
            "order-key-lost",
            "the key of the order under way cannot be read from the store",
            &[(Class::Backoff, 3), (Class::Operator, 1)],
        );
        Unfinished::of(failure, OrderFate::Over)
    })
}

/// Drops an order that is not the wanted one any more. What the CA says to that is not heeded: an order
/// that is left alone lapses.
async fn give_up(
    worker: &mut Worker<'_>,
    account: &Account,
    row: &OrderRow,
) -> Result<(), Unfinished> {
    // Another CA knows nothing of this account.
    let at_this_ca = row.directory == account.ca().directory();
    if let Some(url) = row.url.as_ref().filter(|_| at_this_ca) {
        let abandoned = match Order::resume(account, url).await {
            Ok(Some(mut order)) => order.abandon().await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = abandoned {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not tell the CA that an order is not wanted any more"
            );
        }
    }
    Ok(drop_open_order(worker, "dropped").await?)
}

/// Closes the order under way, if there is one, and takes its proofs away.
async fn drop_open_order(worker: &mut Worker<'_>, outcome: &str) -> Result<(), StoreError> {
    let row = worker.shared.store.open_order(worker.lease.label()).await?;
    let now = worker.shared.clock.now();
    let told = worker.apply(Event::OrderDropped, now);
    let (store, lease, entries) = (&worker.shared.store, worker.lease, told.entries());
    match row {
        Some(row) => {
            store
                .close_order(lease, &worker.record, now, &row.id, outcome, &entries)
                .await?;
            proof::withdraw(worker, &row.id).await;
        }
        None => store.save(lease, &worker.record, now, &entries).await?,
    }
    told.log();
    Ok(())
}

/// Takes in a failure. What it means for the order under way is stored with it, all or nothing.
async fn fail(
    worker: &mut Worker<'_>,
    issuer: &IssuerSpec,
    failed: Failed,
) -> Result<(), StoreError> {
    let Failed {
        failure,
        order,
        account_is_lost,
    } = failed;
    if account_is_lost {
        worker.shared.forget_account(&issuer.name).await?;
    }
    let now = worker.shared.clock.now();
    worker.shared.close_scope(&failure, now).await?;
    let row = worker.shared.store.open_order(worker.lease.label()).await?;
    let code = failure.code.clone();
    let event = Event::OrderFailed {
        issuer: issuer.name.clone(),
        failure,
        order,
        jitter: roll(),
    };
    let told = worker.apply(event, now);
    let (store, lease, record) = (&worker.shared.store, worker.lease, &worker.record);
    let entries = told.entries();
    let closed = match (order, row) {
        (OrderFate::Open, _) | (OrderFate::Over | OrderFate::Refused, None) => {
            store.save(lease, record, now, &entries).await?;
            None
        }
        (OrderFate::Over, Some(row)) => {
            store
                .close_order(lease, record, now, &row.id, &code, &entries)
                .await?;
            Some(row.id)
        }
        (OrderFate::Refused, Some(row)) => {
            store
                .close_refused_order(lease, record, now, &row.id, &code, &entries)
                .await?;
            Some(row.id)
        }
    };
    told.log();
    if let Some(id) = closed {
        proof::withdraw(worker, &id).await;
    }
    Ok(())
}

/// What comes of an error of the CA.
fn failed(worker: &Worker<'_>, error: &AcmeError, directory: &str) -> Unfinished {
    let failure = error.failure(worker.shared.clock.now(), directory);
    let order = fate_of(error, &failure, &worker.record);
    Unfinished::Failed(Box::new(Failed {
        failure,
        order,
        account_is_lost: error.account_is_gone(),
    }))
}

/// What an error of the CA, as this failure, means for the order under way.
fn fate_of(error: &AcmeError, failure: &Failure, record: &Record) -> OrderFate {
    if error.leaves_the_order_open() {
        OrderFate::Open
    } else if error.order_is_over() || error.account_is_gone() {
        OrderFate::Over
    } else {
        fate(failure, record)
    }
}

/// A failure that passes says nothing against the order itself; one that has come to the end of its
/// course will not pass.
fn fate(failure: &Failure, record: &Record) -> OrderFate {
    let before = record.orders.trouble.as_ref();
    let before = before.and_then(|trouble| trouble.by_code.get(&failure.code));
    let count = before.copied().unwrap_or_default().saturating_add(1);
    match failure.class(count) {
        Class::After | Class::Backoff | Class::Refresh => OrderFate::Open,
        Class::Bug
        | Class::Operator
        | Class::Reconcile
        | Class::Reformat
        | Class::Reissue
        | Class::Rename => OrderFate::Over,
    }
}

/// A key could not be made or used. The order under way, if there is one, was not touched.
fn key_failed(error: KeyError, order: OrderFate) -> Unfinished {
    let remedies = [(Class::Backoff, 3), (Class::Operator, 1)];
    let failure = Failure::here("key", with_causes(&error), &remedies);
    Unfinished::of(failure, order)
}

impl Unfinished {
    /// A failure that the CA has nothing to do with.
    pub(super) fn of(failure: Failure, order: OrderFate) -> Self {
        Self::Failed(Box::new(Failed {
            failure,
            order,
            account_is_lost: false,
        }))
    }
}

impl From<StoreError> for Unfinished {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::acme::{Cause, Operation, Problem, ProblemType, Refusal};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn failure(code: &str) -> Failure {
        Failure::here(code, "", &[(Class::Backoff, 2), (Class::Operator, 1)])
    }

    #[test]
    fn an_order_is_dropped_when_its_failure_does_not_pass() {
        let mut record = Record::default();
        for expected in [OrderFate::Open, OrderFate::Open, OrderFate::Over] {
            let failure = failure("unusable-chain");
            let order = fate(&failure, &record);
            assert_eq!(order, expected);
            fail(&mut record, failure, order);
        }
        assert_eq!(fate(&failure("another"), &record), OrderFate::Open);
    }

    fn fail(record: &mut Record, failure: Failure, order: OrderFate) {
        let event = Event::OrderFailed {
            issuer: "first".to_owned(),
            failure,
            order,
            jitter: 0.5,
        };
        record.apply(event, NOW);
    }

    /// The fates of the order when this error comes again and again.
    fn fates(operation: Operation, cause: impl Fn() -> Cause) -> Vec<OrderFate> {
        let mut record = Record::default();
        let fates = (0..6).map(|_| {
            let error = AcmeError {
                operation,
                names: BTreeSet::new(),
                cause: cause(),
            };
            let failure = error.failure(NOW, "https://ca.test/dir");
            let order = fate_of(&error, &failure, &record);
            fail(&mut record, failure, order);
            order
        });
        fates.collect()
    }

    fn refused(status: u16, kind: Option<ProblemType>) -> Cause {
        Cause::Refused(Box::new(Refusal {
            status,
            problem: kind.map(|kind| Problem {
                kind,
                type_text: None,
                detail: None,
                subproblems: Vec::new(),
            }),
            is_web_page: kind.is_none(),
            retry_after: None,
            terms_of_service: None,
        }))
    }

    /// An order holds what was issued for it: it is dropped when the CA says so, and not when
    /// something else answers in its place.
    #[test]
    fn an_order_is_kept_as_long_as_it_may_be_good() {
        use OrderFate::{Open, Over};
        const TWICE: [OrderFate; 6] = [Open, Open, Over, Over, Over, Over];
        const FOUR_TIMES: [OrderFate; 6] = [Open, Open, Open, Open, Over, Over];
        let malformed = Some(ProblemType::Malformed);
        let cases = [
            ("a page", Operation::Download, 404, None, TWICE),
            (
                "no certificate yet",
                Operation::Download,
                404,
                malformed,
                TWICE,
            ),
            ("a wall", Operation::Download, 403, None, [Open; 6]),
            ("a wall", Operation::Validate, 403, None, [Open; 6]),
            ("a page", Operation::ReadOrder, 404, None, TWICE),
            ("no order", Operation::ReadOrder, 404, malformed, [Over; 6]),
            (
                "a bad request",
                Operation::Finalize,
                400,
                malformed,
                [Over; 6],
            ),
            ("an outage", Operation::Download, 502, None, [Open; 6]),
        ];
        for (case, operation, status, kind, expected) in cases {
            let fates = fates(operation, || refused(status, kind));
            assert_eq!(fates, expected, "{case}: {operation}, {status}");
        }
        for operation in [Operation::Download, Operation::Validate] {
            let stalled = |after: Option<u64>| {
                fates(operation, || Cause::TimedOut {
                    retry_after: after.map(|seconds| NOW + Duration::from_secs(seconds)),
                })
            };
            assert_eq!(stalled(None), FOUR_TIMES);
            assert_eq!(stalled(Some(3)), FOUR_TIMES, "the pace of polling");
            assert_eq!(stalled(Some(3600)), [Open; 6], "slow, and says so");
        }
    }
}
