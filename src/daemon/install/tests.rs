//! A month with a certificate store that says the same for ever.

use http::StatusCode;

use super::*;
use crate::aliyun::{Action as Call, ApiError, Cause, Code, Refusal};
use crate::renewal::{
    Action, Bound, Circumstances, Event, Found, Installed, Origin, Record, Spec, StoredPlace,
    decide,
};
use crate::status::testing;
use crate::time::Timestamp;

/// A pair that is refused is uploaded at most so often to one target: as it is, repeated while it may
/// become ready, and under the two other names; a little more where two codes are said in turns.
const MOST_UPLOADS: u32 = 8;

/// What a cloud says for ever.
#[derive(Clone, Copy, Debug)]
struct Cloud {
    to_uploads: Code,
    /// Whether its list shows a copy, and what is said to those who bind it.
    to_binds: Option<Code>,
}

/// What was asked of it.
#[derive(Debug, Default)]
struct Asked {
    uploads: u32,
    binds: u32,
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
        record: &Record,
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
        let else_upload = match origin {
            Origin::Upload => true,
            Origin::Copy { .. } => false,
            Origin::Search(search) => search.else_upload,
        };
        if let (Origin::Copy { .. } | Origin::Search(_), Some(code)) = (origin, self.to_binds) {
            asked.binds += 1;
            let bound = Bound {
                place: place(),
                is_missing: code == Code::CertificateNotFound,
            };
            return failed(refusal(code, now), Some(bound));
        }
        if else_upload {
            asked.uploads += 1;
            return failed(refusal(self.to_uploads, now), None);
        }
        let trouble = record.targets[target].trouble.as_ref().unwrap();
        failed(trouble.failure.clone(), None)
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
                    self.install(&mut asked, &record, &target, &manner.origin, now)
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
    ];
    let to_binds = [None]
        .into_iter()
        .chain(to_uploads.map(Some))
        .chain([Some(Code::DomainInSafeMode)]);
    for to_binds in to_binds {
        for to_uploads in to_uploads {
            for domains in [&["v.example.com"][..], &["v.example.com", "w.example.com"]] {
                let cloud = Cloud {
                    to_uploads,
                    to_binds,
                };
                let spec = spec(domains);
                let mut record = testing::served(&spec, 1);
                record.targets.clear();
                // A copy that is known is bound first.
                for known in [false, to_binds.is_some()] {
                    let mut record = record.clone();
                    if known {
                        record.apply(elsewhere(), testing::now());
                    }
                    let asked = cloud.plays_a_month(&spec, record);
                    let most = MOST_UPLOADS * u32::try_from(domains.len()).unwrap();
                    let calls = asked.uploads + asked.binds;
                    assert!(asked.uploads <= most, "{cloud:?}, {known}: {asked:?}");
                    assert!(calls > 0, "{cloud:?} was never asked");
                    // Ladder, course, and then once a day.
                    assert!(calls < most + 45 * most, "{cloud:?}, {known}: {asked:?}");
                }
            }
        }
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
