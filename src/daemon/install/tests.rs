//! A month with a certificate store that says the same for ever.

use http::StatusCode;

use super::*;
use crate::aliyun::{Action as Call, ApiError, Cause, Code, Refusal};
use crate::renewal::{
    Action, Bound, Circumstances, Event, Found, Installed, Origin, Record, Spec, StoredCopy,
    StoredPlace, decide,
};
use crate::status::testing;
use crate::time::Timestamp;

/// A pair that is refused is uploaded at most so often to one target: as it is, repeated while it may
/// become ready, and under the two other names; a little more where two codes are said in turns.
const MOST_UPLOADS: u32 = 8;

/// Calls that change something, to one target in a month: the courses of two codes with their uploads,
/// and then one a day.
const MOST_CALLS: u32 = 2 * MOST_UPLOADS + 31;

/// What a cloud says for ever.
#[derive(Clone, Copy, Debug)]
struct Cloud {
    to_uploads: Code,
    /// Whether its list shows a copy, and what is said to those who bind it.
    to_binds: Option<Code>,
    /// What is said to every second call, whatever it is.
    in_between: Option<Code>,
}

/// What was asked of it.
#[derive(Debug, Default)]
struct Asked {
    uploads: u32,
    binds: u32,
    others: u32,
}

impl Asked {
    fn calls(&self) -> u32 {
        self.uploads + self.binds + self.others
    }

    fn is_turn_of_the_other(&self) -> bool {
        self.calls() % 2 == 1
    }
}

fn refusal(code: Code, now: Timestamp) -> Failure {
    let refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        code,
        code_text: code.as_str().to_owned(),
        message: None,
        request_id: None,
        missing_permission: None,
        named_time: None,
        sent: Vec::new(),
    };
    let error = ApiError {
        action: Call::SetVodDomainSslCertificate,
        cloud: "default".to_owned(),
        cause: Cause::Refused(Box::new(refusal)),
    };
    error.failure(now)
}

fn place() -> StoredPlace {
    StoredPlace {
        cert_id: 7,
        cert_region: "cn-hangzhou".to_owned(),
    }
}

impl Cloud {
    /// What comes of an install.
    fn install(
        self,
        asked: &mut Asked,
        record: &mut Record,
        target: &TargetId,
        origin: &Origin,
        now: Timestamp,
    ) -> Event {
        let failed = |failure, bound| Event::InstallFailed {
            target: target.clone(),
            generation: 1,
            failure,
            may_have_happened: false,
            bound,
            jitter: 0.5,
        };
        let binds = match origin {
            Origin::Upload => false,
            Origin::Copy { .. } => true,
            Origin::Search(_) => self.to_binds.is_some(),
        };
        if binds && matches!(origin, Origin::Search(_)) {
            record.apply(stored(), now);
        }
        if (binds || origin.may_upload())
            && asked.is_turn_of_the_other()
            && let Some(code) = self.in_between
        {
            asked.others += 1;
            let bound = binds.then(|| Bound {
                place: place(),
                is_missing: false,
            });
            return failed(refusal(code, now), bound);
        }
        if let (true, Some(code)) = (binds, self.to_binds) {
            asked.binds += 1;
            let bound = Bound {
                place: place(),
                is_missing: code == Code::CertificateNotFound,
            };
            return failed(refusal(code, now), Some(bound));
        }
        if origin.may_upload() {
            asked.uploads += 1;
            return failed(refusal(self.to_uploads, now), None);
        }
        let trouble = record.targets[target].trouble.as_ref().unwrap();
        failed(trouble.nothing_to_bind().unwrap(), None)
    }

    fn plays_a_month(self, spec: &Spec, mut record: Record) -> Asked {
        let mut asked = Asked::default();
        let mut now = testing::now();
        let end = now + testing::DAY * 31;
        while now < end {
            let decision = decide(spec, &record, &Circumstances::default(), now);
            let event = match decision.action {
                Action::SleepUntil(time) => {
                    now = time;
                    continue;
                }
                Action::Install { target, manner, .. } => {
                    self.install(&mut asked, &mut record, &target, &manner.origin, now)
                }
                Action::ReadBack { target } => Event::ReadBack {
                    target,
                    found: Found::Nothing,
                },
                other @ (Action::AskRenewalInfo
                | Action::DistrustClock { .. }
                | Action::Look { .. }
                | Action::Order { .. }
                | Action::ProveOwner { .. }) => panic!("{other:?}"),
            };
            record.apply(event, now);
        }
        asked
    }
}

impl Cloud {
    #[track_caller]
    fn is_asked_within_bounds(self, domains: &[&str], known: bool) {
        let spec = spec(domains);
        let mut record = testing::served(&spec, 1);
        record.targets.clear();
        if known {
            record.apply(elsewhere(), testing::now());
        }
        let asked = self.plays_a_month(&spec, record);
        let targets = u32::try_from(domains.len()).unwrap();
        let most = MOST_UPLOADS * targets;
        assert!(asked.uploads <= most, "{self:?}, {known}: {asked:?}");
        assert!(asked.calls() > 0, "{self:?} was never asked");
        let most = MOST_CALLS * targets;
        // What is said in between does not bring about more of them.
        let calls = asked.uploads + asked.binds;
        assert!(calls <= most, "{self:?}, {known}: {asked:?}");
    }
}

/// Watched only, and looked at by nobody: nothing but installs and read-backs is decided.
fn spec(domains: &[&str]) -> Spec {
    let mut spec = testing::spec("video", domains[0]);
    spec.issuers.clear();
    let (_, mut target) = spec.targets.pop_first().unwrap();
    target.look.enabled = false;
    for domain in domains {
        let id = testing::target_id(domain);
        spec.targets.insert(id, target.clone());
    }
    spec
}

#[test]
fn no_answer_leads_to_an_endless_stream_of_uploads() {
    let to_uploads = [
        Code::CertificateContentDuplicated,
        Code::CertificateDuplicated,
        Code::CertNameExists,
        Code::CertificateNotFound,
        Code::CertificateStatusError,
        Code::CreateCertificateFailed,
    ];
    let to_binds = [None]
        .into_iter()
        .chain(to_uploads.map(Some))
        .chain([Some(Code::DomainInSafeMode)]);
    let in_between = [None, Some(Code::ServiceBusy), Some(Code::Throttling)];
    for to_binds in to_binds {
        for (to_uploads, in_between) in to_uploads
            .iter()
            .flat_map(|code| in_between.map(|between| (*code, between)))
        {
            let cloud = Cloud {
                to_uploads,
                to_binds,
                in_between,
            };
            for domains in [&["v.example.com"][..], &["v.example.com", "w.example.com"]] {
                // A copy that is known is bound first.
                for known in [false, to_binds.is_some()] {
                    cloud.is_asked_within_bounds(domains, known);
                }
            }
        }
    }
}

/// A search found the copy.
fn stored() -> Event {
    Event::Stored {
        cloud: "default".to_owned(),
        generation: 1,
        copy: StoredCopy {
            cert_name: "by-hand".to_owned(),
            place: Some(place()),
        },
    }
}

/// A target that left the configuration since was given the generation.
fn elsewhere() -> Event {
    let place = place();
    Event::Installed {
        target: testing::target_id("gone.example.com"),
        installed: Installed {
            generation: 1,
            at: testing::now(),
            cert_name: "vodcertd-1".to_owned(),
            cert_id: Some(place.cert_id),
            cert_region: Some(place.cert_region),
        },
    }
}
