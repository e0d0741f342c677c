//! A process may be killed between any two lines. What is on the disk then is opened by the next.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde_json::json;

use super::*;
use crate::secret::Secret;
use crate::store::{AcceptedOrderRow, JournalKind, JournalWriter};

/// What the next process finds.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// What is there, in the order of an order's life.
    facts: Vec<&'static str>,
    newest_generation: u32,
    version: i64,
    history: usize,
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test]
async fn each_write_is_found_after_a_kill() {
    let home = Home::new();
    let store = home.open().await;
    let (chain, key) = pair();
    let (account, url) = ("https://ca.example/account/1", "https://ca.example/order/1");
    let mut record = Record::default();
    let entries = [entry("step")];
    let found = async |facts: &[&'static str], saves| {
        let facts = facts.to_vec();
        let newest_generation = u32::from(facts.contains(&"generation"));
        let (version, history) = (i64::from(saves), usize::from(saves));
        let expected = Found {
            facts,
            newest_generation,
            version,
            history,
        };
        assert_eq!(after_a_kill(&home).await, expected);
    };
    let lease = claimed(&store).await;
    found(&[], 0_u8).await;

    let account_key = Secret::new("key");
    store
        .save_account_key(DIRECTORY, &account_key, NOW)
        .await
        .unwrap();
    found(&["account key"], 0).await;

    store
        .save_account_url(DIRECTORY, account, &[], NOW)
        .await
        .unwrap();
    found(&["account key", "account URL"], 0).await;

    let order = new_order();
    let id = store
        .save_order_intent(&lease, &record, NOW, &order, &entries)
        .await
        .unwrap()
        .unwrap();
    found(&["account key", "account URL", "order"], 1).await;

    let accepted = AcceptedOrderRow {
        url,
        key: &key,
        csr: b"csr",
        replaces: false,
        draws: &[],
    };
    store
        .save_order_accepted(&lease, &record, NOW, &id, &accepted, &entries)
        .await
        .unwrap();
    found(
        &[
            "account key",
            "account URL",
            "order",
            "order URL",
            "order key",
            "csr",
        ],
        2,
    )
    .await;

    let (kind, payload) = (JournalKind::TxtRecord, json!({}));
    let row = store
        .journal_open(&lease, kind, Some(&id), &payload, NOW)
        .await
        .unwrap();
    let published = [
        "account key",
        "account URL",
        "order",
        "order URL",
        "order key",
        "csr",
        "proof",
    ];
    found(&published, 2).await;

    issue(&mut record, 1, &chain);
    let new = new_generation(1, &chain, &key);
    store
        .save_generation(&lease, &record, NOW, &id, &new, &entries)
        .await
        .unwrap();
    found(&["account key", "account URL", "proof", "generation"], 3).await;

    let worker = JournalWriter::Worker(&lease);
    store.journal_close(worker, &row, NOW).await.unwrap();
    found(&["account key", "account URL", "generation"], 3).await;
}

#[tokio::test]
async fn an_abandoned_write_is_done_wholly_or_not_at_all() {
    let mut undone = 0;
    for polls in 1.. {
        let home = Home::new();
        let store = home.open().await;
        let lease = claimed(&store).await;
        let mut record = Record::default();
        let (chain, key) = pair();
        let order = intend(&store, &lease, &record).await;
        issue(&mut record, 1, &chain);
        let (new, entries) = (new_generation(1, &chain, &key), [entry("issued")]);
        let write = store.save_generation(&lease, &record, NOW, &order, &new, &entries);
        let write = Polls {
            left: polls,
            inner: Box::pin(write),
        };
        let finished = write.await.is_some();

        let found = after_a_kill(&home).await;
        let done = found.facts == ["generation"];
        let expected = Found {
            facts: if done {
                vec!["generation"]
            } else {
                vec!["order"]
            },
            newest_generation: u32::from(done),
            version: 1 + i64::from(done),
            history: usize::from(done),
        };
        assert_eq!(found, expected, "after {polls} polls");
        assert!(done || !finished, "after {polls} polls");
        undone += usize::from(!done);
        // The connection is not stuck in what was abandoned.
        store.save(&lease, &record, NOW, &[]).await.unwrap();
        if finished {
            break;
        }
    }
    assert!(
        undone > 0,
        "how often depends on how fast the database answers"
    );
}

/// Kills the process (as far as the disk can tell), starts the next one and looks.
async fn after_a_kill(home: &Home) -> Found {
    let left = home.killed();
    let store = left.open().await;
    assert_eq!(
        store.due(NOW, 10).await.unwrap(),
        [video()],
        "it is taken up at once"
    );
    let stored = store.load(&video()).await.unwrap().unwrap();
    let account = store.account(DIRECTORY).await.unwrap();
    let order = store.open_order(&video()).await.unwrap();
    let proofs = store
        .journal_rows(JournalKind::TxtRecord, Some(&video()))
        .await
        .unwrap();
    let facts = [
        ("account key", account.is_some()),
        (
            "account URL",
            account.is_some_and(|account| account.url.is_some()),
        ),
        ("order", order.is_some()),
        (
            "order URL",
            order.as_ref().is_some_and(|order| order.url.is_some()),
        ),
        (
            "order key",
            match &order {
                Some(order) => store
                    .order_key(&video(), &order.id)
                    .await
                    .unwrap()
                    .is_some(),
                None => false,
            },
        ),
        (
            "csr",
            order.as_ref().is_some_and(|order| order.csr.is_some()),
        ),
        ("proof", !proofs.is_empty()),
        (
            "generation",
            store.generation(&video(), 1).await.unwrap().is_some(),
        ),
    ];
    Found {
        facts: facts
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(fact, _)| fact)
            .collect(),
        newest_generation: stored.record.newest_generation,
        version: stored.version,
        history: store.history(None, 10).await.unwrap().len(),
    }
}

/// Polls a future so many times and gives it up then.
struct Polls<F> {
    left: u32,
    inner: Pin<Box<F>>,
}

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.inner.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left <= 1 => Poll::Ready(None),
            Poll::Pending => {
                self.left -= 1;
                Poll::Pending
            }
        }
    }
}
