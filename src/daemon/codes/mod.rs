//! Every answer of the cloud that is no success, lived through once and for ever.

mod bench;
mod clock;
mod document;
mod proofs;
mod scopes;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use vodcertd_sandbox::gateway::{Disturbance, RawAnswer, Refusal};

use self::bench::{Bench, DETAIL, INFO, LIST, SET, STORE};
use self::table::{ALIDNS, Calls, GATEWAY, INSTALLATION, Row, SERVICE, STORAGE, UNKNOWN, rows};
use crate::aliyun::Code;
use crate::retry::Scope;
use crate::status::{Snapshot, TargetState};

const WEEK: Duration = Duration::from_hours(24 * 7);

impl Row {
    /// What the cloud does.
    fn disturbance(&self) -> Disturbance {
        let status = self.status.unwrap_or_default();
        match self.answer {
            "(a page)" => Disturbance::Raw(RawAnswer::page(status)),
            "(no answer)" => Disturbance::HangUp,
            "(no answer, but performed)" => Disturbance::PerformThenHangUp,
            code => Disturbance::Refuse(Refusal::new(status, code, "The reason.")),
        }
    }

    /// Whether the history says that it happened: what is healed inside one call is told nobody.
    fn is_told(&self) -> bool {
        self.answer != "InvalidTimeStamp.Expired"
    }

    /// Whether it says that the credentials may not make the call.
    fn is_about_permission(&self) -> bool {
        let code = Code::parse(self.answer);
        code.lacks_permission() || self.answer == "New.Code"
    }

    /// The code that `status` shows.
    fn code(&self) -> String {
        match (self.answer, self.status) {
            ("(a page)", Some(status)) => format!("http-{status}"),
            ("(no answer)" | "(no answer, but performed)", _) => "connection-broken".to_owned(),
            (code, _) => code.to_owned(),
        }
    }
}

/// How a pair gets to its target: by which call that is answered as a row says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is uploaded by the call that installs it.
    Upload,
    /// It is stored, then bound.
    Store,
}

impl Way {
    async fn bench(self) -> Bench {
        match self {
            Self::Upload => Bench::new().await,
            Self::Store => Bench::storing().await,
        }
    }

    fn call(self) -> &'static str {
        match self {
            Self::Upload => SET,
            Self::Store => STORE,
        }
    }
}

async fn assert_calls(bench: &Bench, way: Way, expected: &Calls, name: &str) {
    let orders = bench.told("order-failed").await;
    for (what, counted, expected) in [
        (way.call(), bench.calls(way.call()), &expected.installs),
        ("read-backs", bench.calls(INFO), &expected.read_backs),
        ("read-backs", bench.calls(DETAIL), &expected.read_backs),
        ("lists", bench.calls(LIST), &expected.lists),
        ("orders", orders, &expected.orders),
    ] {
        assert!(expected.contains(&counted), "{name}: {counted} {what}");
    }
}

fn warns_of(status: &Snapshot, code: &str) -> bool {
    status.alerts.iter().any(|alert| alert.code == code)
}

/// What a failure is about is closed for everybody, and nothing else: for an hour if a person is told
/// at once.
async fn assert_closed(bench: &Bench, scope: Option<&Scope>, row: &Row, name: &str) {
    let scope = scope.filter(|scope| !scope.is_here_only());
    let seconds = if row.alert == Some(1) { 3600 } else { 5 };
    let length = Duration::from_secs(seconds);
    let expected = scope.and_then(|scope| Some((scope.key()?, length)));
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(bench.closed().await, expected, "{name}");
}

/// The first such call is answered so, then all is well.
async fn live_through_once(way: Way, row: &Row) {
    let name = format!("{} once", row.name());
    let bench = way.bench().await;
    bench.fail_once(way.call(), row.disturbance());
    let pause = bench.wake().await;
    if row.is_told() {
        assert!(row.allows(0, pause), "{name}: {pause:?}");
        let status = bench.status().await;
        let failure = status.failure.as_ref().unwrap();
        assert_eq!(
            (&failure.code, failure.in_a_row),
            (&row.code(), 1),
            "{name}"
        );
        assert_eq!(failure.retry_at, Some(bench.now() + pause), "{name}");
        assert_eq!(
            warns_of(&status, &row.code()),
            row.alert == Some(1),
            "{name}"
        );
        let record = bench.record().await;
        let trouble = record.targets.values().find_map(|t| t.trouble.as_ref());
        let scope = trouble.map(|trouble| &trouble.failure.scope);
        assert_closed(&bench, scope, row, &name).await;
    }
    bench.pass(pause).await;
    bench.wake().await;
    let status = bench.status().await;
    // What needs a new pair is not over: nobody answers at the CA.
    let over = row.once.orders == (0..=0);
    let seen = status.targets[0].state == TargetState::Seen;
    assert_eq!((seen, status.failure.is_none()), (over, over), "{name}");
    assert_eq!(status.alerts.is_empty(), over, "{name}");
    assert_calls(&bench, way, &row.once, &name).await;
    if way == Way::Store {
        assert_eq!(bench.calls(SET), 1, "{name}: it is bound once");
    }
}

