//! A local gateway for Alibaba Cloud's RPC protocol: VOD (2017-03-21), Certificate Management Service
//! (2020-04-07), Alidns (2015-01-09) and STS (2015-04-01).
//!
//! It judges a request as the documentation says the real one does, changes the [`World`], and
//! fails on script. It does not serve TLS, and it knows no other product.

mod access;
mod action;
mod alidns;
mod answer;
mod calls;
mod certificate_deletion;
mod certificate_installation;
mod certificate_storage;
mod fault;
mod flow;
mod ownership;
mod paging;
mod refusal;
mod request;
mod server;
mod signature;
mod sts;
mod vod;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

pub use access::{AccessKey, KeyState};
pub use calls::{Call, Calls, Outcome};
pub use fault::{Disturbance, Fault, Faults, RawAnswer};
pub use refusal::Refusal;

use crate::pem::KeyForms;
use crate::world::{CertRegion, World};
use access::Guard;
use action::Action;
use flow::FlowControl;
use request::Request;

/// Whether the same content may be uploaded again under its own name for its own domain.
///
/// The documentation does not say; a client must live with either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reupload {
    /// Installing is repeatable.
    Accept,
    /// The second upload is refused with `Certificate.Duplicated`.
    RefuseAsDuplicate,
}

/// How the gateway behaves where the documentation leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The answer to a repeated upload.
    pub reupload: Reupload,
    /// The key encodings that an upload may use.
    pub key_forms: KeyForms,
    /// Which region's certificate store this endpoint is.
    pub storage_region: CertRegion,
    /// How long an edit of a DNS zone takes. Another edit of the zone meanwhile is refused with
    /// `LastOperationNotFinished`.
    pub zone_edit: Duration,
    /// After how long `Env=staging` changes production as well; never, as documented, if not set.
    pub staging_spills_after: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reupload: Reupload::Accept,
            key_forms: KeyForms::Traditional,
            storage_region: CertRegion::CnHangzhou,
            zone_edit: Duration::ZERO,
            staging_spills_after: None,
        }
    }
}

/// A running gateway; it stops when dropped.
#[derive(Debug)]
pub struct Gateway {
    url: String,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    world: World,
    guard: Guard,
    settings: Mutex<Settings>,
    /// Until when each zone is being edited.
    zone_edits: Mutex<BTreeMap<String, Instant>>,
    faults: Faults,
    flow: FlowControl,
    calls: Calls,
    clock_offset: Mutex<SignedDuration>,
    request_ids: answer::RequestIds,
}

impl Gateway {
    /// The access key that every gateway knows from the start.
    pub const ACCESS_KEY_ID: &str = "testid";
    /// Its secret.
    pub const ACCESS_KEY_SECRET: &str = "testsecret";

    /// Starts a gateway over `world` on a free port of `127.0.0.1`.
    pub async fn start(world: World) -> io::Result<Self> {
        let guard = Guard::default();
        guard.add(AccessKey::new(Self::ACCESS_KEY_ID, Self::ACCESS_KEY_SECRET));
        let shared = Arc::new(Shared {
            world,
            guard,
            settings: Mutex::default(),
            zone_edits: Mutex::default(),
            faults: Faults::default(),
            flow: FlowControl::default(),
            calls: Calls::default(),
            clock_offset: Mutex::default(),
            request_ids: answer::RequestIds::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let address = server::start(Arc::clone(&shared), stopped).await?;
        Ok(Self {
            url: format!("http://{address}"),
            shared,
            _stop: stop,
        })
    }

    /// Where it listens: `http://127.0.0.1:<port>`, without a final slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The failures that it plays.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The log of calls.
    ///
    /// # Panics
    /// If the gateway panicked: its callers saw a connection that was closed, which tests script.
    pub fn calls(&self) -> &Calls {
        let panics = self.shared.calls.panics();
        assert_eq!(panics, 0, "the gateway panicked; its log says why");
        &self.shared.calls
    }

    /// From now on refuses what is more than so many calls of an action by one account or access key
    /// within any stretch of this length, with `Throttling.User`.
    pub fn limit(&self, action: &str, calls: usize, within: Duration) {
        self.shared.flow.limit(action, calls, within);
    }

    /// Makes an access key known, or replaces it.
    pub fn add_access_key(&self, key: AccessKey) {
        self.shared.guard.add(key);
    }

    /// Forgets an access key.
    pub fn remove_access_key(&self, id: &str) {
        self.shared.guard.remove(id);
    }

    /// Ends the time of every temporary access key.
    pub fn expire_temporary_keys(&self) {
        self.shared.guard.expire_temporary();
    }

    /// Its clock now.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Changes the behaviour.
    pub fn set(&self, settings: Settings) {
        *locked(&self.shared.settings) = settings;
    }

    /// Sets its clock ahead of the real one, or behind.
    pub fn set_clock_offset(&self, offset: SignedDuration) {
        *locked(&self.shared.clock_offset) = offset;
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        Timestamp::now() + *locked(&self.clock_offset)
    }

    fn settings(&self) -> Settings {
        *locked(&self.settings)
    }

    /// Begins what a request asks for; gives how long it takes.
    fn begin(&self, action: Action, request: &Request) -> Result<Duration, Refusal> {
        let takes = self.settings().zone_edit;
        if !action.edits_a_zone() || takes.is_zero() {
            return Ok(Duration::ZERO);
        }
        let Some(zone) = alidns::edited_zone(&self.world.lock(), request) else {
            return Ok(Duration::ZERO);
        };
        let now = Instant::now();
        let mut edits = locked(&self.zone_edits);
        if edits.get(&zone).is_some_and(|until| *until > now) {
            return Err(alidns::edit_under_way());
        }
        edits.insert(zone, now + takes);
        Ok(takes)
    }
}

/// Locks `mutex`; a panic elsewhere must not hide behind a second one here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
