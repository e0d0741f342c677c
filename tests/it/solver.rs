//! The solver `alidns` against the sandbox's gateway and name servers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vodcertd::aliyun::Client;
use vodcertd::aliyun::alidns::Zone;
use vodcertd::clock::Clock;
use vodcertd::dns::{Dns, DnsSettings};
use vodcertd::name::DnsName;
use vodcertd::retry::Class;
use vodcertd::solver::{Alidns, Outcome, Place, Propagation, Solver, SolverError};
use vodcertd_sandbox::dns::{DnsServer, Failure};
use vodcertd_sandbox::gateway::{Disturbance, Fault, Gateway, Refusal, Settings};
use vodcertd_sandbox::world::{RecordKind, World};

use crate::cloud;

const PROOF: &str = "_acme-challenge.v.example.com";

/// Longer than any test lasts.
const NEVER: Duration = Duration::from_hours(1);

const QUICK: Propagation = Propagation {
    timeout: Duration::from_millis(200),
    poll: Duration::from_millis(20),
    settle: Duration::ZERO,
};

/// An account with the zone `example.com`, its gateway and its two name servers.
struct Stage {
    world: World,
    gateway: Gateway,
    servers: [DnsServer; 2],
}

impl Stage {
    async fn new() -> Self {
        let world = World::new();
        world.add_zone("example.com");
        Self {
            gateway: Gateway::start(world.clone()).await.unwrap(),
            servers: [
                DnsServer::start(world.clone()).await.unwrap(),
                DnsServer::start(world.clone()).await.unwrap(),
            ],
            world,
        }
    }

    fn solver(&self) -> Solver {
        self.solver_that_waits(QUICK)
    }

    fn solver_that_waits(&self, propagation: Propagation) -> Solver {
        let servers = self.servers.iter().map(DnsServer::address).collect();
        self.solver_over(servers, propagation)
    }

    fn solver_over(&self, authoritative: Vec<SocketAddr>, propagation: Propagation) -> Solver {
        let dns = Dns::new(DnsSettings {
            resolvers: vec![self.servers[1].address()],
            authoritative,
        });
        let client = Arc::new(cloud::client(&self.gateway));
        Solver::Alidns(Alidns::new(client, dns, Vec::new(), propagation))
    }

    fn solver_for(&self, zones: Vec<Zone>) -> Solver {
        self.solver_with(Arc::new(cloud::client(&self.gateway)), zones)
    }

    fn solver_with(&self, client: Arc<Client>, zones: Vec<Zone>) -> Solver {
        let dns = Dns::new(DnsSettings {
            resolvers: vec![self.servers[1].address()],
            authoritative: self.servers.iter().map(DnsServer::address).collect(),
        });
        Solver::Alidns(Alidns::new(client, dns, zones, QUICK))
    }

    /// The TXT values at the proof's name, oldest first.
    fn values(&self) -> Vec<String> {
        let records = self.world.records("example.com");
        let proofs = records
            .into_iter()
            .filter(|record| record.kind == RecordKind::Txt && record.rr == "_acme-challenge.v");
        proofs.map(|record| record.value).collect()
    }

