//! The life of a certificate as a pure function over stored facts.
//!
//! ```text
//!            ┌────────────────────────── SleepUntil(t) ◄──────────────┐
//!            ▼                                                        │
//!   load ─► decide(&Spec, &Record, &Circumstances, now) ─► Decision ──┤
//!            ▲                                                        ▼
//!           save ◄── Record::apply(Event, now) ◄── event ◄── perform(action)
//! ```
//!
//! [`Spec`] is what the admin wants, [`Record`] everything that is known (exactly what is stored),
//! [`Circumstances`] the facts that are not this certificate's own. [`decide()`] says the next step
//! and why; [`Record::apply`] is the only mutation. Nothing is decided while a step is performed,
//! and nothing here remembers an event: a crash, a missed tick, a changed configuration or a
//! restored backup are just other records.
//!
//! Invariants that are absences: nothing in this folder awaits, reads a clock, rolls dice or logs.
//! Random choices arrive in events, made once by the shell, and are stored.

mod backoff;
mod budget;
mod circumstances;
mod decide;
mod event;
mod outlook;
#[cfg(test)]
mod fixtures;
mod record;
mod schedule;
#[cfg(test)]
mod simulation;
mod spec;
mod trouble;

pub use backoff::{Urgency, doubled, scope_deadline, too_many_faults, waits_for_a_person};
pub use budget::{Draw, DrawKind, Exemption, Exhausted, Limit, Limits, Quota};
pub use circumstances::{Circumstances, ClockTrust};
pub use decide::{Action, Decision, Manner, Origin, Reason, Search, decide, install_at, order_at};
pub use event::{Bound, Event, Found, OrderFate, OrderIntent, RenewalAnswer, Sight};
pub use record::{
    AcceptedOrder, Api, Installed, Issued, IssuerTrouble, OpenOrder, Orders, OutOfBudget,
    OwnerAttempt, Proving, Record, RenewalInfo, Seen, Served, StoredCopy, StoredPlace,
    TargetRecord, Unusable,
};
pub use schedule::{RenewPolicy, default_fraction, due_at};
pub use spec::{IssuerSpec, LookPolicy, Method, OnDrift, OwnerProof, Spec, TargetSpec};
pub use trouble::Trouble;