/// Every such call is answered so, for a week.
async fn live_through_for_ever(way: Way, row: &Row) {
    let name = format!("{} for ever", row.name());
    let bench = way.bench().await;
    bench.fail_always(way.call(), row.disturbance());
    let mut warned = None;
    for nth in 0.. {
        let pause = bench.wake().await;
        assert!(
            row.allows(nth, pause),
            "{name}: {pause:?} after {nth} others"
        );
        if warned.is_none() && warns_of(&bench.status().await, &row.code()) {
            warned = Some(nth + 1);
        }
        if bench.passed() + pause >= WEEK {
            break;
        }
        bench.pass(pause).await;
    }
    assert_eq!(warned, row.alert, "{name}: warned");
    let status = bench.status().await;
    let target = &status.targets[0];
    let failure = target.failure.as_ref();
    assert_eq!(target.state.as_str(), row.state, "{name}");
    assert_eq!(failure.map(|failure| &*failure.class), row.class, "{name}");
    if let Some(failure) = failure {
        assert_eq!(failure.code, row.code(), "{name}");
    }
    assert_eq!(
        warns_of(&status, &row.code()),
        row.alert.is_some(),
        "{name}"
    );
    assert_calls(&bench, way, &row.ever, &name).await;
    if way == Way::Store {
        assert_eq!(bench.calls(SET), 0, "{name}: there is nothing to bind");
    }
}

async fn each_once(way: Way, table: &'static str) {
    for row in rows(table) {
        live_through_once(way, &row).await;
    }
}

async fn each_for_ever(way: Way, table: &'static str) {
    for row in rows(table) {
        live_through_for_ever(way, &row).await;
    }
}

#[tokio::test]
async fn codes_of_the_installation_once() {
    each_once(Way::Upload, INSTALLATION).await;
}

#[tokio::test]
async fn codes_of_the_installation_for_ever() {
    each_for_ever(Way::Upload, INSTALLATION).await;
}

#[tokio::test]
async fn codes_of_the_service_once() {
    each_once(Way::Upload, SERVICE).await;
}

#[tokio::test]
async fn codes_of_the_service_for_ever() {
    each_for_ever(Way::Upload, SERVICE).await;
}

#[tokio::test]
async fn codes_of_the_gateway_once() {
    each_once(Way::Upload, GATEWAY).await;
}

#[tokio::test]
async fn codes_of_the_gateway_for_ever() {
    each_for_ever(Way::Upload, GATEWAY).await;
}

#[tokio::test]
async fn codes_of_the_certificate_store_once() {
    each_once(Way::Store, STORAGE).await;
}

#[tokio::test]
async fn codes_of_the_certificate_store_for_ever() {
    each_for_ever(Way::Store, STORAGE).await;
}

#[tokio::test]
async fn answers_that_nobody_told_us_of_once() {
    each_once(Way::Upload, UNKNOWN).await;
}

#[tokio::test]
async fn answers_that_nobody_told_us_of_for_ever() {
    each_for_ever(Way::Upload, UNKNOWN).await;
}

/// Whatever is said to the question what is there: it is not asked hotly, and costs no order.
#[tokio::test]
async fn every_answer_to_a_read_back_for_ever() {
    for row in [INSTALLATION, SERVICE, GATEWAY, UNKNOWN]
        .into_iter()
        .flat_map(rows)
    {
        let name = row.name();
        let bench = Bench::new().await;
        bench.fail_always(INFO, row.disturbance());
        for nth in 0.. {
            let pause = bench.wake().await;
            assert!(
                pause >= Duration::from_secs(5),
                "{name}: {pause:?} after {nth} others"
            );
            if bench.passed() + pause >= WEEK {
                break;
            }
            bench.pass(pause).await;
        }
        // Once more for each time that it is signed anew for a clock that is not wrong.
        let asked = bench.calls(INFO);
        assert!((7..=36).contains(&asked), "{name}: {asked} read-backs");
        let failed = bench.status().await.failure.is_some();
        // What may not be asked is a policy and no trouble: it is installed without.
        let is_policy = bench.calls(SET) > 0;
        assert_eq!(
            (bench.calls(SET), failed),
            (usize::from(is_policy), !is_policy),
            "{name}"
        );
        assert_eq!(bench.told("order-failed").await, 0, "{name}");
        assert_eq!(
            is_policy,
            row.status == Some(403) && row.is_about_permission(),
            "{name}"
        );
    }
}

/// What is said to more than one service, beside VOD: at these it may close something else.
const ELSEWHERE: [(&str, &str); 10] = [
    ("Alidns", "Forbidden"),
    ("Alidns", "Forbidden.AuthType"),
    ("Alidns", "Forbidden.RAM"),
    ("Alidns", "Forbidden.RiskControl"),
    ("Alidns", "InternalError"),
    ("Alidns", "Throttling"),
    ("Alidns", "Throttling.User"),
    ("CAS", "Forbidden.RAM"),
    ("CAS", "InternalError"),
    ("CAS", "Throttling.User"),
];

#[test]
fn every_code_is_lived_through_at_every_service_that_says_it() {
    let codes = |tables: &[&'static str]| -> BTreeSet<Code> {
        let rows = tables.iter().flat_map(|table| rows(table));
        let codes = rows.map(|row| Code::parse(row.answer));
        codes.filter(|code| *code != Code::Unknown).collect()
    };
    assert_eq!(codes(&[INSTALLATION]).len(), 32, "the documented list");
    let vod = codes(&[INSTALLATION, SERVICE, GATEWAY]);
    let others = [("Alidns", codes(&[ALIDNS])), ("CAS", codes(&[STORAGE]))];
    let elsewhere = others.iter().flat_map(|(service, codes)| {
        let shared = codes.intersection(&vod);
        shared.map(|code| (*service, code.as_str()))
    });
    assert_eq!(
        elsewhere.collect::<BTreeSet<_>>(),
        BTreeSet::from(ELSEWHERE)
    );
    let known: BTreeSet<Code> = Code::KNOWN.iter().copied().collect();
    let others = others.into_iter().flat_map(|(_, codes)| codes);
    assert_eq!(
        vod.into_iter().chain(others).collect::<BTreeSet<_>>(),
        known
    );
}