    fn disturb_once(&self, action: &str, disturbance: Disturbance) {
        self.gateway
            .faults()
            .push(Fault::once(disturbance).on(action));
    }
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn values(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().copied().map(str::to_owned).collect()
}

async fn locate(solver: &Solver, text: &str) -> Result<Place, SolverError> {
    let mut places = solver.locate(&BTreeSet::from([name(text)])).await?;
    Ok(places.remove(&name(text)).unwrap())
}

async fn place(solver: &Solver) -> Place {
    locate(solver, "v.example.com").await.unwrap()
}

#[tokio::test]
async fn a_name_and_its_wildcard_hold_two_values_beside_a_foreign_one() {
    let stage = Stage::new().await;
    let foreign = "put there by hand";
    stage
        .world
        .add_record("example.com", "_acme-challenge.v", RecordKind::Txt, foreign);
    let solver = stage.solver();
    let place = place(&solver).await;
    let expected = Place {
        zone: "example.com".into(),
        fqdn: PROOF.into(),
    };
    assert_eq!(place, expected);
    let wildcard = locate(&solver, "*.v.example.com").await.unwrap();
    assert_eq!(wildcard, place);

    let one = solver.present(&place, "one").await.unwrap();
    let two = solver.present(&place, "two").await.unwrap();
    assert_eq!(stage.values(), [foreign, "one", "two"]);
    let seen = solver.wait(&place, &values(&["one", "two"])).await;
    assert_eq!(seen, Outcome::Seen);

    solver.withdraw(&one).await.unwrap();
    assert_eq!(stage.values(), [foreign, "two"]);
    solver.withdraw(&two).await.unwrap();
    assert_eq!(stage.values(), [foreign]);
    solver.withdraw(&two).await.unwrap();
}

#[tokio::test]
async fn a_publication_whose_answer_was_lost_is_found_and_not_doubled() {
    let stage = Stage::new().await;
    let solver = stage.solver();
    let place = place(&solver).await;
    stage.disturb_once("AddDomainRecord", Disturbance::PerformThenHangUp);
    solver.present(&place, "value").await.unwrap_err();
    assert_eq!(stage.values(), ["value"]);

    let found = solver.find(&place, "value").await.unwrap().unwrap();
    let again = solver.present(&place, "value").await.unwrap();
    assert_eq!(again, found);
    assert_eq!(stage.values(), ["value"]);
    solver.withdraw(&found).await.unwrap();
    assert_eq!(stage.values(), [""; 0]);
}

#[tokio::test]
async fn a_publication_that_did_not_happen_is_not_found() {
    let stage = Stage::new().await;
    let solver = stage.solver();
    let place = place(&solver).await;
    stage.disturb_once("AddDomainRecord", Disturbance::HangUp);
    solver.present(&place, "value").await.unwrap_err();
    assert_eq!(solver.find(&place, "value").await.unwrap(), None);
    solver.present(&place, "value").await.unwrap();
    assert_eq!(stage.values(), ["value"]);
}

#[tokio::test]
async fn a_withdrawal_can_be_repeated_whether_or_not_it_happened() {
    let cases = [
        (Disturbance::HangUp, 1),
        (Disturbance::PerformThenHangUp, 0),
    ];
    for (disturbance, left) in cases {
        let stage = Stage::new().await;
        let solver = stage.solver();
        let place = place(&solver).await;
        let published = solver.present(&place, "value").await.unwrap();
        stage.disturb_once("DeleteDomainRecord", disturbance.clone());
        solver.withdraw(&published).await.unwrap_err();
        assert_eq!(stage.values().len(), left, "{disturbance:?}");
        solver.withdraw(&published).await.unwrap();
        assert_eq!(stage.values(), [""; 0], "{disturbance:?}");
    }
}

#[tokio::test]
async fn a_delegated_proof_is_written_where_its_alias_leads() {
    let stage = Stage::new().await;
    stage.world.add_zone("proofs.example.net");
    stage.world.add_record(
        "example.com",
        "_acme-challenge.v",
        RecordKind::Cname,
        "v.proofs.example.net",
    );
    let solver = stage.solver();
    let place = place(&solver).await;
    let expected = Place {
        zone: "proofs.example.net".into(),
        fqdn: "v.proofs.example.net".into(),
    };
    assert_eq!(place, expected);
    solver.present(&place, "value").await.unwrap();
    assert_eq!(stage.world.records("proofs.example.net").len(), 1);
    let seen = solver.wait(&place, &values(&["value"])).await;
    assert_eq!(seen, Outcome::Seen);
}

/// As at every wildcard VOD domain: `*.v` leads to the CDN, and so does the proof's name until there is
/// a record of its own.
#[tokio::test]
async fn a_wildcard_that_leads_to_the_cdn_is_shadowed_by_the_proof() {
    let stage = Stage::new().await;
    stage.world.add_foreign_zone("cdn.example.net");
    let alias = "v.cdn.example.net";
    stage
        .world
        .add_record("example.com", "*.v", RecordKind::Cname, alias);
    for listing in ["allowed", "forbidden"] {
        if listing == "forbidden" {
            let refusal = Refusal::new(403, "Forbidden.RAM", "User not authorized.");
            let fault = Fault::always(Disturbance::Refuse(refusal));
            stage.gateway.faults().push(fault.on("DescribeDomains"));
        }
        let solver = stage.solver();
        let place = locate(&solver, "*.v.example.com").await.unwrap();
        let expected = Place {
            zone: "example.com".into(),
            fqdn: PROOF.into(),
        };
        assert_eq!(place, expected, "{listing}");
        let published = solver.present(&place, "value").await.unwrap();
        let seen = solver.wait(&place, &values(&["value"])).await;
        assert_eq!(seen, Outcome::Seen, "{listing}");
        let again = locate(&solver, "*.v.example.com").await.unwrap();
        assert_eq!(again, place, "{listing}");
        solver.withdraw(&published).await.unwrap();
    }
}

#[tokio::test]
async fn an_alias_of_its_own_that_leads_elsewhere_needs_a_person() {
    let stage = Stage::new().await;
    stage.world.add_foreign_zone("example.net");
    let rr = "_acme-challenge.v";
    stage
        .world
        .add_record("example.com", rr, RecordKind::Cname, "v.example.net");
    let solver = stage.solver();
    let place = place(&solver).await;
    let refused = solver.present(&place, "value").await.unwrap_err();
    let failure = refused.failure(Clock::System.now());
    assert_eq!(
        (failure.code.as_str(), failure.class(1)),
        ("DomainRecordConflict", Class::Operator)
    );
}

#[tokio::test]
async fn a_zone_with_unicode_is_written_to_by_the_name_that_the_api_knows() {
    let stage = Stage::new().await;
    stage.world.add_zone("例子.com");
    for zones in [vec![], vec![Zone::named("xn--fsqu00a.com").unwrap()]] {
        let solver = stage.solver_for(zones);
        let place = locate(&solver, "v.xn--fsqu00a.com").await.unwrap();
        let expected = Place {
            zone: "例子.com".into(),
            fqdn: "_acme-challenge.v.xn--fsqu00a.com".into(),
        };
        assert_eq!(place, expected);
        let published = solver.present(&place, "value").await.unwrap();
        let found = solver.find(&place, "value").await.unwrap();
        assert_eq!(found.as_ref(), Some(&published));
        let seen = solver.wait(&place, &values(&["value"])).await;
        assert_eq!(seen, Outcome::Seen);
        solver.withdraw(&published).await.unwrap();
        assert_eq!(stage.world.records("例子.com").len(), 0);
    }
}

/// The API refuses an edit of a zone while another one is under way.
#[tokio::test]
async fn a_zone_is_edited_by_one_call_at_a_time() {
    let stage = Stage::new().await;
    stage.gateway.set(Settings {
        zone_edit: Duration::from_millis(20),
        ..Settings::default()
    });
    let client = Arc::new(cloud::client(&stage.gateway));
    let [one, two] = [(); 2].map(|()| stage.solver_with(Arc::clone(&client), Vec::new()));
    let place = place(&one).await;
    let first = one.present(&place, "0").await.unwrap();
    let (place, values) = (&place, ["1", "2", "3", "4"]);
    let solvers = [&one, &two, &one, &two];
    let edits = solvers
        .into_iter()
        .zip(values)
        .map(|(solver, value)| solver.present(place, value));
    let (published, withdrawn) =
        tokio::join!(futures_util::future::join_all(edits), two.withdraw(&first));
    withdrawn.unwrap();
    for published in published {
        published.unwrap();
    }
    let mut left = stage.values();
    left.sort();
    assert_eq!(left, values);
}

#[tokio::test]
async fn the_zones_of_the_account_are_listed_once_for_all_names() {
    let stage = Stage::new().await;
    let names = ["v.example.com", "w.example.com", "*.x.example.com"].map(name);
    let places = stage.solver().locate(&BTreeSet::from(names)).await;
    assert_eq!(places.unwrap().len(), 3);
    assert_eq!(stage.gateway.calls().of("DescribeDomains").len(), 1);
}

/// The solver was configured for another account after it had published.
#[tokio::test]
async fn a_record_that_another_account_does_not_know_is_not_gone() {
    let stage = Stage::new().await;
    let solver = stage.solver();
    let place = place(&solver).await;
    let published = solver.present(&place, "value").await.unwrap();
    let elsewhere = Stage {
        gateway: Gateway::start(World::new()).await.unwrap(),
        ..Stage::new().await
    };
    elsewhere.solver().withdraw(&published).await.unwrap_err();
    assert_eq!(stage.values(), ["value"]);

    // Put there anew by hand: the value is what matters.
    solver.withdraw(&published).await.unwrap();
    solver.present(&place, "value").await.unwrap();
    solver.withdraw(&published).await.unwrap();
    assert_eq!(stage.values(), [""; 0]);
}

#[tokio::test]
async fn aliases_in_a_circle_lead_nowhere() {
    let stage = Stage::new().await;
    let rr = "_acme-challenge.v";
    stage
        .world
        .add_record("example.com", rr, RecordKind::Cname, PROOF);
    let circle = locate(&stage.solver(), "v.example.com").await;
    assert!(
        matches!(circle, Err(SolverError::Aliases { .. })),
        "{circle:?}"
    );
}

#[tokio::test]
async fn a_zone_of_another_account_is_no_place() {
    let account = World::new();
    account.add_zone("example.org");
    let stage = Stage {
        gateway: Gateway::start(account).await.unwrap(),
        ..Stage::new().await
    };
    let foreign = locate(&stage.solver(), "v.example.com").await;
    assert!(
        matches!(foreign, Err(SolverError::NoZone(_))),
        "{foreign:?}"
    );
}

#[tokio::test]
async fn the_wait_is_for_every_server_and_every_value() {
    let stage = Stage::new().await;
    let solver = stage.solver();
    let place = place(&solver).await;
    solver.present(&place, "one").await.unwrap();
    let both = values(&["one", "two"]);
    let all = stage.servers.iter().map(DnsServer::address).collect();
    let outcome = solver.wait(&place, &both).await;
    assert_eq!(outcome, Outcome::NotSeen { servers: all });

    solver.present(&place, "two").await.unwrap();
    stage.servers[0].set_delay(NEVER);
    let late = BTreeSet::from([stage.servers[0].address()]);
    let outcome = solver.wait(&place, &both).await;
    assert_eq!(outcome, Outcome::NotSeen { servers: late });

    stage.servers[0].set_delay(Duration::ZERO);
    assert_eq!(solver.wait(&place, &both).await, Outcome::Seen);
}

#[tokio::test]
async fn the_wait_goes_on_until_the_last_server_shows_the_value() {
    let stage = Stage::new().await;
    let solver = stage.solver_that_waits(Propagation {
        timeout: NEVER,
        ..QUICK
    });
    let place = place(&solver).await;
    solver.present(&place, "value").await.unwrap();
    stage.servers[1].set_delay(NEVER);
    let wanted = values(&["value"]);
    let waiting = solver.wait(&place, &wanted);
    tokio::pin!(waiting);
    let several_rounds = async {
        let asked = || stage.servers[1].queries().len();
        let before = asked();
        while asked() < before + 6 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        outcome = &mut waiting => panic!("the wait ended early: {outcome:?}"),
        () = several_rounds => {}
    }
    stage.servers[1].set_delay(Duration::ZERO);
    assert_eq!(waiting.await, Outcome::Seen);
}

#[tokio::test]
async fn a_server_that_does_not_know_its_zone_is_passed_over() {
    let stage = Stage::new().await;
    let solver = stage.solver();
    let place = place(&solver).await;
    solver.present(&place, "value").await.unwrap();
    stage.servers[0].fail(PROOF, Failure::Refused);
    let wanted = values(&["value"]);
    assert_eq!(solver.wait(&place, &wanted).await, Outcome::Seen);
}

#[tokio::test]
async fn the_resolvers_are_asked_when_no_authority_answers() {
    let stage = Stage::new().await;
    let [authority, resolver] = &stage.servers;
    let solver = stage.solver_over(vec![authority.address()], QUICK);
    let place = place(&solver).await;
    solver.present(&place, "value").await.unwrap();
    authority.fail(PROOF, Failure::ServFail);
    let wanted = values(&["value"]);
    let outcome = solver.wait(&place, &wanted).await;
    assert_eq!(outcome, Outcome::SeenAtResolversOnly);

    resolver.set_delay(NEVER);
    let outcome = solver.wait(&place, &wanted).await;
    let servers = BTreeSet::new();
    assert_eq!(outcome, Outcome::NotSeen { servers });
}

#[tokio::test]
async fn what_is_seen_may_settle_before_the_wait_is_over() {
    let stage = Stage::new().await;
    let settle = Duration::from_millis(150);
    let solver = stage.solver_that_waits(Propagation { settle, ..QUICK });
    let place = place(&solver).await;
    solver.present(&place, "value").await.unwrap();
    let begun = tokio::time::Instant::now();
    let outcome = solver.wait(&place, &values(&["value"])).await;
    assert_eq!(outcome, Outcome::Seen);
    assert!(begun.elapsed() >= settle);
}

#[tokio::test]
async fn without_a_timeout_nobody_is_asked() {
    let stage = Stage::new().await;
    let solver = stage.solver_that_waits(Propagation {
        timeout: Duration::ZERO,
        ..QUICK
    });
    let place = Place {
        zone: "example.com".into(),
        fqdn: PROOF.into(),
    };
    let outcome = solver.wait(&place, &values(&["value"])).await;
    assert_eq!(outcome, Outcome::Skipped);
    assert!(
        stage
            .servers
            .iter()
            .all(|server| server.queries().is_empty())
    );
}
